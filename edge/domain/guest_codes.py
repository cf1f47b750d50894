"""A guest's code and PIN: what they prove, and how often they may be guessed."""

import hashlib
import hmac
from datetime import datetime

from edge.domain import pauses
from edge.errors import BadInput
from edge.models import Grant, Router

FREE_PER_CODE, FREE_PER_CLIENT = 5, 30  # wrong tries before the first pause
LONGEST = 60  # letters of a code or a PIN


def prove(code: str, pin: str, client: str, mac: str, now: datetime) -> Grant:
    """The grant that code and PIN open, live or ended; BadInput when they open none, TooMany while this client waits.

    A pause belongs to one code at one client: whoever guesses there keeps nobody else out, and another client still
    has its own tries. The device that bought has tries of its own, should a router give all guests one address.
    """
    grant = named(code[:LONGEST])
    locks = _locks(code, client, bool(mac) and grant is not None and grant.mac == mac)
    pauses.refuse_if_paused(locks, now)
    if grant is None or not _is_same(pin.strip(), grant.password):
        pauses.record_failure(locks, now)
        raise BadInput("Code and PIN do not fit together. Please type both again.", "code")
    return grant


def named(typed: str) -> Grant | None:
    """The grant of this code: as it is kept, or in capitals and without what people write between."""
    typed = typed.strip()
    found = list(Grant.select().where(Grant.username.in_([typed, plain(typed)])))
    return next((grant for grant in found if grant.username == typed), found[0] if found else None)


def plain(typed: str) -> str:
    """A code as the box makes them: in capitals, without the blanks and dashes that people write between."""
    return "".join(letter for letter in typed if letter != "-" and not letter.isspace()).upper()


def key_of(grant: Grant) -> str:
    """What opens this grant's page for whoever has proven code and PIN.

    Made from what nobody can know together: code, PIN, and the instant at which both were made, to the microsecond.
    """
    told = f"edge-grant:{grant.id}:{grant.username}:{grant.password}:{grant.created_at.timestamp():.6f}"
    secret = grant.payment.secret if grant.payment_id is not None else ""
    return f"{grant.id}-{hashlib.blake2b(f'{told}:{secret}'.encode(), digest_size=16).hexdigest()}"


def by_key(key: str) -> Grant | None:
    """The grant that this key opens."""
    number, _, proof = key.partition("-")
    if not (number.isascii() and number.isdigit() and len(number) <= 15 and proof):
        return None
    grant: Grant | None = Grant.get_or_none(Grant.id == int(number))
    return grant if grant is not None and _is_same(key, key_of(grant)) else None


def _locks(code: str, client: str, is_buyers: bool) -> list[pauses.Lock]:
    whom = hashlib.blake2b(plain(code[:LONGEST]).encode("utf-8", "replace"), digest_size=8).hexdigest()
    locks = [(f"code:{client}:{whom}{':own' if is_buyers else ''}", FREE_PER_CODE)]
    # A router that gives all its guests its own address: there one of them would keep the others out.
    if not is_buyers and not Router.is_at(client):
        locks.append((f"code:{client}", FREE_PER_CLIENT))
    return locks


def _is_same(first: str, second: str) -> bool:
    """Equal? Takes as long whatever the answer; nothing equals nothing."""
    return bool(second) and hmac.compare_digest(first.encode("utf-8", "replace"), second.encode("utf-8", "replace"))
