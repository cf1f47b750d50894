"""M-Pesa's organisation APIs asked: what became of a transaction, send it back, pay out, tell us of payments."""

from datetime import datetime
from functools import partial

from edge.devices.mpesa_org import Addresses, url_faults
from edge.domain import org_requests
from edge.errors import Refused, Unreachable
from edge.handlers.world import Missed, World, WriteDown
from edge.money_models import OrgRequest
from edge.settings import Settings
from edge.values.msisdn import read_msisdn

NO_ADDRESS = "M-Pesa answers at an address of ours, and [web] public_url names none"


def ask_status(world: World, now: datetime, request_id: int) -> WriteDown | Missed | None:
    """Ask what became of a transaction; asking twice harms nobody, and an outage of M-Pesa's is waited for."""
    request = org_requests.to_send(request_id)
    if request is None:
        return None
    by = {"original_conversation_id" if org_requests.is_about_pay_out(request) else "receipt": request.code}
    try:
        answer = world.devices.mpesa_org().transaction_status(_addresses(world.settings, request), **by)
    except Unreachable as reason:
        return Missed(partial(org_requests.record_unasked, request_id, str(reason)), str(reason))
    return partial(org_requests.record_sent, request_id, answer)


def reverse(world: World, now: datetime, request_id: int) -> WriteDown | None:
    """Send a customer's payment back. Never twice."""
    request = org_requests.to_send(request_id)
    if request is None:
        return None
    addresses = _addresses(world.settings, request)
    answer = world.devices.mpesa_org().reversal(addresses, request.code, request.amount_cents, "WiFi refund")
    return partial(org_requests.record_sent, request_id, answer)


def pay_out(world: World, now: datetime, request_id: int) -> WriteDown | None:
    """Pay a phone. Never twice, though M-Pesa would know our id again."""
    request = org_requests.to_send(request_id)
    if request is None:
        return None
    answer = world.devices.mpesa_org().b2c(
        _addresses(world.settings, request), request.originator_id, read_msisdn(request.msisdn), request.amount_cents,
        request.words or "WiFi refund",
    )  # fmt: skip
    return partial(org_requests.record_sent, request_id, answer)


def register(world: World, now: datetime, request_id: int) -> WriteDown | None:
    """Have the payments that customers begin told to the shop's own address."""
    request = org_requests.to_send(request_id)
    if request is None:
        return None
    told = world.settings.mpesa
    if told.c2b == "off":
        raise Refused('[mpesa] c2b is "off": set it to "v2", or "v1" if your app has that product')
    confirmation, validation = c2b_addresses(world.settings, org_requests.c2b_secret(now))
    faults = url_faults(confirmation, live=True) if told.mode == "live" else []
    if faults:
        raise Refused(f"M-Pesa would refuse [web] public_url: {'; '.join(faults)}")
    found = world.devices.mpesa_org().register_c2b(
        confirmation, validation, short_code=request.code, version="v1" if told.c2b == "v1" else "v2"
    )
    words = (
        "addresses were registered before, and M-Pesa changed nothing: if they are not this box's, delete them in the "
        "M-Pesa portal first" if found.already else "registered"
    )  # fmt: skip
    return partial(org_requests.record_done, request_id, words)


def c2b_addresses(settings: Settings, secret: str) -> tuple[str, str]:
    """Where M-Pesa is to confirm and to validate; Refused when the box has no address of its own."""
    public = settings.web.public_url.rstrip("/")
    if not public:
        raise Refused(f"M-Pesa tells payments to an address of ours, and {NO_ADDRESS.rpartition(' and ')[2]}")
    return f"{public}/cb/{secret}/c2b/confirmation", f"{public}/cb/{secret}/c2b/validation"


def _addresses(settings: Settings, request: OrgRequest) -> Addresses:
    public = settings.web.public_url.rstrip("/")
    if not public:
        raise Refused(NO_ADDRESS)
    return Addresses(f"{public}/cb/{request.secret}/result", f"{public}/cb/{request.secret}/timeout")
