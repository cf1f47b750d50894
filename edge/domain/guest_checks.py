"""The dozen looks at one guest, from his money to his device: each well, a problem or not known, and what cures it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from edge.database import db
from edge.domain import access, clock, sessions
from edge.models import Check, Grant, Payment, Placement, Router
from edge.network_models import Device, Login, Session
from edge.values.guest_look import GuestLook, SeenSession
from edge.values.mac import is_private
from edge.values.mpesa_words import explain

HEARD = timedelta(minutes=5)  # parts are asked every minute: an older word counts as none
LATELY = timedelta(minutes=15)
CLOCK_MAY_DIFFER_S = 60
OK, PROBLEM, UNKNOWN = "ok", "problem", "unknown"


@dataclass(frozen=True)
class Finding:
    """One part: its state, the name of its sentence in the catalogue with what goes into it, and the cures there are.

    Cures: recheck (M-Pesa), check (the router), place (his code again), again (kick, and log in anew), free (kick the
    other devices).
    """

    part: str
    state: str  # ok, problem, unknown
    words: str
    data: dict[str, Any] = field(default_factory=dict)
    cures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """All that is known of one guest; `asking` is how far the look is: asked, lost (nobody takes it up) or done."""

    payment: Payment | None
    grant: Grant | None
    name: str
    mac: str
    is_known: bool
    router: Router | None
    look: GuestLook | None
    asking: str
    now: datetime

    @property
    def is_live(self) -> bool:
        return self.grant is not None and self.grant.state == "live"

    @property
    def where(self) -> dict[str, str]:
        return {"router": self.router.name if self.router else "–"}

    @property
    def seen(self) -> GuestLook | None:
        """What the router told, if it could be asked."""
        return self.look if self.look is not None and not self.look.trouble else None

    @property
    def his_sessions(self) -> list[SeenSession]:
        return [one for one in (self.seen and self.seen.sessions) or () if one.is_his_code]

    @property
    def is_online(self) -> bool:
        """By the router's word just now, else by the sessions that were read of it lately."""
        if self.seen is not None and self.seen.sessions is not None:
            return bool(self.his_sessions)
        return _session_row(self) is not None


def judge(case: Case) -> list[Finding]:
    """Every part in the order of the way; the first problem among them is what stands in it.

    Once he has paid, M-Pesa stands in nobody's way any more, and comes last.
    """
    is_paid = case.payment is None or case.payment.state == "paid"
    looks = (*PAID_ORDER, _mpesa) if is_paid else (_mpesa_while_unpaid, _payment, *PAID_ORDER[1:])
    return [look(case) for look in looks]


# His money


def _payment(case: Case) -> Finding:
    payment, grant = case.payment, case.grant
    if payment is None:
        if grant is not None:
            return Finding("payment", OK, "payment_not_needed", {"why": grant.why})
        return Finding("payment", PROBLEM, "payment_none" if not case.is_known else "payment_unknown")
    told = {"at": payment.paid_at or payment.prompted_at or payment.created_at, "cents": payment.amount_cents}
    cures = ("recheck",) if payment.checkout_request_id is not None else ()
    if payment.state == "paid":
        return Finding("payment", OK, "payment_paid", told)
    if payment.state == "failed":
        words = explain(payment.result_code).owner if payment.result_code != "push-refused" else ""
        return Finding("payment", PROBLEM, "payment_failed" if words else "payment_unasked", {**told, "words": words},
                       cures)  # fmt: skip
    return Finding("payment", PROBLEM, f"payment_{payment.state}", told, cures)


def _mpesa(case: Case) -> Finding:
    heard = _heard("mpesa", case.now)
    if heard is None:
        return Finding("mpesa", UNKNOWN, "mpesa_unheard")
    told = {"at": heard.checked_at, "since": heard.changed_at, "words": heard.words}
    return Finding("mpesa", OK, "mpesa_ok", told) if heard.state == OK else Finding("mpesa", PROBLEM, "mpesa_bad", told)


def _mpesa_while_unpaid(case: Case) -> Finding:
    """It explains why nothing is paid only to somebody who tried."""
    found = _mpesa(case)
    tried = case.payment is not None and (case.payment.is_open or case.payment.state == "expired")
    return found if tried or found.state != PROBLEM else Finding("mpesa", UNKNOWN, found.words, found.data)


# His right


def _grant(case: Case) -> Finding:
    grant = case.grant
    if grant is None:
        is_paid = case.payment is not None and case.payment.state == "paid"
        return Finding("grant", PROBLEM, "grant_missing" if is_paid else "grant_none")
    if grant.state != "live":
        why = grant.why_ended if grant.why_ended in ("data", "staff") else "time"
        return Finding("grant", PROBLEM, f"grant_over_{why}", {"at": grant.ends_at})
    left = access.left(grant, case.now)
    told = {"seconds": left.seconds, "until": grant.ends_at, "bytes": left.bytes, "credited_s": grant.credited_s}
    if left.is_nothing:
        return Finding("grant", PROBLEM, "grant_out_time" if left.seconds <= 0 else "grant_out_data", told)
    if grant.metered:
        return Finding("grant", OK, "grant_metered", told)
    return Finding("grant", OK, "grant_live" if grant.ends_at is not None else "grant_unbegun", told)


# His router


def _router(case: Case) -> Finding:
    router, look = case.router, case.look
    if router is None:
        return Finding("router", PROBLEM, "router_none")
    told: dict[str, Any] = dict(case.where)
    if case.seen is not None:
        if case.seen.hotspot:
            return Finding("router", PROBLEM, "router_bad", {**told, "words": case.seen.hotspot}, ("check",))
        return Finding("router", OK, "router_ok", told)
    if router.down_since is not None:
        return Finding("router", PROBLEM, "router_away", {**told, "since": router.down_since}, ("check",))
    if look is not None:
        return Finding("router", PROBLEM, "router_trouble", {**told, "words": look.trouble}, ("check",))
    if router.mode == "radius" and not router.username:
        return Finding("router", UNKNOWN, "router_silent", told)
    heard = _heard(f"router:{router.name}", case.now)
    if heard is None:
        return Finding("router", UNKNOWN, "router_unheard", told, ("check",))
    told |= {"words": heard.words, "at": heard.checked_at}
    if heard.state != OK:
        return Finding("router", PROBLEM, "router_bad", told, ("check",))
    return Finding("router", OK, "router_heard", told)


def _radius(case: Case) -> Finding:
    """Would it say yes? Judged by the very views that FreeRADIUS reads."""
    if case.router is not None and case.router.mode != "radius":
        return Finding("radius", OK, "radius_unused", case.where)
    if not case.name or case.router is None:
        return Finding("radius", UNKNOWN, "radius_no_code")
    heard = _heard("radius", case.now)
    if heard is not None and heard.state != OK:
        return Finding("radius", PROBLEM, "radius_down", {"words": heard.words})
    check, reply = (_attributes(view, case.name) for view in ("radcheck", "radreply"))
    if "Cleartext-Password" not in check:
        words = reply.get("Reply-Message", "")
        return Finding("radius", PROBLEM, "radius_no" if words else "radius_stranger", {"words": words})
    refused = _refused_lately(case)
    if refused is not None:
        return Finding("radius", PROBLEM, "radius_refused", {"at": refused.at, "words": refused.words}, ("again",))
    seconds = reply.get("Session-Timeout", "")
    told = {"seconds": int(seconds) if seconds.isascii() and seconds.isdigit() else 0}
    return Finding("radius", OK if heard is not None else UNKNOWN, "radius_yes" if heard else "radius_unheard", told)


def _user(case: Case) -> Finding:
    router = case.router
    if router is None or not case.name:
        return Finding("user", UNKNOWN, "user_no_code")
    if router.mode == "radius":
        rows = case.seen.users if case.seen is not None else None
        if rows:  # RADIUS is asked only about names that are not in the router's own table
            return Finding("user", PROBLEM, "user_shadows", case.where)
        return Finding("user", OK, "user_by_radius", case.where)
    if case.grant is None:
        return _stranger(case)
    if not case.is_live:
        return Finding("user", UNKNOWN, "no_right")
    if case.seen is not None and case.seen.users is not None:
        return _user_seen(case)
    return _user_by_rows(case, router)


def _stranger(case: Case) -> Finding:
    """A name that nobody was granted: perhaps the router has it all the same."""
    users = case.seen.users if case.seen is not None else None
    if users is None:
        return _behind(case, "user")
    if not users:
        return Finding("user", PROBLEM, "user_nowhere", case.where)
    return Finding("user", PROBLEM, "user_foreign", case.where)


def _user_seen(case: Case) -> Finding:
    """By the router's own table, just now."""
    rows = (case.seen and case.seen.users) or ()
    if not rows:
        return Finding("user", PROBLEM, "user_lost", case.where, ("place",))
    if not all(row.is_ours for row in rows):
        return Finding("user", PROBLEM, "user_foreign", case.where)
    if all(row.disabled for row in rows):
        return Finding("user", PROBLEM, "user_disabled", case.where, ("place",))
    if any(row.left_s == 0 or row.left_bytes == 0 for row in rows):
        return Finding("user", PROBLEM, "user_used_up", case.where, ("check",))
    bound = next((row.bound_to for row in rows if row.bound_to), "")
    if bound and case.mac and bound[-5:] != case.mac[-5:]:
        return Finding("user", PROBLEM, "user_bound", {**case.where, "mac": bound})
    return Finding("user", OK, "user_there", case.where)


def _user_by_rows(case: Case, router: Router) -> Finding:
    placement = Placement.get_or_none(Placement.grant == case.grant, Placement.router == router)
    if placement is None or placement.state != "there":
        words = placement.words if placement is not None else ""
        return Finding("user", PROBLEM, "user_refused" if words else "user_wanted", {**case.where, "words": words},
                       ("place",))  # fmt: skip
    told = {**case.where, "at": placement.written_at}
    if router.down_since is not None or (case.look is not None and case.look.trouble):
        return Finding("user", UNKNOWN, "user_told", told)
    return Finding("user", OK, "user_told", told)


# His device


def _device(case: Case) -> Finding:
    if not case.mac:
        online = case.his_sessions
        if online:
            return Finding("device", OK, "device_online", {"ip": online[0].ip})
        return Finding("device", UNKNOWN, "device_unknown")
    if case.seen is None or case.seen.hosts is None:
        return _behind(case, "device")
    told = {**case.where, "mac": case.mac, "is_private": is_private(case.mac)}
    if case.seen.is_blocked:
        return Finding("device", PROBLEM, "device_blocked", told)
    if case.seen.hosts:
        return Finding("device", OK, "device_here", {**told, "ip": case.seen.hosts[0].ip})
    if case.his_sessions:
        return Finding("device", OK, "device_other", told)
    return Finding("device", PROBLEM, "device_away_private" if told["is_private"] else "device_away", told)


def _lease(case: Case) -> Finding:
    if not case.mac:
        return Finding("lease", UNKNOWN, "device_unknown")
    if case.seen is None or case.seen.leases is None:
        return _behind(case, "lease") if case.seen is None else Finding("lease", UNKNOWN, "lease_untold")
    if any(lease.is_blocked for lease in case.seen.leases):
        return Finding("lease", PROBLEM, "lease_blocked")
    bound = next((lease for lease in case.seen.leases if lease.status == "bound"), None)
    if bound is not None:
        words = "lease_bound_named" if bound.host_name else "lease_bound"
        return Finding("lease", OK, words, {"ip": bound.ip, "host": bound.host_name})
    if not case.seen.hosts:
        return Finding("lease", UNKNOWN, "lease_not_here")
    if case.seen.leases:
        return Finding("lease", PROBLEM, "lease_pending", {"status": case.seen.leases[0].status})
    return Finding("lease", UNKNOWN, "lease_none", {"ip": case.seen.hosts[0].ip})


def _session(case: Case) -> Finding:
    if not case.is_live:
        return Finding("session", UNKNOWN, "no_right")
    if case.seen is None or case.seen.sessions is None:
        row = _session_row(case)
        if row is not None:
            return Finding("session", OK, "session_heard", {"seconds": row.seconds, "bytes": row.bytes_in
                           + row.bytes_out, "at": row.seen_at})  # fmt: skip
        return _behind(case, "session")
    his = case.his_sessions
    if any(one.is_his_device for one in his) or (his and not case.mac):
        one = next((one for one in his if one.is_his_device), his[0])
        return Finding("session", OK, "session_on", {"seconds": one.uptime_s, "bytes": one.bytes})
    other = next((one for one in case.seen.sessions if one.is_his_device and not one.is_his_code), None)
    if other is not None and _is_his_tv(case):
        return Finding("session", OK, "session_on", {"seconds": other.uptime_s, "bytes": other.bytes})
    if other is not None:
        return Finding("session", PROBLEM, "session_of_another", {"code": other.user}, ("again",))
    if his and case.grant is not None and len(his) >= case.grant.devices:
        told = {"count": len(his)}
        if case.seen.hosts:
            return Finding("session", PROBLEM, "session_full", told, ("free",))
        return Finding("session", OK, "session_elsewhere", told, ("free",))
    return Finding("session", PROBLEM, "session_none", case.where, ("again",) if case.seen.hosts else ())


def _is_his_tv(case: Case) -> bool:
    """A TV or console comes in by its MAC, without a code."""
    return case.grant is not None and bool(
        Device.select().where(Device.grant == case.grant.id, Device.mac == case.mac).exists()
    )


def _cookie(case: Case) -> Finding:
    if not case.is_live:
        return Finding("cookie", UNKNOWN, "no_right")
    if case.seen is None or case.seen.cookies is None:
        return _behind(case, "cookie")
    mine = next((one for one in case.seen.cookies if one.is_his_code), None)
    if mine is not None:
        return Finding("cookie", OK, "cookie_his", {"seconds": mine.left_s or 0})
    if any(one.is_his_device for one in case.seen.cookies):
        return Finding("cookie", PROBLEM, "cookie_of_another", {}, ("again",))
    return Finding("cookie", OK, "cookie_none")


# What all guests need


def _garden(case: Case) -> Finding:
    if case.seen is None:
        return _behind(case, "garden")
    if case.seen.garden is None:
        return Finding("garden", UNKNOWN, "garden_untold", case.where)
    if case.seen.garden:
        return Finding("garden", OK, "garden_open", case.where)
    is_in = any(one.is_his_device for one in case.his_sessions)  # who is online needs no way to the portal
    return Finding("garden", UNKNOWN if is_in else PROBLEM, "garden_shut", case.where)


def _uplink(case: Case) -> Finding:
    """The router's own ping; where it may not ping, M-Pesa's answer shows that the box at least has internet."""
    if case.seen is not None and case.seen.uplink is not None:
        return Finding("uplink", OK, "uplink_ok", case.where) if case.seen.uplink else Finding(
            "uplink", PROBLEM, "uplink_gone", case.where
        )
    heard = _heard("mpesa", case.now)
    if heard is not None and heard.state == OK:
        return Finding("uplink", OK if case.seen is not None else UNKNOWN, "uplink_by_mpesa", {"at": heard.checked_at})
    return _behind(case, "uplink") if case.seen is None else Finding("uplink", UNKNOWN, "uplink_untold", case.where)


def _clock(case: Case) -> Finding:
    state = clock.state()
    if state is None or not clock.is_trusted(case.now):
        return Finding("clock", PROBLEM if state is not None else UNKNOWN, "clock_box", {
            "words": state.words if state is not None and not state.trusted else ""})  # fmt: skip
    offset_s = _clock_offset_s(case)
    if offset_s is not None and abs(offset_s) > CLOCK_MAY_DIFFER_S:
        return Finding("clock", PROBLEM, "clock_router", {**case.where, "seconds": abs(round(offset_s))})
    return Finding("clock", OK, "clock_ok" if offset_s is not None else "clock_box_ok", case.where)


def _clock_offset_s(case: Case) -> float | None:
    if case.seen is not None and case.seen.clock_offset_s is not None:
        return case.seen.clock_offset_s
    router = case.router
    if router is None or router.clock_seen_at is None or case.now - router.clock_seen_at > HEARD:
        return None
    return float(router.clock_offset_s)


# Helpers


def _behind(case: Case, part: str) -> Finding:
    """It lies behind a router that has not answered, or will not."""
    if case.router is None:
        return Finding(part, UNKNOWN, "behind_none")
    if (case.look is not None and case.look.trouble) or case.router.down_since is not None:
        return Finding(part, UNKNOWN, "behind_away", case.where)
    if case.seen is not None:
        return Finding(part, UNKNOWN, "behind_untold", case.where)
    words = {"asked": "behind_asked", "lost": "behind_lost"}.get(case.asking, "behind_unasked")
    return Finding(part, UNKNOWN, words, case.where)


def _heard(name: str, now: datetime) -> Check | None:
    found: Check | None = Check.get_or_none(Check.name == name)
    return found if found is not None and now - found.checked_at < HEARD else None


def _attributes(view: str, name: str) -> dict[str, str]:
    """Attribute → value of one name; RADIUS looks codes up in capitals (data/radius/queries.conf)."""
    asked = f"SELECT attribute, value FROM {view} WHERE username = ?"
    return {str(row[0]): str(row[1]) for row in db.execute_sql(asked, (name.upper(),)).fetchall()}


def _refused_lately(case: Case) -> Login | None:
    """The last login of his device, when RADIUS said no to it and he is not online since."""
    if not case.mac or case.is_online:
        return None
    rows = Login.select().where(Login.mac == case.mac, Login.at > case.now - LATELY)
    last: Login | None = rows.order_by(Login.at.desc(), Login.id.desc()).first()
    return last if last is not None and not last.accepted else None


def _session_row(case: Case) -> Session | None:
    if case.grant is None or (case.router is not None and case.router.down_since is not None):
        return None
    rows = Session.select().where(
        Session.grant == case.grant, Session.ended_at.is_null(), Session.seen_at >= case.now - sessions.HEARD
    )
    found: Session | None = rows.order_by(Session.seen_at.desc()).first()
    return found


PAID_ORDER: tuple[Callable[[Case], Finding], ...] = (
    _payment, _grant, _router, _radius, _user, _device, _lease, _session, _cookie, _garden, _uplink, _clock,
)  # fmt: skip
