"""Seals what is personal before it is written: texts by a key that may be renewed, numbers so that they can be found.

What this protects: copies of the database, backups, a card that was taken out of its box without its key file. Not a
box that is stolen running.
"""

import base64
import hashlib
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from edge.errors import EdgeError

FILE = "data.keys"
INDEX, DATA = "index", "data"
NUMBER = "n1:"  # what a sealed number begins with
TOKEN = "gAAAA"  # what a Fernet token begins with: version 0x80 and the first bytes of a time before 2106
UNREADABLE = "(sealed with another key)"


class BadKeys(EdgeError):
    """The key file is there and can't be used."""


@dataclass(frozen=True)
class Keys:
    """`index` seals numbers, always to the same words (AES-SIV, RFC 5297); of `data` the first writes, all read."""

    index: bytes
    data: tuple[bytes, ...]

    @property
    def fingerprint(self) -> str:
        """By which a database knows its key file again, and from which no key can be learnt."""
        return hashlib.sha256(b"fingerprint/v1:" + self.index).hexdigest()[:32]


class Seal:
    """The keys of this box, read or made when first needed."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._lock = threading.Lock()
        self._keys: Keys | None = None
        self._numbers: AESSIV | None = None
        self._texts: MultiFernet | None = None

    def point_to(self, path: Path | None) -> None:
        """Where the key file lies, or will; None: keys that end with the process."""
        with self._lock:
            if path != self._path or path is None:
                self._path, self._keys, self._numbers, self._texts = path, None, None, None

    @property
    def fingerprint(self) -> str:
        self._open()
        assert self._keys is not None
        return self._keys.fingerprint

    def number(self, msisdn: str) -> str:
        """The same number always gives the same words, so that it can be looked for."""
        if not msisdn or msisdn.startswith(NUMBER):
            return msisdn
        sealed = self._open()[0].encrypt(msisdn.encode(), [b"phone/v1"])
        return NUMBER + base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")

    def open_number(self, sealed: str) -> str:
        if not sealed.startswith(NUMBER):
            return sealed
        raw = base64.urlsafe_b64decode(sealed[len(NUMBER) :] + "=" * (-(len(sealed) - len(NUMBER)) % 4))
        try:
            return self._open()[0].decrypt(raw, [b"phone/v1"]).decode()
        except (InvalidTag, ValueError):
            return UNREADABLE

    def text(self, words: str, context: str) -> str:
        """`context` names the column: what was moved to another one does not open there."""
        if not words:
            return ""
        return self._open()[1].encrypt(f"{context}\0{words}".encode()).decode("ascii")

    def open_text(self, sealed: str, context: str) -> str:
        if not sealed.startswith(TOKEN):
            return sealed
        try:
            told, _, words = self._open()[1].decrypt(sealed.encode("ascii")).decode().partition("\0")
        except (InvalidToken, ValueError):
            return UNREADABLE
        return words if told == context else UNREADABLE

    def _open(self) -> tuple[AESSIV, MultiFernet]:
        if self._numbers is None or self._texts is None:
            with self._lock:
                self._keys = _load(self._path) if self._path is not None else _fresh()
                self._numbers = AESSIV(self._keys.index)
                self._texts = MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in self._keys.data])
        return self._numbers, self._texts


def _fresh() -> Keys:
    return Keys(os.urandom(64), (os.urandom(32),))


def _load(path: Path) -> Keys:
    if not path.exists():
        _write(path, _fresh())
    index, data = b"", []
    try:
        for line in path.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == INDEX:
                index = base64.urlsafe_b64decode(value)
            elif name == DATA:
                data.append(base64.urlsafe_b64decode(value))
        keys = Keys(index, tuple(data))
        AESSIV(keys.index)
        if not keys.data or any(len(key) != 32 for key in keys.data):
            raise ValueError("a data key is missing or has another length")
    except (OSError, ValueError) as reason:
        raise BadKeys(f"the key file {path} can't be used: {reason}; bring it back from the backup") from None
    return keys


def _write(path: Path, keys: Keys) -> None:
    """All of it or nothing; whoever was first made the keys of this box."""
    lines = [(INDEX, keys.index), *((DATA, key) for key in keys.data)]
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    handle = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        os.write(handle, "".join(f"{name} {base64.urlsafe_b64encode(key).decode()}\n" for name, key in lines).encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    with suppress(FileExistsError):
        os.link(fresh, path)
    fresh.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # before anything is sealed with keys that a power cut would take away
    finally:
        os.close(folder)


seal = Seal()
