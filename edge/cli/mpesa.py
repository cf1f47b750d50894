"""`edge mpesa`: have M-Pesa tell the box of payments by hand, and ask it about a receipt."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from edge.cli.command import BoxGroup, asked, show
from edge.domain import org_requests
from edge.errors import BadInput, EdgeError
from edge.money_models import OrgRequest
from edge.settings import Settings
from edge.worker import work_once

WAIT_S = 30.0


@click.group(cls=BoxGroup)
def mpesa() -> None:
    """M-Pesa's organisation APIs."""


@mpesa.command()
@click.option("--short-code", default="", help="Another than [mpesa] shortcode: a till may need its own number.")
@click.option("--wait", "wait_s", default=WAIT_S, show_default=True, type=click.FloatRange(0, 600), help="Seconds.")
def register(short_code: str, wait_s: float) -> None:
    """Have payments that guests begin themselves (C2B) told to this box. Repeat it when public_url changes."""
    with asked().box() as told:
        if told.mpesa.c2b == "off":
            raise BadInput('[mpesa] c2b is "off": set it to "v2", or "v1" if your app has that product', "c2b")
        request = org_requests.promise_register(short_code or told.mpesa.shortcode, datetime.now(UTC))
        _tell(_wait_for(request, told, wait_s))


@mpesa.command()
@click.argument("receipt")
@click.option("--wait", "wait_s", default=WAIT_S, show_default=True, type=click.FloatRange(0, 600), help="Seconds.")
def ask(receipt: str, wait_s: float) -> None:
    """Ask M-Pesa what became of a transaction. Needs initiator, initiator_password and certificate_file."""
    with asked().box() as told:
        _tell(_wait_for(org_requests.promise_status(receipt, datetime.now(UTC)), told, wait_s))


def _wait_for(request: OrgRequest, told: Settings, wait_s: float) -> OrgRequest:
    """Until it has ended, as long as somebody wants to wait; where no worker runs, the work is done here."""
    if told.queue.mode == "inline":
        work_once(told, ("payments",))
    until = time.monotonic() + wait_s
    while True:
        request = OrgRequest.get_by_id(request.id)
        if request.state not in org_requests.OPEN or time.monotonic() >= until:
            return request
        time.sleep(0.2)


def _tell(request: OrgRequest) -> None:
    document = {"request": request.id, "kind": request.kind, "about": request.code, "state": request.state,
                "words": request.words, "result": request.result}  # fmt: skip

    def lines() -> Iterator[str]:
        if request.state in org_requests.OPEN:
            waits = "it waits for a worker" if request.state == "wanted" else "M-Pesa took it and has not answered yet"
            yield f"Not ended yet: {waits}. Ask again later, or see `edge queue status`."
            return
        yield f"{request.state}: {request.words}"
        parameters = request.result["parameters"] if request.result else {}
        yield from (f"  {name}: {', '.join(filter(None, values))}" for name, values in parameters.items())

    if request.state == "failed":
        raise EdgeError(f"M-Pesa: {request.words}")
    show(document, lines)
