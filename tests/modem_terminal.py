"""A person at the pretend modem's port, for tests that look at every octet."""

import os
import select
import time

from edge.tpdu import encode_submit


class Terminal:
    """A person at the port: types, and reads until something is said."""

    def __init__(self, port: str) -> None:
        self._port = os.open(port, os.O_RDWR | os.O_NOCTTY)

    def type(self, typed: bytes, until: bytes = b"OK\r\n", timeout_s: float = 10.0) -> bytes:
        os.write(self._port, typed)
        heard = b""
        deadline = time.monotonic() + timeout_s
        while not heard.endswith(until):
            assert time.monotonic() < deadline, f"heard only {heard!r}"
            if select.select([self._port], [], [], 0.1)[0]:
                heard += self._read()
        return heard

    def _read(self) -> bytes:
        said = os.read(self._port, 1000)
        if not said:
            raise OSError("the modem hung up")
        return said

    def close(self) -> None:
        os.close(self._port)

    def hand_over(self, msisdn: str, text: str, until: bytes = b"OK\r\n", *, report: bool = False) -> bytes:
        """Send one text of one segment in PDU mode; all that is said behind Ctrl-Z."""
        (pdu,) = encode_submit(msisdn, text, report=report)
        self.type(f"AT+CMGS={pdu.length}\r".encode(), until=b"> ")
        return self.type(pdu.hex.encode() + b"\x1a", until=until)

    def silence(self, seconds: float = 0.3) -> bytes:
        """All that is said in so long."""
        heard, deadline = b"", time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._port], [], [], left)[0]:
                heard += self._read()
        return heard
