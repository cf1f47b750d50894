"""What the owner wants to know: takings, who is online, who paid and is not, and the story of one payment."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from peewee import JOIN, SQL, fn

from edge.domain import checks, money_reports
from edge.errors import BadInput
from edge.models import Event, Grant, Inbox, Job, Message, Payment, Placement, Plan, Router
from edge.values.account import read_account
from edge.values.msisdn import read_msisdn

STALE_AFTER = timedelta(minutes=5)  # parts are asked every minute
NEVER_STALE = ("airtime", "mail", "keys")  # told when there is something to tell
# How the outcome of a call begins that needs nobody's eye.
WENT_WELL = ("paid", "failed", "already paid", "known already", "the receipt of", "refund", "done", "status failed")
REFERENCE = "WIFI"  # how a payment is named on the M-Pesa statement, with its number
TELL_THEMSELVES = ("payment.prompt", "grant.place", "grant.withdraw", "sms.send")  # done, they leave a row's own step
FILTERS = ("all", "waiting", "open", "paid", "unpaid")


@dataclass(frozen=True)
class Takings:
    """Takings of one day as its slip says them, in cents, and how many sales there were."""

    cents: int
    sales: int


@dataclass(frozen=True)
class Sale:
    """One payment as a line of a list; `status` merges payment and grant, as the guest sees it."""

    payment: Payment
    grant: Grant | None
    status: str


@dataclass(frozen=True)
class Part:
    """One part of the box and the last word on it; a word that is too old counts as none."""

    name: str
    state: str  # ok, problem, unknown
    words: str = ""
    cure: str = ""
    checked_at: datetime | None = None


@dataclass(frozen=True)
class Step:
    """One thing that happened to a payment: a name for the catalogue, and what goes into the words."""

    at: datetime
    name: str
    data: dict[str, Any] = field(default_factory=dict)
    bad: bool = False


def takings(now: datetime, zone: ZoneInfo, days_ago: int = 0) -> Takings:
    """What the books say was sold, less what was taken back, on a day by the clock on the shop's wall."""
    sums = money_reports.of_day(now.astimezone(zone).date() - timedelta(days=days_ago), zone)
    return Takings(sums.net_cents, sums.sales)


def online_now() -> int:
    """Live grants that the network lets in."""
    return int(Grant.select().where(_is_live(), _is_let_in()).count())


def waiting(limit: int = 20) -> list[Sale]:
    """Paid, and not online: the longest wait first."""
    # An expression, or SQLite would walk through every payment by the index on paid_at.
    return _sales(_is_waiting(), order=fn.COALESCE(Payment.paid_at, 0), limit=limit)


def count_waiting() -> int:
    """How many have paid and are not online."""
    return int(Payment.select().join(Grant, on=(Grant.payment == Payment.id)).where(_is_waiting()).count())


def last_payments(limit: int, shown: str = "all", before: int | None = None) -> list[Sale]:
    """The newest payments of one kind (see FILTERS), older than number `before`."""
    kinds = {
        "all": True,
        "waiting": _is_waiting(),
        "open": _is_open(),
        "paid": Payment.state == "paid",
        "unpaid": Payment.state.in_(("failed", "expired", "reversed")),
    }
    older = True if before is None else Payment.id < before
    # An expression leads to the index over open payments, of which there are few; else the newest come by their number.
    order = (Payment.id + 0).desc() if shown == "open" else Payment.id.desc()
    return _sales(kinds[shown], older, order=order, limit=limit)


def find_payments(typed: str, limit: int) -> list[Sale]:
    """Payments by whole phone number, M-Pesa receipt, guest's code, or their own reference (WIFI12)."""
    word = "".join(typed.split()).upper()
    if not word:
        return []
    ways = [Payment.receipt == word]
    try:
        ways.append(Payment.msisdn == read_msisdn(typed))
    except BadInput:
        number = word.removeprefix(REFERENCE)
        if number.isascii() and number.isdigit() and len(number) < 10:
            ways.append(Payment.id == int(number))
        elif (named := read_account(word)) is not None:
            ways.append(Payment.id == named)
    # Each way has its index; asked for all ways at once, across two tables, the database would read every payment.
    found = {row for (row,) in Grant.select(Grant.payment).where(Grant.username == word).tuples()} - {None}
    for way in ways:
        newest = Payment.select(Payment.id).where(way).order_by(Payment.id.desc()).limit(limit)
        found |= {row for (row,) in newest.tuples()}
    return _sales(Payment.id.in_(found), order=Payment.id.desc(), limit=limit)


def sale(payment_id: int) -> Sale | None:
    """One payment; None when there is none of this number."""
    found = _sales(Payment.id == payment_id, order=Payment.id, limit=1) if 0 < payment_id < 2**63 else []
    return found[0] if found else None


def parts(now: datetime) -> list[Part]:
    """Every part of the box, worst first; a router nobody has asked yet is unknown."""
    known = checks.everything()
    found = [
        Part(check.name, check.state, check.words, check.cure, check.checked_at)
        if now - check.checked_at < STALE_AFTER or check.name in NEVER_STALE
        else Part(check.name, "unknown", check.words, "", check.checked_at)
        for check in known
    ]
    names = {check.name for check in known}
    asked = (f"router:{router.name}" for router in Router.select().order_by(Router.name))
    found += [Part(name, "unknown") for name in asked if name not in names]
    order = {"problem": 0, "unknown": 1, "ok": 2}
    return sorted(found, key=lambda part: (order[part.state], part.name))


def lately(limit: int) -> list[Event]:
    """What happened last, newest first."""
    return list(Event.select().order_by(Event.id.desc()).limit(limit))


def story(sale: Sale) -> list[Step]:
    """Everything the rows tell about one payment, in the order of time."""
    payment, grant = sale.payment, sale.grant
    steps = [*_asking_steps(payment), *_call_steps(payment), *_ending_steps(payment)]
    if grant is not None:
        steps += [*_grant_steps(grant), *_placement_steps(grant)]
    causes = [f"payment:{payment.id}"] + ([f"grant:{grant.id}"] if grant else [])
    work = list(Job.select().where(Job.cause.in_(causes)).order_by(Job.id))
    tried = {job.args.get("message_id"): job.finished_at for job in work if job.name == "sms.send"}
    for message in payment.messages:
        steps += _message_steps(message, tried.get(message.id) or message.created_at)
    for job in work:
        steps += _job_steps(job)
    return sorted(steps, key=lambda step: step.at)  # of one instant, the cause stays first


def _is_let_in() -> Any:
    """The rule of `access.is_let_in`, for many rows at once."""
    placed = Placement.select(Placement.id).where(Placement.grant == Grant.id, Placement.state == "there")
    at_home = placed.where(Placement.router == Grant.router)
    local, asking = (Router.select(Router.id).where(Router.mode == mode) for mode in ("local", "radius"))
    begun = Grant.starts_at.is_null(False)
    known_home = (Grant.router.in_(local) & fn.EXISTS(at_home)) | (Grant.router.in_(asking) & begun)
    somewhere = fn.EXISTS(placed) | (begun & fn.EXISTS(asking) & ~fn.EXISTS(local))
    return known_home | (Grant.router.is_null() & somewhere)


def _is_open() -> Any:
    """Written out for the same reason as `_is_live`."""
    return Payment.state.in_([SQL("'pending'"), SQL("'prompted'")])


def _is_waiting() -> Any:
    return (Payment.state == "paid") & _is_live() & ~_is_let_in()


def _is_live() -> Any:
    """Written out, so that SQLite may use the index over live grants alone: a bound value would hide it."""
    return Grant.state == SQL("'live'")


def _sales(*conditions: Any, order: Any, limit: int) -> list[Sale]:
    rows = (
        Payment.select(Payment, Plan, Grant, _is_let_in().alias("let_in"))
        .join(Plan)
        .switch(Payment)
        .join(Grant, JOIN.LEFT_OUTER, on=(Grant.payment == Payment.id), attr="grant")
        .where(*conditions)
        .order_by(order)
        .limit(limit)
    )
    return [Sale(row, row.grant, _status(row.state, row.grant, bool(row.let_in))) for row in rows]


def _status(state: str, grant: Grant | None, let_in: bool) -> str:
    if grant is not None and grant.provisional and grant.state == "live":
        return "unverified"
    if state != "paid" or grant is None:
        return state
    if grant.state == "ended":
        return "ended"
    return "online" if let_in else "paid"


def _asking_steps(payment: Payment) -> list[Step]:
    steps = [Step(payment.created_at, f"created{_by_whom(payment)}", {"plan": payment.plan.name, "mac": payment.mac})]
    if payment.prompted_at:
        steps.append(Step(payment.prompted_at, "prompted"))
    return steps


def _call_steps(payment: Payment) -> list[Step]:
    """What M-Pesa, or somebody who pretends to be it, sent to this payment's own address."""
    calls = Inbox.select().where(Inbox.payment == payment).order_by(Inbox.id)
    return [
        Step(
            call.received_at, "call_repeated" if call.repeats else "call",
            {"outcome": call.outcome, "source": call.source, "repeats": call.repeats, "raw": bytes(call.body)},
            bad=not call.outcome.startswith(WENT_WELL),
        )
        for call in calls
    ]  # fmt: skip


def _ending_steps(payment: Payment) -> list[Step]:
    steps = []
    if payment.paid_at:
        data = {"receipt": payment.receipt, "witness": payment.witness}
        steps.append(Step(payment.paid_at, f"paid{_by_whom(payment)}", data))
    if payment.closed_at and payment.state in ("failed", "expired", "reversed"):
        steps.append(Step(payment.closed_at, payment.state, _why(payment), bad=True))
    if payment.confirmed_at and payment.witness not in ("query", "staff"):
        steps.append(Step(payment.confirmed_at, "confirmed"))
    return steps


def _by_whom(payment: Payment) -> str:
    """Not every sale was asked for at the portal: some are sold for cash, or with held money that a person gave."""
    if payment.provider == "cash":
        return "_cash"
    return "_given" if payment.witness == "staff" else ""


def _why(payment: Payment) -> dict[str, str]:
    return {"code": payment.result_code, "provider": payment.provider}


def _grant_steps(grant: Grant) -> list[Step]:
    steps = [Step(grant.created_at, "granted", {"seconds": grant.seconds})]
    if grant.starts_at:
        steps.append(Step(grant.starts_at, "begun"))
    end = _end_of(grant)
    if end:
        data = {"credited_s": grant.credited_s}
        steps.append(Step(end, "ended" if grant.state == "ended" else "ends", data))
    return steps


def _end_of(grant: Grant) -> Any:
    """When its time ends, or ended early because its money went back."""
    payment = grant.payment
    if grant.state == "ended" and payment is not None and payment.state == "reversed" and payment.closed_at:
        return min(payment.closed_at, grant.ends_at or payment.closed_at)
    return grant.ends_at


def _placement_steps(grant: Grant) -> list[Step]:
    rows = Placement.select(Placement, Router).join(Router).where(Placement.grant == grant)
    steps = []
    for placement in list(rows.order_by(Placement.id)):
        data = {"router": placement.router.name, "words": placement.words}
        if placement.written_at:
            steps.append(Step(placement.written_at, "placed", data))
        if placement.state == "wanted":
            steps.append(Step(placement.written_at or grant.created_at, "wanted", data, bad=bool(placement.words)))
        elif placement.state in ("leaving", "gone") and _end_of(grant):
            steps.append(Step(_end_of(grant), placement.state, data))
    return steps


def _message_steps(message: Message, tried_at: datetime) -> list[Step]:
    steps = [Step(message.created_at, "text_queued")]
    if message.state == "sent":
        steps.append(Step(message.sent_at, "text_sent"))
    elif message.state != "queued":
        steps.append(Step(tried_at, f"text_{message.state}", {"words": message.words}, bad=True))
    return steps


def _job_steps(job: Job) -> list[Step]:
    """Each attempt that went wrong, and how the work stands or ended."""
    steps = [
        Step(datetime.fromisoformat(note["at"]), "job_error", {"job": job.name, **note}, bad=True)
        for note in job.errors
    ]
    if job.state == "cancelled" or (job.state == "done" and job.name in TELL_THEMSELVES):
        return steps
    at = {"done": job.finished_at, "failed": job.finished_at, "running": job.started_at}.get(job.state, job.run_at)
    data = {"job": job.name, "attempt": job.attempt, "tries": job.tries}
    return [*steps, Step(at or job.created_at, f"job_{job.state}", data, bad=job.state == "failed")]
