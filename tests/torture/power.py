"""What a power cut leaves of a database: what was flushed, and of the rest nothing, or a few sectors by chance."""

import os
import random
from pathlib import Path

SECTOR = 512
DATABASE = ("edge.db", "edge.db-wal")


def environ(state: Path, shadow: Path) -> dict[str, str]:
    """What the power shim wants to know (power_loss.c)."""
    return {"SHADOW_OF": str(state.resolve()), "SHADOW": str(shadow.resolve())}


def cut(state: Path, shadow: Path, chance: random.Random | None = None, names: tuple[str, ...] = DATABASE) -> None:
    """Call when every process is dead: each file becomes what was last flushed of it.

    With `chance`, each sector that was written since may have reached the disk or not, in any order, as on a card
    that was busy at that moment.
    """
    for name in names:
        file, copy = state / name, shadow / name
        kept = copy.read_bytes() if copy.exists() else None
        if kept is not None and chance is not None and file.exists():
            kept = _torn(kept, file.read_bytes(), chance)
        if kept is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(kept)
            os.chmod(file, 0o600)
            copy.write_bytes(kept)  # after the cut this is what the disk holds
        (state / f"{name}-shm").unlink(missing_ok=True)


def _torn(flushed: bytes, written: bytes, chance: random.Random) -> bytes:
    """Some sectors new, some old; a file that grew may have its new length and nothing in it."""
    odds, longest = chance.choice((0.1, 0.5, 0.9)), max(len(flushed), len(written))
    length = chance.choice((len(flushed), len(written), longest))
    parts = []
    for at in range(0, length, SECTOR):
        old, new = flushed[at : at + SECTOR], written[at : at + SECTOR]
        taken = new if new and chance.random() < odds else old
        parts.append(taken.ljust(min(SECTOR, length - at), b"\0"))
    return b"".join(parts)[:length]
