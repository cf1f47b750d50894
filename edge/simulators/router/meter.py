"""What goes through the pretend router's interfaces, guests' bytes and a little chatter, and how busy it is."""

import math

from edge.simulators.router.hotspot import Hotspot
from edge.simulators.router.tables import Row, Table

CHATTER = 150.0  # bytes a second each way, with nobody there
PACKET = 900  # bytes, on average
TO_GUESTS = ("bridge", "wlan1")


class Meter:
    """Counters of interfaces; they begin again when the router does."""

    def __init__(self, hotspot: Hotspot, interfaces: Table) -> None:
        self._hotspot, self._interfaces = hotspot, interfaces
        self._since = hotspot.now()
        self._carried = (0, 0)
        self._last: dict[str, tuple[float, int, int]] = {}

    def restart(self) -> None:
        """All counters are nought."""
        self._since, self._carried = self._hotspot.now(), self._hotspot.carried
        self._last.clear()

    def read(self) -> None:
        """Write what went through so far into the interfaces' rows."""
        for row in self._interfaces.rows.values():
            received, sent = self._bytes(row["name"])
            row |= {"rx-byte": str(received), "tx-byte": str(sent), "fp-rx-byte": str(received),
                    "fp-tx-byte": str(sent), "rx-packet": str(received // PACKET),
                    "tx-packet": str(sent // PACKET)}  # fmt: skip

    def rates(self, name: str) -> Row:
        """One row of monitor-traffic: bits a second since it was last asked."""
        now, (received, sent) = self._hotspot.now(), self._bytes(name)
        before, last_received, last_sent = self._last.get(name, (self._since, 0, 0))
        self._last[name] = (now, received, sent)
        seconds = max(now - before, 1.0)
        rx, tx = int((received - last_received) * 8 / seconds), int((sent - last_sent) * 8 / seconds)
        row = {"name": name}
        for side, bits in (("rx", rx), ("tx", tx)):
            row |= {
                f"{side}-packets-per-second": str(bits // 8 // PACKET), f"{side}-bits-per-second": str(bits),
                f"fp-{side}-packets-per-second": str(bits // 8 // PACKET), f"fp-{side}-bits-per-second": str(bits),
                f"{side}-drops-per-second": "0", f"{side}-errors-per-second": "0",
            }  # fmt: skip
        return row | {"tx-queue-drops-per-second": "0"}

    def load(self) -> tuple[int, int]:
        """How busy the processor is, in percent, and the memory taken beside what it always takes, in bytes."""
        guests, wave = len(self._hotspot.sessions), math.sin(self._hotspot.now() / 7)
        return min(100, int(4 + guests / 20 + 3 * (1 + wave))), int(guests * 12_000 + 400_000 * (1 + wave))

    def _bytes(self, name: str) -> tuple[int, int]:
        """Received and sent. What guests send comes in at their side and leaves at the provider's."""
        chatter = int((self._hotspot.now() - self._since) * CHATTER)
        up, down = (now - then for now, then in zip(self._hotspot.carried, self._carried, strict=True))
        if name in TO_GUESTS:
            return up + chatter, down + chatter
        return (down + chatter, up + chatter) if name == "ether1" else (0, 0)
