"""A router read each minute: who is online and how fast, hosts, processor, memory, the line to the internet."""

import re
from dataclasses import replace
from weakref import WeakKeyDictionary

from edge.devices.router import ACTIVE, HOST, Router
from edge.devices.router_rows import first, is_true, number, read_session, seconds
from edge.devices.routeros import Conversation, Row, Trap
from edge.values.router_data import LiveSession, RouterReading

RESOURCE, ROUTE, INTERFACE = "/system/resource", "/ip/route", "/interface"
ACTIVE_COLUMNS = ".id,user,mac-address,address,uptime,bytes-in,bytes-out,session-time-left,radius"
USUAL_UPLINK = "ether1"  # of MikroTik's own default configuration
YOUNG_S = 120  # a session not seen before and younger than this: its mean speed is that of just now

Counters = dict[tuple[str, str], LiveSession]
# Who was online when we last looked, for the speed since. It dies with the connection: then one look shows none.
_last_look: WeakKeyDictionary[Router, Counters] = WeakKeyDictionary()


def read(router: Router) -> RouterReading:
    """One print a menu. What this release or the API user's group does not tell is None; DeviceError without an answer.

    Sources: facts of /system/resource, /ip/hotspot/active and monitor-traffic, RouterOS manual.
    """
    talk = router.conversation
    with talk.held():
        try:
            resource = first(talk.ask(RESOURCE, arguments={".proplist": "uptime,cpu-load,free-memory"}))
            rows = talk.ask(ACTIVE, arguments={".proplist": ACTIVE_COLUMNS}, whole_table=True)
        except Trap as trap:
            error = trap.as_error()
        else:
            hosts = _hosts(talk)
            bps_in, bps_out = _uplink(talk)
            return RouterReading(
                seconds(resource, "uptime"), _with_speed(router, [_session(row) for row in rows]),
                _told(resource, "cpu-load"), _told(resource, "free-memory"), hosts, bps_in, bps_out,
            )  # fmt: skip
    raise error


def _session(row: Row) -> LiveSession:
    return LiveSession(**vars(read_session(row)), by_radius=is_true(row, "radius"))


def _with_speed(router: Router, found: list[LiveSession]) -> list[LiveSession]:
    before = _last_look.get(router, {})
    shown = [_sped(session, before.get((session.user, session.mac))) for session in found]
    _last_look[router] = {(session.user, session.mac): session for session in found}
    return shown


def _sped(session: LiveSession, before: LiveSession | None) -> LiveSession:
    """By the router's own seconds, so that no clock of ours matters."""
    since_s, came_in, went_out = session.uptime_s, session.bytes_in, session.bytes_out
    if before is not None and before.uptime_s <= session.uptime_s:
        since_s -= before.uptime_s
        came_in, went_out = came_in - before.bytes_in, went_out - before.bytes_out
    elif session.uptime_s > YOUNG_S:
        return session
    if since_s <= 0 or came_in < 0 or went_out < 0:
        return session
    return replace(session, bps_in=came_in * 8 / since_s, bps_out=went_out * 8 / since_s)


def _hosts(talk: Conversation) -> int | None:
    try:
        return len(talk.ask(HOST, arguments={".proplist": ".id"}, whole_table=True))
    except Trap:  # seen from the hotspot's users alone is better than not at all
        return None


def _uplink(talk: Conversation) -> tuple[float | None, float | None]:
    """What the line to the internet carries at this moment; None when nobody can tell which line that is."""
    try:
        row = first(talk.ask(INTERFACE, "monitor-traffic", {"interface": _uplink_name(talk), "once": ""}))
    except Trap:
        return None, None
    return _told(row, "rx-bits-per-second"), _told(row, "tx-bits-per-second")


def _uplink_name(talk: Conversation) -> str:
    """The interface of the default route. Version 7 tells it as `10.0.0.1%ether1`, version 6 as `… via ether1`."""
    columns = "gateway,immediate-gw,gateway-status,active"
    try:
        routes = talk.ask(ROUTE, arguments={".proplist": columns}, where={"dst-address": "0.0.0.0/0"})
    except Trap:
        return USUAL_UPLINK
    for row in [row for row in routes if is_true(row, "active")] or routes:
        for told in (row.get("immediate-gw", ""), row.get("gateway-status", ""), row.get("gateway", "")):
            found = re.search(r"%([^\s,%]+)|\bvia\s+([^\s,]+)", told)
            if found:
                return found[1] or found[2]
        if re.fullmatch(r"[A-Za-z][^\s,%]*", row.get("gateway", "")):  # a dial-up line is its own gateway
            return row["gateway"]
    return USUAL_UPLINK


def _told(row: Row, key: str) -> int | None:
    return number(row, key) if row.get(key, "") else None
