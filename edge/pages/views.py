"""Rows as the API's JSON objects."""

from datetime import UTC, datetime
from typing import Any

from edge.domain import access, payments, plans, receipts
from edge.models import Grant, Payment, Plan
from edge.texts import say
from edge.values.money import show_money, whole_units
from edge.values.mpesa_words import explain
from edge.values.msisdn import show_msisdn

PAID = ("paid", "online", "ended")  # from here on the buyer may know his code


def plan_view(plan: Plan, now: datetime | None = None) -> dict[str, Any]:
    """One plan as anybody may see it, with its usual price, or that of an instant."""
    return {
        "id": plan.id,
        "name": plan.name,
        "price": whole_units(plan.price_cents if now is None else plans.price_at(plan, now)),
        "currency": "KES",
        "seconds": plan.seconds,
        "bytes": plan.bytes,
        "rate": plan.rate.partition(" ")[0],
        "devices": plan.devices,
    }


def payment_view(payment: Payment, now: datetime) -> dict[str, Any]:
    """One purchase as its buyer may see it."""
    stands = payments.standing(payment, now)
    grant = stands.grant if stands.status in PAID else None
    return {
        "payment_id": payment.token,
        "status": stands.status,
        "message": status_words(payment, stands.status, grant),
        "amount": whole_units(payment.amount_cents),
        "receipt": payment.receipt,
        **_right(grant, now),
    }


def grant_view(grant: Grant, now: datetime) -> dict[str, Any]:
    """A right to be online, as whoever holds its code may see it."""
    status = "ended" if grant.state == "ended" else "online" if access.is_let_in(grant) else "paid"
    return {"status": status, **_right(grant, now)}


def _right(grant: Grant | None, now: datetime) -> dict[str, Any]:
    left = access.left(grant, now) if grant else None
    return {
        "username": grant.username if grant else None,
        "password": grant.password if grant else None,
        "ends_at": show_instant(grant.ends_at) if grant else None,
        "seconds_left": left.seconds if left else None,
        "bytes_left": left.bytes if left else None,
        "metered": bool(grant.metered) if grant else None,
        "credited_s": int(grant.credited_s) if grant else None,
        "why_ended": (grant.why_ended or None) if grant else None,
    }


def misfit_cents(payment: Payment, status: str) -> int:
    """What came for a purchase by hand and is not its price: a person decides about it."""
    if payment.how != "hand" or status not in ("pending", "expired"):
        return 0
    return sum(row.left_cents for row in receipts.held_for(payment))


def status_words(payment: Payment, status: str, grant: Grant | None = None) -> str:
    """What the guest should know or do now; of an end also why."""
    came = misfit_cents(payment, status)
    if came:
        return say("by_hand.misfit", came=show_money(came), amount=show_money(payment.amount_cents))
    if payment.how == "hand" and status == "pending":
        return say("by_hand.waiting_more", amount=show_money(payment.amount_cents))
    why = f"_{grant.why_ended}" if grant is not None and grant.why_ended in ("data", "staff") else ""
    return say(
        f"status.{status}{why if status == 'ended' else ''}_more", amount=show_money(payment.amount_cents),
        phone=show_msisdn(payment.msisdn), words=_why(payment),
    )  # fmt: skip


def _why(payment: Payment) -> str:
    if payment.result_code == "push-refused":
        return say("status.not_asked")
    return explain(payment.result_code).guest if payment.provider == "mpesa" else say("gateway.failed")


def show_instant(instant: datetime | None) -> str | None:
    """ISO 8601 UTC to the second, with Z."""
    return None if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
