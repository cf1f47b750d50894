"""Vouchers: codes on paper, made in batches, sold, used once, made void, or exchanged for their rest."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import log2
from typing import Any

from peewee import Case

from edge.database import transaction
from edge.domain import access, books, clock, events, guest_codes, guest_logins, renewal, vouchers_guessed
from edge.errors import BadInput
from edge.models import Grant, Plan, Router, Staff
from edge.money_models import Voucher, VoucherBatch
from edge.values.codes import mask_code
from edge.values.money import whole_units

MOST = 10_000  # in a batch
CHUNK = 500  # rows of a transaction: nobody's sale waits longer than for these
LENGTH = 9  # letters of 31 besides the prefix: 44 bits
SHORTEST, LONGEST, LONGEST_PREFIX = 6, 16, 6
ENOUGH_BITS = 40  # from here on guessing is hopeless, however many devices somebody pretends to be
LONGEST_WORDS = 200
GOOD = ("new", "sold")  # may be used
JUST_NOW = timedelta(minutes=2)  # whoever used it is about to connect


class NotGood(BadInput):
    """A voucher that lets nobody in. `why`: unknown, void, expired, over, in_use, elsewhere; `at` is when it was used
    or expired, `place` where it is good.
    """

    def __init__(self, why: str, message: str, at: datetime | None = None, place: str = "") -> None:
        super().__init__(message, "code")
        self.why, self.at, self.place = why, at, place


# Made and sold


def make(
    plan: Plan, count: int, now: datetime, *, name: str = "", prefix: str = "", length: int = LENGTH,
    value_cents: int | None = None, seller: str = "", router: Router | None = None, expires_at: datetime | None = None,
    staff: Staff | None = None, sold: bool = False, shift_id: int | None = None, method: str = "cash",
) -> VoucherBatch:  # fmt: skip
    """A batch of new codes, each worth `value_cents` (else the plan's price), good at `router` or everywhere.

    `length` are the random letters behind the prefix, which anybody may know. Without `expires_at` they expire as the
    plan says. `sold`: the seller has paid for all of them. Written in pieces: a power cut leaves a smaller batch, and
    none of it sold. BadInput says what to choose better.
    """
    prefix = guest_codes.plain(prefix)
    value_cents = plan.price_cents if value_cents is None else value_cents
    expires_at = expires_at or _expiry_of(plan, now)
    _check(count, prefix, length, value_cents, (name, seller), expires_at, now)
    batch = _open_batch(
        name=name.strip(), plan=plan, seller=seller.strip(), value_cents=value_cents, router=router,
        expires_at=expires_at, staff=staff, created_at=now,
    )  # fmt: skip
    for done in range(0, count, CHUNK):
        _write(batch, _random_of(prefix, length), min(CHUNK, count - done), now)
    events.record("vouchers.made", now, who=_name(staff), count=count, plan=plan.name, batch=batch.id)
    if sold:
        sell_batch(batch, staff, shift_id, now, method)
    return batch


def weakness(length: int) -> str:
    """What speaks against so few random letters, in words; empty when nothing does."""
    bits = length * log2(len(access.ALPHABET))
    if bits >= ENOUGH_BITS:
        return ""
    return (
        f"{length} random letters are {bits:.0f} bits, fewer than {ENOUGH_BITS}: such codes are safe only because "
        f"wrong ones meet growing pauses. {LENGTH} letters need no such help."
    )


@transaction
def sell(voucher: Voucher, staff: Staff | None, shift_id: int | None, now: datetime, method: str = "cash") -> Voucher:
    """Somebody paid for it: it stands in the books. One that was used unpaid is paid now. BadInput when it was sold."""
    is_ours = (Voucher.id == voucher.id) & Voucher.sold_at.is_null() & Voucher.state.in_(("new", "used"))
    if not _mark_sold(is_ours, staff, shift_id, now):
        raise BadInput("This voucher was sold already, or is void.", "voucher")
    voucher = get(voucher.id)
    books.record(
        "voucher", method, voucher.value_cents, voucher.value_cents, now, plan_id=voucher.plan_id,
        voucher_id=voucher.id, shift_id=shift_id, staff_id=None if staff is None else staff.id,
        words=f"voucher {mask_code(voucher.code)}",
    )  # fmt: skip
    events.record(
        "voucher.sold", now, who=_name(staff), plan=voucher.plan.name, amount=whole_units(voucher.value_cents)
    )
    return voucher


@transaction
def sell_new(
    plan: Plan, staff: Staff | None, shift_id: int | None, now: datetime, *, value_cents: int | None = None,
    method: str = "cash",
) -> Voucher:  # fmt: skip
    """One voucher, made and sold over the counter, for the plan's price unless another is named."""
    value_cents = plan.price_cents if value_cents is None else value_cents
    voucher = Voucher.create(
        code=_new_code(), plan=plan, value_cents=value_cents, expires_at=_expiry_of(plan, now),
        seconds=plan.seconds, bytes=plan.bytes, created_at=now,
    )  # fmt: skip
    return sell(voucher, staff, shift_id, now, method)


@transaction
def sell_batch(
    batch: VoucherBatch, staff: Staff | None, shift_id: int | None, now: datetime, method: str = "cash"
) -> int:
    """The seller has paid for what was not paid of it, used or not: one line in the books. Returns how many."""
    unpaid = (Voucher.batch == batch.id) & Voucher.sold_at.is_null() & Voucher.state.in_(("new", "used"))
    found = list(Voucher.select(Voucher.id, Voucher.value_cents).where(unpaid).tuples())
    value_cents = sum(value for _, value in found)
    count = _mark_sold(unpaid, staff, shift_id, now)
    if count:
        books.record(  # under the first of them, which names the seller
            "voucher", method, value_cents, value_cents, now, plan_id=batch.plan_id,
            voucher_id=min(number for number, _ in found), shift_id=shift_id,
            staff_id=None if staff is None else staff.id, words=f"batch {batch.id}, {count} vouchers",
        )  # fmt: skip
        events.record(
            "vouchers.sold", now, who=_name(staff), count=count, batch=batch.id, seller=batch.seller,
            amount=whole_units(value_cents),
        )  # fmt: skip
    return count


# Used


def redeem(code: str, mac: str, client: str, context: Mapping[str, Any], now: datetime) -> Grant:
    """The right that this code gives to whoever holds it: begun now, or before, on whichever device.

    `client` is the address that asks, `mac` and `context` what the router's login page told. NotGood says why it opens
    nothing, TooMany that too many wrong ones came from there. Twice at once: one begins it, and both have it if they
    are the same device or the plan has places for both.
    """
    vouchers_guessed.refuse_if_paused(client, mac, now)
    voucher = named(code)
    if voucher is not None:
        return _use(voucher.id, mac, context, now)
    grant = guest_codes.named(code[: guest_codes.LONGEST])
    if grant is not None and grant.username == grant.password:
        return grant  # taken over from another system, whose vouchers have the code as their password
    vouchers_guessed.record_failure(client, mac, now)
    raise NotGood("unknown", "This code is not known. Please compare it with the paper, letter by letter.")


def named(typed: str) -> Voucher | None:
    """The voucher of this code, in whichever case and however spaced."""
    found: Voucher | None = Voucher.get_or_none(Voucher.code == guest_codes.plain(typed[: guest_codes.LONGEST]))
    return found


def get(number: int) -> Voucher:
    """The voucher of this number, else BadInput."""
    found: Voucher | None = Voucher.get_or_none(Voucher.id == number)
    if found is None:
        raise BadInput(f"There is no voucher {number}.", "voucher")
    return found


def grant_of(voucher: Voucher) -> Grant | None:
    """The right it gave; where that was added to another one, the other."""
    return None if voucher.grant_id is None else renewal.in_force(voucher.grant)


@transaction
def _use(number: int, mac: str, context: Mapping[str, Any], now: datetime) -> Grant:
    in_time = Voucher.expires_at.is_null() | (Voucher.expires_at > clock.reckoned(now))
    used = Voucher.update(state="used", used_at=now).where(Voucher.id == number, Voucher.state.in_(GOOD), in_time)
    if used.execute() == 1:
        return _begin(Voucher.get_by_id(number), mac, context, now)
    return _again(Voucher.get_by_id(number), mac, now)


def _begin(voucher: Voucher, mac: str, context: Mapping[str, Any], now: datetime) -> Grant:
    home = access.home_of(context, list(Router.select()))
    only = voucher.batch.router if voucher.batch_id is not None else None
    if only is not None and home is not None and home.id != only.id:
        raise NotGood("elsewhere", f"This voucher is good at {only.name} only.", place=only.name)
    is_taken = Grant.any_where("username = ?", voucher.code)
    grant = access.give(
        voucher.plan, "voucher", now, username="" if is_taken else voucher.code, seconds=voucher.seconds,
        bytes_left=voucher.bytes, mac=mac, context=context,
    )  # fmt: skip
    voucher.put(grant=grant)
    events.record("voucher.used", now, plan=voucher.plan.name, username=mask_code(voucher.code))
    return grant


def _again(voucher: Voucher, mac: str, now: datetime) -> Grant:
    """The code stays its holder's, on as many devices as the plan has; whatever else it is, it is told."""
    if voucher.state == "void":
        raise NotGood("void", "This voucher is not valid any more. Please ask where you bought it.")
    if voucher.state in GOOD:
        raise NotGood("expired", "This voucher was to be used earlier; it has expired.", voucher.expires_at)
    grant = grant_of(voucher)
    if grant is None or grant.state != "live":
        raise NotGood("over", "This voucher was used, and its time is over.", voucher.used_at)
    if _is_full(grant, voucher, mac, now):
        raise NotGood("in_use", "This voucher was used already, on another device.", voucher.used_at)
    return grant


def _is_full(grant: Grant, voucher: Voucher, mac: str, now: datetime) -> bool:
    """Are all places taken by other devices? The first has one from the start: it is about to connect."""
    taken = {session.mac for session in guest_logins.open_sessions(grant, now)}
    if grant.mac and abs(now - voucher.used_at) < JUST_NOW:  # whoever asked first may be written down second
        taken.add(grant.mac)
    return bool(mac) and mac not in taken and len(taken) >= grant.devices


# Taken back


@transaction
def void(voucher: Voucher, staff: Staff | None, words: str, now: datetime) -> None:
    """It lets nobody in from now on, and the time it gave is taken back. What was paid for it stays in the books."""
    voucher = get(voucher.id)
    if voucher.state == "void":
        raise BadInput("This voucher is void already.", "voucher")
    if voucher.grant_id is not None:
        renewal.take_back(voucher.grant, "staff", now)
    voucher.put(state="void", words=words.strip()[:LONGEST_WORDS])
    events.record("voucher.voided", now, who=_name(staff), code=mask_code(voucher.code), words=voucher.words)


@transaction
def void_batch(batch: VoucherBatch, staff: Staff | None, words: str, now: datetime) -> int:
    """None of it that is still unused lets anybody in; returns how many those were."""
    words = words.strip()[:LONGEST_WORDS]
    unused = (Voucher.batch == batch.id) & Voucher.state.in_(GOOD)
    count = int(Voucher.update(state="void", words=words).where(unused).execute())
    if count:
        events.record("vouchers.voided", now, who=_name(staff), count=count, batch=batch.id, words=words)
    return count


@transaction
def reissue(voucher: Voucher, staff: Staff | None, now: datetime, *, expires_at: datetime | None = None) -> Voucher:
    """A new code for the rest of the old one, which is void and whose holder's access ends. No money moves.

    BadInput when nothing is left of it, or when its time was added to another code's.
    """
    voucher = get(voucher.id)
    if voucher.state == "void":
        raise BadInput("This voucher is void: there is nothing to exchange.", "voucher")
    rest = access.Left(voucher.seconds or voucher.plan.seconds, voucher.bytes)
    if voucher.state == "used":
        rest = _end_grant(voucher, now)
        if rest.is_nothing:
            raise BadInput(f"Nothing is left of this voucher: its {rest.used_up} is used up.", "voucher")
    voucher.put(state="void", words="exchanged for another code")
    new: Voucher = Voucher.create(
        batch=voucher.batch_id, code=_new_code(), plan=voucher.plan_id,
        state="sold" if voucher.sold_at is not None else "new", value_cents=voucher.value_cents,
        seller=voucher.seller, expires_at=expires_at or _expiry_of(voucher.plan, now), seconds=rest.seconds,
        bytes=rest.bytes, sold_at=voucher.sold_at, sold_by=voucher.sold_by_id, shift_id=voucher.shift_id,
        reissue_of=voucher, created_at=now,
    )  # fmt: skip
    events.record("voucher.reissued", now, who=_name(staff), code=mask_code(voucher.code), new=mask_code(new.code))
    return new


def _end_grant(voucher: Voucher, now: datetime) -> access.Left:
    """End what it gave; returns what was left of that."""
    grant = voucher.grant
    if grant.why_ended == "joined":
        raise BadInput("Its time was added to another code's, and can't be told from that any more.", "voucher")
    rest = access.left(grant, now)
    access.end(grant, "staff", now)
    return rest


# Codes


@transaction
def _open_batch(**columns: Any) -> VoucherBatch:
    batch: VoucherBatch = VoucherBatch.create(**columns)
    return batch


@transaction
def _write(batch: VoucherBatch, draw: Callable[[], str], count: int, now: datetime) -> None:
    plan = batch.plan
    rows = [
        {
            "batch": batch.id, "code": code, "plan": plan.id, "value_cents": batch.value_cents,
            "seller": batch.seller, "expires_at": batch.expires_at, "seconds": plan.seconds, "bytes": plan.bytes,
            "created_at": now,
        }
        for code in _new_codes(draw, count)
    ]  # fmt: skip
    Voucher.insert_many(rows).execute()


def _new_codes(draw: Callable[[], str], count: int) -> list[str]:
    """Codes that nobody has, for the one transaction that writes them."""
    found: set[str] = set()
    while len(found) < count:
        fresh = {draw() for _ in range(count - len(found))} - found
        found |= fresh - _taken(fresh)
    return list(found)


def _new_code() -> str:
    return _new_codes(_random_of("", LENGTH), 1)[0]


def _random_of(prefix: str, length: int) -> Callable[[], str]:
    return lambda: prefix + "".join(secrets.choice(access.ALPHABET) for _ in range(length))


def _taken(codes: set[str]) -> set[str]:
    """Those that a voucher has, or a guest; guests taken over from elsewhere may have theirs in small letters."""
    spelled = [*codes, *(code.lower() for code in codes)]
    vouchers = {code for (code,) in list(Voucher.select(Voucher.code).where(Voucher.code.in_(list(codes))).tuples())}
    names = list(Grant.select(Grant.username).where(Grant.username.in_(spelled)).tuples())
    return vouchers | {name.upper() for (name,) in names}


def _mark_sold(which: Any, staff: Staff | None, shift_id: int | None, now: datetime) -> int:
    state = Case(None, ((Voucher.state == "new", "sold"),), Voucher.state)
    return int(Voucher.update(state=state, sold_at=now, sold_by=staff, shift_id=shift_id).where(which).execute())


def _expiry_of(plan: Plan, now: datetime) -> datetime | None:
    return None if plan.start_within_s is None else now + timedelta(seconds=plan.start_within_s)


def _check(
    count: int, prefix: str, length: int, value_cents: int, names: tuple[str, str], expires_at: datetime | None,
    now: datetime,
) -> None:  # fmt: skip
    """BadInput names the first thing that can't be made."""
    odd = "".join(sorted(set(prefix) - set(access.ALPHABET)))
    checks = (
        (0 < count <= MOST, f"A batch has 1 to {MOST:,} vouchers.", "count"),
        (not odd, f"Leave {odd} out of the prefix: people take it for something else when they type.", "prefix"),
        (len(prefix) <= LONGEST_PREFIX, f"A prefix has at most {LONGEST_PREFIX} letters.", "prefix"),
        (SHORTEST <= length <= LONGEST, f"A code has {SHORTEST} to {LONGEST} random letters: fewer are guessed.",
         "length"),
        (0 <= value_cents <= 10**9, "A value is an amount, or nothing.", "value"),
        (all(len(name) <= 60 and name.isprintable() for name in names), "A name has at most 60 letters.", "name"),
        (expires_at is None or expires_at > now, "They would have expired before they are made.", "expires"),
    )
    for holds, words, field in checks:
        if not holds:
            raise BadInput(words, field)


def _name(staff: Staff | None) -> str:
    return "" if staff is None else str(staff.name)
