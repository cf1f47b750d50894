"""Staff: who may sign in, what proves it, and for how long it is believed."""

import hashlib
import hmac
import logging
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from edge.database import transaction
from edge.errors import BadInput, NotDurable
from edge.models import Staff, StaffSession, Throttle
from edge.values.email_address import read_address

log = logging.getLogger("edge.people")

ROLES = ("owner", "technician", "cashier")
SHORTEST, LONGEST = 10, 200  # letters of a password
SESSION = timedelta(hours=12)
SEEN_EVERY = timedelta(minutes=5)  # a page that asks every two seconds must not wear the card out

# OWASP's smallest scrypt parameters that fit a small box: 16 MB and about a quarter of a second.
N, R, P, MEMORY = 2**14, 8, 5, 64 * 2**20

FREE_PER_NAME, FREE_PER_SOURCE = 5, 30  # wrong passwords before the first pause
FIRST_LOCK_S, LONGEST_LOCK_S = 30, 900
FORGET_AFTER = timedelta(days=1)
AT_ONCE, IN_LINE = 2, 8  # sign-ins that reckon, and that wait: the rest of the web threads belong to guests


class Locked(BadInput):
    """Too many wrong passwords from this address, or too many at once; `retry_after_s` says for how long."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message, "password")
        self.retry_after_s = retry_after_s


def add(name: str, password: str, role: str, now: datetime) -> Staff:
    """Let somebody sign in from now on; BadInput says what to choose better."""
    name = _clean(name).strip()
    if not 0 < len(name) <= 60 or not name.isprintable():
        raise BadInput("A name has 1 to 60 letters.", "name")
    if role not in ROLES:
        raise BadInput(f"A role is one of: {', '.join(ROLES)}.", "role")
    _check_password(name, password)
    return _insert(name, _hash(password), role, now)


def named(name: str) -> Staff | None:
    """Whoever has this name; phones like to begin it with a capital, so case does not count."""
    wanted = _clean(name).strip().casefold()
    return next((staff for staff in everybody() if staff.name.casefold() == wanted), None)


def everybody() -> list[Staff]:
    """All who may sign in, in the order they came."""
    return list(Staff.select().order_by(Staff.id))


def set_password(staff: Staff, password: str) -> None:
    """A new password; browsers that are signed in have to sign in again."""
    _check_password(staff.name, password)
    _replace_password(staff, _hash(password))


@transaction
def set_email(staff: Staff, typed: str) -> str:
    """Where this person gets letters, '' for nowhere; BadInput when none could be sent there."""
    address = read_address(typed) if typed.strip() else ""
    staff.put(email=address)
    return address


def sign_in(name: str, password: str, now: datetime, source: str) -> str:
    """The token for a new session's cookie. BadInput when it is wrong, Locked after too many tries.

    A lock belongs to a name at one source address, and to that address alone: nobody can lock the owner out from
    elsewhere. Unknown names cost the same work. The password is reckoned outside any transaction.
    """
    _refuse_if_locked(name, source, now)
    with _turn():
        _refuse_if_locked(name, source, now)  # those who stood in line together get no extra tries
        staff = named(name)
        right = _is_right(password, staff.password_hash if staff else _NOBODY)
        if staff is None or not right:
            _record_failure(name, source, now)
            raise BadInput("Name and password do not fit together.", "password")
    return _open_session(staff, name, source, now)


def session_of(cookie: str, now: datetime) -> StaffSession | None:
    """The browser session behind this cookie, good for twelve more hours; None when there is none."""
    return _session(cookie, "browser", now)


def session_of_bearer(token: str, now: datetime) -> StaffSession | None:
    """The session behind an API token."""
    return _session(token, "token", now)


def is_open(session_id: int, now: datetime) -> bool:
    """Does this session still hold? For whoever keeps a connection open on its strength."""
    return bool(_alive(now).where(StaffSession.id == session_id).exists())


@transaction
def sign_out(session: StaffSession) -> None:
    """Forget this session."""
    StaffSession.delete().where(StaffSession.id == session.id).execute()


@transaction
def make_token(staff: Staff, label: str, now: datetime) -> str:
    """A token for a program; shown once, and kept only as a digest."""
    token = "edge_" + secrets.token_urlsafe(32)
    StaffSession.create(staff=staff, digest=_digest(token), kind="token", label=label, created_at=now, seen_at=now)
    return token


def is_same(first: str, second: str) -> bool:
    """Equal? Takes as long whatever the answer; nothing equals nothing."""
    return bool(first) and hmac.compare_digest(first.encode("utf-8", "replace"), second.encode("utf-8", "replace"))


def lock_s(failures: int, free: int) -> int:
    """How long to wait after so many failures in a row, in seconds: some are free, then it doubles."""
    return 0 if failures < free else min(LONGEST_LOCK_S, FIRST_LOCK_S * 2 ** min(failures - free, 16))


def _check_password(name: str, password: str) -> None:
    if len(password) < SHORTEST:
        raise BadInput(f"A password has at least {SHORTEST} characters. Three words are easy to keep.", "password")
    if len(password) > LONGEST:
        raise BadInput(f"A password has at most {LONGEST} characters.", "password")
    if _clean(password).strip().casefold() == _clean(name).strip().casefold():
        raise BadInput("The name can't be the password.", "password")


@transaction
def _insert(name: str, password_hash: str, role: str, now: datetime) -> Staff:
    if named(name) is not None:
        raise BadInput("Somebody has this name already.", "name")
    staff: Staff = Staff.create(name=name, role=role, password_hash=password_hash, created_at=now)
    return staff


@transaction
def _replace_password(staff: Staff, password_hash: str) -> None:
    staff.put(password_hash=password_hash)
    StaffSession.delete().where(StaffSession.staff == staff, StaffSession.kind == "browser").execute()


@transaction
def _open_session(staff: Staff, name: str, source: str, now: datetime) -> str:
    """A new token each time: one that was planted beforehand is worth nothing."""
    token = secrets.token_urlsafe(32)
    StaffSession.delete().where(StaffSession.expires_at <= now).execute()
    StaffSession.create(
        staff=staff, digest=_digest(token), csrf=secrets.token_hex(16), created_at=now, seen_at=now,
        expires_at=now + SESSION,
    )  # fmt: skip
    Throttle.delete().where(Throttle.name.in_([key for key, _ in _locks(name, source)])).execute()
    return token


def _session(token: str, kind: str, now: datetime) -> StaffSession | None:
    found: StaffSession | None = (
        _alive(now).where(StaffSession.digest == _digest(token), StaffSession.kind == kind).first()
    )
    if found is not None and abs(now - found.seen_at) >= SEEN_EVERY:
        try:
            _record_seen(found, now)
        except NotDurable:
            log.warning("a session could not be prolonged: nothing can be kept just now")
    return found


def _alive(now: datetime) -> Any:
    return (
        StaffSession.select(StaffSession, Staff)
        .join(Staff)
        .where(StaffSession.expires_at.is_null() | (StaffSession.expires_at > now))
    )


@transaction
def _record_seen(session: StaffSession, now: datetime) -> None:
    session.put(seen_at=now, expires_at=now + SESSION if session.kind == "browser" else None)


def _locks(name: str, source: str) -> list[tuple[str, int]]:
    """The two counters of a try: this name from this address, and any name from this address."""
    whom = _digest(_clean(name).strip().casefold())[:16]
    return [(f"sign-in:{source}:{whom}", FREE_PER_NAME), (f"sign-in:{source}", FREE_PER_SOURCE)]


def _refuse_if_locked(name: str, source: str, now: datetime) -> None:
    for key, _ in _locks(name, source):
        row = Throttle.get_or_none(Throttle.name == key)
        # Further ahead than any lock: the clock has moved since, and the lock means nothing.
        if row is not None and now < row.free_at <= now + timedelta(seconds=LONGEST_LOCK_S):
            wait_s = int((row.free_at - now).total_seconds()) + 1
            minutes = -(-wait_s // 60)
            raise Locked(
                f"Too many wrong passwords from this device. Wait {minutes} minute{'s' if minutes > 1 else ''}, "
                "or use another device.", wait_s,
            )  # fmt: skip


@transaction
def _record_failure(name: str, source: str, now: datetime) -> None:
    Throttle.delete().where(Throttle.name.startswith("sign-in:"), Throttle.free_at < now - FORGET_AFTER).execute()
    for key, free in _locks(name, source):
        row = Throttle.get_or_none(Throttle.name == key)
        failures = 1 + (row.failures if row else 0)
        free_at = now + timedelta(seconds=lock_s(failures, free))
        Throttle.replace(name=key, free_at=free_at, failures=failures).execute()


_line = threading.BoundedSemaphore(IN_LINE)
_desk = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def _turn() -> Iterator[None]:
    """A password costs memory and time: few at once, few in line, and whoever comes then is asked to come back."""
    if not _line.acquire(blocking=False):
        raise Locked("Many people are signing in just now. Please try again in a moment.", 2)
    try:
        with _desk:
            yield
    finally:
        _line.release()


def _hash(password: str) -> str:
    salt = secrets.token_bytes(16)
    return f"scrypt${N}${R}${P}${salt.hex()}${_scrypt(password, salt, N, R, P).hex()}"


def _is_right(password: str, kept: str) -> bool:
    _, n, r, p, salt, expected = kept.split("$")
    found = _scrypt(password[: LONGEST + 1], bytes.fromhex(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, bytes.fromhex(expected))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(_clean(password).encode(), salt=salt, n=n, r=r, p=p, maxmem=MEMORY, dklen=32)


_NOBODY = f"scrypt${N}${R}${P}${secrets.token_hex(16)}${secrets.token_hex(32)}"


def _clean(typed: str) -> str:
    """One spelling for what looks the same; half a surrogate pair, which no keyboard sends, is replaced."""
    return unicodedata.normalize("NFKC", typed).encode("utf-8", "replace").decode()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
