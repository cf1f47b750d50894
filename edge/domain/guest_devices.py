"""TVs and consoles, which can fill in no form: let in by their MAC, on a guest's grant and within his plan."""

from datetime import datetime
from typing import Any

from peewee import fn

from edge import jobs
from edge.database import transaction
from edge.domain import access, events, guest_logins, lanes
from edge.errors import BadInput
from edge.models import Grant, Placement, Router
from edge.network_models import Device
from edge.values.codes import mask_code
from edge.values.mac import mask_mac, read_mac

LONGEST_LABEL = 40
GUEST = "guest"  # who added it; else the name of the member of staff


@transaction
def add(grant: Grant, typed: str, label: str, by: str, now: datetime) -> Device:
    """Let the device of this MAC in on this grant, and promise the work; BadInput says what stands in the way."""
    mac = _read(typed)
    grant = Grant.get_by_id(grant.id)
    if grant.state != "live":
        raise BadInput("This time is over: no device can be added to it.", "mac")
    known: Device | None = Device.get_or_none(Device.mac == mac)
    if known is not None and known.grant_id == grant.id:
        return known
    if known is not None and known.grant.state == "live":
        raise BadInput("This device is on somebody's time already. It has to be taken off there first.", "mac")
    owner = guest_logins.of_mac(mac) if by == GUEST else None
    if owner is not None and owner.id != grant.id:  # else anybody's phone could be taken for a TV
        raise BadInput("This device has time of its own already.", "mac")
    if grant.devices < 2:
        raise BadInput("This plan is for one device. To put a TV online beside it, choose a plan for two.", "mac")
    if seats(grant) < 2:
        raise BadInput(
            f"This plan is for {grant.devices} devices, and one place stays for your phone. "
            "Take off a device first.", "mac",
        )  # fmt: skip
    if known is not None:
        known.delete_instance()
    label = "".join(letter for letter in label if letter.isprintable()).strip()[:LONGEST_LABEL]
    device: Device = Device.create(grant=grant, mac=mac, label=label, added_by=by, created_at=now)
    _promise_placements(grant, now)
    events.record("device.added", now, mac=mask_mac(mac), username=mask_code(grant.username), by=by)
    return device


@transaction
def remove(device: Device, by: str, now: datetime) -> None:
    """Off the grant, and off the routers."""
    if Device.delete().where(Device.id == device.id).execute():
        for router in list(Router.select(Router.id)):  # also by RADIUS: the session that runs has to be ended
            _promise_withdrawal(device.mac, router.id, device.grant_id, now)
        events.record("device.removed", now, mac=mask_mac(device.mac), by=by)


def forget_ended_if_due(now: datetime) -> int:
    """Look without a lock, and write only when there is something to forget."""
    return forget_ended(now) if _ended().exists() else 0


@transaction
def forget_ended(now: datetime) -> int:
    """The grant's end is the end of its devices; returns how many were forgotten."""
    over = list(_ended())
    for device in over:
        device.delete_instance()
        events.record("device.removed", now, mac=mask_mac(device.mac), by="")
    return len(over)


def of_grant(grant: Grant) -> list[Device]:
    """The TVs and consoles on this grant, in the order they came."""
    return list(Device.select().where(Device.grant == grant.id).order_by(Device.id))


def everything() -> list[Device]:
    """All there are, with their grants."""
    return list(Device.select(Device, Grant).join(Grant).order_by(Device.id))


def get(typed: str) -> Device:
    """The device of this MAC."""
    device: Device | None = Device.get_or_none(Device.mac == _read(typed))
    if device is None:
        raise BadInput("No device of this address was added.", "mac")
    return device


def live(mac: str) -> Device | None:
    """The device of this MAC, if its grant is live."""
    found: Device | None = (
        Device.select(Device, Grant).join(Grant).where(Device.mac == mac, Grant.state == "live").first()
    )
    return found


def seats(grant: Grant) -> int:
    """How many devices may log in with the code itself: those of the plan less the ones let in by their MAC."""
    return int(grant.devices) - int(Device.select().where(Device.grant == grant.id).count())


def lets_in_by_mac(router: Router) -> bool | None:
    """May a device come in by its MAC at this router? None while the router has not told."""
    facts: dict[str, Any] = router.facts or {}
    told = facts.get("login_by")
    ways = told.split(",") if isinstance(told, str) else told
    return "mac" in ways if isinstance(ways, list) and ways else None


@transaction
def record_not_withdrawn(mac: str, router_id: int, grant_id: int, now: datetime) -> None:
    """The router was not told: again next round, until it is, or the device is let in anew."""
    if Router.select().where(Router.id == router_id).exists():
        _promise_withdrawal(mac, router_id, grant_id, now, run_at=now + access.ROUND)


def _promise_placements(grant: Grant, now: datetime) -> None:
    """A grant is placed with all its devices. RADIUS reads the devices themselves: only local routers are told."""
    for placement in list(grant.placements.where(Placement.state.in_(("wanted", "there")))):
        access.promise_placement(grant.id, placement.router_id, now)


def _promise_withdrawal(
    mac: str, router_id: int, grant_id: int, now: datetime, *, run_at: datetime | None = None
) -> None:
    jobs.promise(
        "device.withdraw", "provisioning", now, run_at=run_at, priority=jobs.LOW, lane=lanes.of_router(router_id),
        args={"mac": mac, "router_id": router_id, "grant_id": grant_id}, unique_key=f"undevice:{mac}:{router_id}",
        cause=f"grant:{grant_id}",
    )  # fmt: skip


def _ended() -> Any:
    """Its grant is over and no router has to be told any more, which reads the devices here."""
    told = Placement.select().where(Placement.grant == Device.grant, Placement.state != "gone")
    return Device.select(Device).join(Grant).where(Grant.state != "live", ~fn.EXISTS(told))


def _read(typed: str) -> str:
    """A MAC that one device can have: not everybody's, nobody's or a group's."""
    mac = read_mac(typed)
    if not mac:
        raise BadInput("Please type the device's address. It looks like AA:BB:CC:DD:EE:FF.", "mac")
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise BadInput("This is no device's own address. Look for “MAC address” in its network settings.", "mac")
    return mac
