"""Why is this guest not online? One question, answered from rows at once and by his routers a moment later."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from edge import jobs
from edge.database import transaction
from edge.domain import access, asking, events, guest_checks, guest_codes, lanes, reports, wishes
from edge.domain.guest_checks import Case, Finding
from edge.errors import BadInput
from edge.models import Event, Grant, Job, Payment, Placement, Router
from edge.network_models import Device, Session
from edge.values.guest_look import GuestLook
from edge.values.mac import read_mac
from edge.values.msisdn import read_msisdn

T = TypeVar("T")

LOOKED = "guest.looked"
FRESH = timedelta(seconds=20)  # a look so young is not taken again
KEPT = timedelta(minutes=2)  # an older one tells of another time
EVENTS_BACK = 2_000  # among which the last look is searched for
MOST_ROUTERS = 8
MOST_TYPED = 300
LOST_AFTER = timedelta(seconds=30)  # work that nobody has begun by then will not be done while somebody waits


@dataclass(frozen=True)
class Subject:
    """Whom it is about, as far as rows know him; `name` is his code, also one that nobody was granted."""

    typed: str
    payment: Payment | None = None
    grant: Grant | None = None
    name: str = ""
    mac: str = ""
    is_known: bool = True  # some row knows what was typed

    @property
    def key(self) -> str:
        """What his looks are kept under; says nothing to whoever reads it."""
        who = f"{self.grant.id if self.grant else ''}|{self.name}|{self.mac}"
        return hashlib.blake2b(who.encode("utf-8", "replace"), digest_size=10).hexdigest()


@dataclass(frozen=True)
class Examination:
    """All that was found, in the order of the way from his money to his device."""

    subject: Subject
    router: Router | None  # where he seems to stand
    findings: list[Finding]
    is_asking: bool = False  # a router is being asked: look again in a moment
    looked_at: datetime | None = None
    routers: list[Router] = field(default_factory=list)  # all that are asked

    @property
    def first_problem(self) -> Finding | None:
        """What stands in the way, seen from his money."""
        return next((finding for finding in self.findings if finding.state == "problem"), None)

    @property
    def is_well(self) -> bool:
        """Nothing was found that stands in his way."""
        return self.first_problem is None


def find(typed: str) -> Subject:
    """Whoever is meant by a phone number, code, MAC, M-Pesa receipt or reference (WIFI12); BadInput for nothing."""
    typed = typed.strip()[:MOST_TYPED]
    if not typed:
        raise BadInput("Type a phone number, a code, a device's address or an M-Pesa receipt.", "q")
    found = _by_phone(typed) or _by_mac(typed) or _by_code(typed) or _by_payment(typed)
    return found or _nobody(typed)


def examine(subject: Subject, now: datetime, looks: dict[int, GuestLook] | None = None) -> Examination:
    """Judge him by the rows; and by `looks`, a router's number → what it saw, else by those kept lately."""
    routers = routers_for(subject)
    kept = _kept(subject, now) if looks is None else {router: (look, now) for router, look in looks.items()}
    router = _where(subject, routers, {router: look for router, (look, _) in kept.items()})
    look, looked_at = kept.get(router.id, (None, None)) if router else (None, None)
    asking = _asking(subject, routers, now) if looks is None else "done"
    case = Case(
        subject.payment, subject.grant, subject.name, subject.mac, subject.is_known, router, look, asking, now
    )
    return Examination(subject, router, guest_checks.judge(case), asking == "asked", looked_at, routers)


def routers_for(subject: Subject) -> list[Router]:
    """Where he may stand: his own router, else those with his code, else all of them."""
    everyone = {router.id: router for router in Router.select().order_by(Router.id)}
    if subject.grant is not None and subject.grant.router_id in everyone:
        return [everyone[subject.grant.router_id]]
    if subject.grant is not None:
        placed = Placement.select(Placement.router).where(
            Placement.grant == subject.grant, Placement.state.in_(("wanted", "there", "leaving"))
        )
        known = [everyone[row] for (row,) in placed.tuples() if row in everyone]
        asking = [router for router in everyone.values() if router.mode == "radius"]
        if known or asking:
            return [*known, *asking][:MOST_ROUTERS]
    return list(everyone.values())[:MOST_ROUTERS]


@transaction
def ask_routers(subject: Subject, now: datetime) -> int:
    """Promise a look at every router where he may stand; returns how many were not asked just now already."""
    if not subject.name and not subject.mac:
        return 0  # nothing of his could be recognised there
    fresh = {router for router, (_, at) in _kept(subject, now).items() if now - at < FRESH}
    asked = 0
    for router in routers_for(subject):
        if router.id in fresh or not router.username:
            continue
        asked += bool(
            jobs.promise(
                "guest.look", "router-checks", now, priority=jobs.HIGH, timeout_s=25, lane=lanes.of_router(router.id),
                args={
                    "router_id": router.id, "about": subject.key, "username": subject.name, "mac": subject.mac,
                }, unique_key=_look_key(subject, router), cause=_cause(subject),
            )
        )  # fmt: skip
    return asked


@transaction
def record_look(about: str, router_id: int, look: GuestLook, now: datetime) -> None:
    """What a router saw. An event is its place: it is kept for a while, in order, and pages that wait hear of it."""
    router = Router.get_or_none(Router.id == router_id)
    if router is not None:
        events.record(LOOKED, now, router=router.name, router_id=router_id, about=about, seen=look.as_document())


# What can be done about it by one press


@transaction
def cure(subject: Subject, what: str, router_id: int | None, now: datetime) -> None:
    """Promise the work of one cure; BadInput when it can't help this guest."""
    if what == "recheck":
        asking.recheck(_needed(subject.payment, "There is no payment to ask M-Pesa about."), now)
        return
    row: Router | None = Router.get_or_none(Router.id == router_id)
    router = _needed(row, "This router is not known any more.")
    if what == "check":
        jobs.promise(
            "router.check", "router-checks", now, args={"router_id": router.id}, priority=jobs.HIGH,
            lane=lanes.of_router(router.id), unique_key=f"check:{router.id}",
        )  # fmt: skip
        return
    grant = _needed(subject.grant, "Nobody was granted anything here.")
    if grant.state != "live":
        raise BadInput("His time is over: he needs to buy more.", "cure")
    if what == "place":
        if router.mode != "local":
            raise BadInput(f"Router {router.name} asks the box by RADIUS: nothing has to be written there.", "cure")
        access.place(grant, router, now)
    elif what in ("again", "free"):
        wishes.promise(
            f"guest.{what}", f"{what}:{grant.id}:{router.id}", router.id, now,
            args={"grant_id": grant.id, "mac": subject.mac}, cause=f"grant:{grant.id}",
        )  # fmt: skip
    else:
        raise BadInput("There is no such cure.", "cure")


def _needed(found: T | None, words: str) -> T:
    if found is None:
        raise BadInput(words, "cure")
    return found


# Finding him


def _by_phone(typed: str) -> Subject | None:
    try:
        msisdn = read_msisdn(typed)
    except BadInput:
        return None
    payment = Payment.select().where(Payment.msisdn == msisdn).order_by(Payment.id.desc()).first()
    grant = _best(Grant.msisdn == msisdn)
    return None if payment is None and grant is None else _subject(typed, payment, grant)


def _by_mac(typed: str) -> Subject | None:
    try:
        mac = read_mac(typed)
    except BadInput:
        return None
    grant = _best(Grant.mac == mac)
    if grant is None or grant.state != "live":
        device = Device.get_or_none(Device.mac == mac)
        stay = Session.select().where(Session.mac == mac, Session.grant.is_null(False))
        last = stay.order_by(Session.id.desc()).first()
        grant = device.grant if device else last.grant if last and not (grant and last.grant.state != "live") else grant
    payment = Payment.select().where(Payment.mac == mac).order_by(Payment.id.desc()).first()
    return None if payment is None and grant is None else _subject(typed, payment, grant, mac)


def _by_code(typed: str) -> Subject | None:
    grant = guest_codes.named(typed)
    return None if grant is None else _subject(typed, None, grant)


def _by_payment(typed: str) -> Subject | None:
    found = reports.find_payments(typed, 1)
    if not found:
        return None
    return _subject(typed, found[0].payment, found[0].grant)


def _nobody(typed: str) -> Subject:
    """No row knows it: a number or a device that never bought, else perhaps a code that somebody wrote on a router."""
    try:
        read_msisdn(typed)
        return Subject(typed, is_known=False)
    except BadInput:
        pass  # no phone number
    try:
        return Subject(typed, mac=read_mac(typed), is_known=False)
    except BadInput:
        return Subject(typed, name=_printable(typed), is_known=False)


def _subject(typed: str, payment: Payment | None, grant: Grant | None, mac: str = "") -> Subject:
    """A right that is live counts more than a newer payment that came to nothing; with neither, the newer."""
    if grant is not None and payment is not None and grant.payment_id != payment.id:
        if grant.state == "live" or payment.created_at <= grant.created_at:
            payment = grant.payment
        else:
            grant = Grant.get_or_none(Grant.payment == payment)
    elif grant is None and payment is not None:
        grant = Grant.get_or_none(Grant.payment == payment)
    elif grant is not None:
        payment = grant.payment
    mac = mac or _device_of(grant, payment)
    return Subject(typed, payment, grant, grant.username if grant else "", mac)


def _device_of(grant: Grant | None, payment: Payment | None) -> str:
    """The device he is online with, or was last, or bought with."""
    if grant is not None:
        last = Session.select().where(Session.grant == grant, Session.mac != "").order_by(Session.id.desc()).first()
        if last is not None:
            return str(last.mac)
        if grant.mac:
            return str(grant.mac)
    return str(payment.mac) if payment is not None else ""


def _best(condition: Any) -> Grant | None:
    """The newest live grant, else the newest."""
    rows = list(Grant.select().where(condition).order_by(Grant.id.desc()).limit(20))
    return next((grant for grant in rows if grant.state == "live"), rows[0] if rows else None)


def _printable(typed: str) -> str:
    return "".join(letter for letter in typed if letter.isprintable())


# What routers saw


def _kept(subject: Subject, now: datetime) -> dict[int, tuple[GuestLook, datetime]]:
    """The last look of each router, if it is of these minutes."""
    rows = Event.select().where(
        Event.id > events.last_id() - EVENTS_BACK, Event.name == LOOKED, Event.at > now - KEPT
    )
    found: dict[int, tuple[GuestLook, datetime]] = {}
    for event in list(rows.order_by(Event.id)):
        if event.data.get("about") == subject.key:
            found[event.data["router_id"]] = (GuestLook.of_document(event.data["seen"]), event.at)
    return found


def _where(subject: Subject, routers: list[Router], looks: dict[int, GuestLook]) -> Router | None:
    """Where most speaks for him; what was not asked yet speaks for nothing."""
    if not routers:
        return None
    seen = Session.select(Session.router).where(
        Session.grant == subject.grant, Session.ended_at.is_null(), Session.router.is_null(False)
    ) if subject.grant else ()  # fmt: skip
    online = {row.router_id for row in seen}

    def weight(router: Router) -> tuple[int, bool, bool]:
        look = looks.get(router.id)
        return (look.presence if look else 0, router.id in online, router.down_since is None)

    return max(routers, key=weight)


def _asking(subject: Subject, routers: list[Router], now: datetime) -> str:
    """`asked` while a look is promised, `lost` when nobody takes it up, else `done`."""
    keys = [_look_key(subject, router) for router in routers]
    open_ones = list(Job.select().where(jobs.IS_OPEN, Job.unique_key.in_(keys)))
    if not open_ones:
        return "done"
    return "asked" if any(now - job.created_at < LOST_AFTER for job in open_ones) else "lost"


def _look_key(subject: Subject, router: Router) -> str:
    return f"look:{subject.key}:{router.id}"


def _cause(subject: Subject) -> str:
    return f"grant:{subject.grant.id}" if subject.grant else ""

