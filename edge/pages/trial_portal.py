"""The free trial on the guest's page: a phone number goes in, and the code comes by text alone."""

from datetime import datetime
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import trials
from edge.errors import BadInput
from edge.pages import portal
from edge.pages.api import read_form
from edge.pages.portal_links import read_told, with_query
from edge.texts import say
from edge.values.msisdn import read_msisdn

LONGEST = 9  # digits of a plan's number


def trial_post() -> HTTPResponse:
    """Text this phone its code; BadInput says in the form why not."""
    given, now = read_form(), _now()
    number = given.get("trial_id", "")
    if not (number.isascii() and number.isdigit() and len(number) <= LONGEST):
        raise BadInput(say("plans.no_trial"), "package_id")
    told = read_told(given)
    msisdn = read_msisdn(given.get("phone_number", "")[:40])
    client = str(request.environ["edge.client"])
    trials.give(int(number), msisdn, told.get("mac_address", ""), client, now, told)
    arrived = {name: value for name, value in told.items() if name != "mac_address"}
    return HTTPResponse("", 303, {"Location": with_query("/trial", {"mac": told.get("mac_address", ""), **arrived})})


def trial_page() -> Any:
    """The text is on its way: the form for its code. Says nothing of whose it is, and may be loaded again."""
    told = read_told({name: request.query.getunicode(name) or "" for name in request.query})
    page = portal.front_page(told, _now(), note=say("portal.trial_sent"), asks_code=True)
    return portal.with_told(page, {"idempotency_key": portal.new_key(), **told})


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
