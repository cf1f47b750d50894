"""Vouchers on the dashboard: batches made, printed, counted and taken back; one code and where it stands."""

import re
from datetime import datetime, timedelta
from typing import Any

from bottle import HTTPResponse, request

from edge.domain import access, plans, vouchers, vouchers_listed
from edge.errors import BadInput
from edge.models import Grant, Router
from edge.money_models import Voucher
from edge.pages import frame, voucher_words
from edge.pages.dashboard import HTML
from edge.pages.voucher_words import csv_of
from edge.texts import say
from edge.values.codes import mask_code
from edge.values.slip import PAPERS, SHEET
from edge.values.voucher_code import show_code

HERE = "vouchers"
PART = 10 * SHEET  # vouchers of one PDF: a small box draws them in some seconds
BATCHES = 30
FIELDS = ("plan", "count", "name", "seller", "prefix", "length", "value", "expires", "router", "sold")
DONE = ("made", "void", "paid", "reissued")

_MONEY = re.compile(r"(\d{1,7})(?:\.(\d\d?))?", re.ASCII)


def vouchers_page() -> Any:
    """All batches and the form that makes one, for the owner; for everybody the search for a code."""
    typed = frame.asked("q")
    exact = vouchers.named(typed) if typed else None
    if exact is not None:
        return frame.see_other(f"/admin/vouchers/{exact.id}")
    return _list_page(typed, {}, None, 200)


def make_post() -> Any:
    """A new batch, as the form says; what can't be made is said in it."""
    typed = {name: frame.typed(name).strip() for name in FIELDS}
    try:
        batch = _make(typed)
    except BadInput as reason:
        return _list_page("", typed, reason, 400)
    return frame.see_other(f"/admin/vouchers/batches/{batch.id}?did=made")


def batch_page(batch_id: int) -> Any:
    """What became of a batch, and its vouchers."""
    return _batch_page(batch_id, None, 200)


def print_batch(batch_id: int) -> Any:
    """A PDF of those that may still be used, some hundred at a time."""
    found = vouchers_listed.to_print(vouchers_listed.batch(batch_id, _now()).batch, _now())
    part = max(1, frame.number("part") or 1)
    return _pdf(found[(part - 1) * PART : part * PART], f"vouchers-{batch_id}-{part}")


def csv_of_batch(batch_id: int) -> HTTPResponse:
    """All of a batch, for a spreadsheet."""
    batch = vouchers_listed.batch(batch_id, _now()).batch
    body = "".join(csv_of(vouchers_listed.whole(batch, _now()), _now())).encode()
    return HTTPResponse(body, 200, _attached(f"vouchers-{batch_id}.csv", "text/csv; charset=UTF-8"))


def paid_post(batch_id: int) -> Any:
    """The seller has brought the money."""
    batch = vouchers_listed.batch(batch_id, _now()).batch
    vouchers.sell_batch(batch, frame.signed_in(), None, _now())
    return frame.see_other(f"/admin/vouchers/batches/{batch_id}?did=paid")


def void_batch_post(batch_id: int) -> Any:
    """None of its unused ones lets anybody in any more."""
    batch = vouchers_listed.batch(batch_id, _now()).batch
    if frame.typed("sure") != "yes":
        return _batch_page(batch_id, BadInput(say("vouchers.sure_first"), "sure"), 400)
    vouchers.void_batch(batch, frame.signed_in(), frame.typed("words"), _now())
    return frame.see_other(f"/admin/vouchers/batches/{batch_id}?did=void")


def voucher_page(voucher_id: int) -> Any:
    """One voucher: how it stands, and what can be done about it."""
    return _voucher_page(vouchers.get(voucher_id), None, 200)


def print_one(voucher_id: int) -> HTTPResponse:
    """A PDF of this one."""
    return _pdf([vouchers.get(voucher_id)], f"voucher-{voucher_id}")


def void_post(voucher_id: int) -> Any:
    """It lets nobody in any more."""
    voucher = vouchers.get(voucher_id)
    try:
        if frame.typed("sure") != "yes":
            raise BadInput(say("vouchers.sure_first"), "sure")
        vouchers.void(voucher, frame.signed_in(), frame.typed("words"), _now())
    except BadInput as reason:
        return _voucher_page(voucher, reason, 400)
    return frame.see_other(f"/admin/vouchers/{voucher_id}?did=void")


def reissue_post(voucher_id: int) -> Any:
    """Another code for what is left of it."""
    voucher = vouchers.get(voucher_id)
    try:
        new = vouchers.reissue(voucher, frame.signed_in(), _now())
    except BadInput as reason:
        return _voucher_page(voucher, reason, 400)
    return frame.see_other(f"/admin/vouchers/{new.id}?did=reissued")


# What the pages are made of


def _list_page(typed: str, form: dict[str, str], fault: BadInput | None, status: int) -> HTTPResponse:
    is_owner, now = _is_owner(), _now()
    batches = vouchers_listed.batches(now, before=frame.number("before"), limit=BATCHES) if is_owner else []
    found = vouchers_listed.listing(now, typed=typed) if is_owner and len(typed) > 1 else []
    page = frame.page(
        "admin_vouchers.html", HERE, is_owner=is_owner, typed=typed, found=_rows(found), batches=batches,
        older=batches[-1].batch.id if len(batches) == BATCHES else None, form=_filled(form),
        fault="" if fault is None else str(fault), wrong="" if fault is None else fault.field,
        plans=plans.everything(), routers=list(Router.select().order_by(Router.name)), notice=_notice(),
        moment=voucher_words.moment,
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


def _batch_page(batch_id: int, fault: BadInput | None, status: int) -> HTTPResponse:
    now, state = _now(), frame.asked("state")
    counted = vouchers_listed.batch(batch_id, now)
    shown = state if state in vouchers_listed.STATES else ""
    rows = vouchers_listed.listing(now, of=counted.batch, state=shown, after=frame.number("after") or 0)
    good = counted.counts["new"] + counted.counts["sold"]
    page = frame.page(
        "admin_voucher_batch.html", HERE, one=counted, rows=_rows(rows), shown=shown, states=vouchers_listed.STATES,
        next=rows[-1].id if len(rows) == vouchers_listed.PAGE else None, good=good, part=PART,
        parts=range(1, -(-good // PART) + 1), papers=PAPERS,
        fault="" if fault is None else str(fault), notice=_notice(), moment=voucher_words.moment,
        day=voucher_words.last_day,
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


def _voucher_page(voucher: Voucher, fault: BadInput | None, status: int) -> HTTPResponse:
    now, is_owner = _now(), _is_owner()
    grant: Grant | None = vouchers.grant_of(voucher)
    state = vouchers_listed.state_of(voucher, now)
    page = frame.page(
        "admin_voucher.html", HERE, voucher=voucher, state=state, is_owner=is_owner, grant=grant,
        code=show_code(voucher.code) if is_owner else mask_code(voucher.code), gives=voucher_words.what(voucher),
        left=access.left(grant, now) if grant is not None and state != "void" else None,
        heir=Voucher.get_or_none(Voucher.reissue_of == voucher.id), papers=PAPERS,
        fault="" if fault is None else str(fault), notice=_notice(), day=voucher_words.last_day,
        moment=voucher_words.moment,
    )  # fmt: skip
    return HTTPResponse(page, status, HTML)


def _rows(found: list[Voucher]) -> list[tuple[Voucher, str, str]]:
    return [(voucher, show_code(voucher.code), vouchers_listed.state_of(voucher, _now())) for voucher in found]


def _filled(form: dict[str, str]) -> dict[str, str]:
    """The form as it was typed, or as it is offered."""
    return {**dict.fromkeys(FIELDS, ""), "count": "24", "length": str(vouchers.LENGTH), **form}


def _notice() -> str:
    did = frame.asked("did")
    return say(f"vouchers.did_{did}") if did in DONE else ""


def _pdf(found: list[Voucher], name: str) -> HTTPResponse:
    web = request.app.config["edge.settings"].web
    portal = voucher_words.portal_address(web.host, web.port)
    body = voucher_words.pdf(found, portal, frame.asked("paper") or "a4", _now())
    return HTTPResponse(body, 200, _attached(f"{name}.pdf", "application/pdf"))


def _attached(name: str, kind: str) -> dict[str, str]:
    return {"Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'}


# What the form says


def _make(typed: dict[str, str]) -> Any:
    if not typed["plan"].isdigit():
        raise BadInput(say("vouchers.no_plan"), "plan")
    router_id = _whole(typed["router"], "router") if typed["router"] else None
    return vouchers.make(
        plans.get(_whole(typed["plan"], "plan")), _whole(typed["count"], "count"), _now(), name=typed["name"],
        prefix=typed["prefix"], length=_whole(typed["length"], "length"), value_cents=_cents(typed["value"]),
        seller=typed["seller"], router=None if router_id is None else Router.get_or_none(Router.id == router_id),
        expires_at=_end_of_day(typed["expires"]), staff=frame.signed_in(), sold=typed["sold"] == "yes",
    )  # fmt: skip


def _whole(typed: str, field: str) -> int:
    if not (typed.isascii() and typed.isdigit() and len(typed) < 10):
        raise BadInput(say("vouchers.bad_number"), field)
    return int(typed)


def _cents(typed: str) -> int | None:
    if not typed:
        return None
    found = _MONEY.fullmatch(typed)
    if found is None:
        raise BadInput(say("vouchers.bad_money"), "value")
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))


def _end_of_day(typed: str) -> datetime | None:
    """The first moment of the next day on the shop's wall: one may begin on the whole of this one."""
    if not typed:
        return None
    try:
        day = datetime.strptime(typed, "%Y-%m-%d").replace(tzinfo=frame.shop_zone())
        return day + timedelta(days=1)
    except (ValueError, OverflowError):
        raise BadInput(say("vouchers.bad_date"), "expires") from None


def _is_owner() -> bool:
    return frame.signed_in().role in frame.SEES_SECRETS


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
