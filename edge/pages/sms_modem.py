"""The modem on the dashboard: its network and signal, the SIM's airtime, and what to do when it is away."""

from datetime import datetime, timedelta

from bottle import HTTPResponse, request

from edge.domain import airtime, checks, events, modem_samples, queues, reports, text_figures
from edge.pages import frame, signal_chart, texts_words
from edge.sms_models import Airtime, ModemSample
from edge.texts import say

HERE = "/admin/sms/modem"
NEWS = timedelta(minutes=5)  # it is asked every minute
FLIPS = 6
ANSWERS = 12
DONE = ("asked",)


def modem_page() -> str:
    """How it is now, its day, its airtime."""
    now, zone = _now(), frame.shop_zone()
    told = request.app.config["edge.settings"].modem
    slices, answers = modem_samples.day(now), _answers(told.balance_code)
    part = next((part for part in reports.parts(now) if part.name == "modem"), None)
    left_alone = next((row for row in queues.left_alone() if row.name == "modem"), None)
    did = frame.asked("did")
    return frame.page(
        "admin_modem.html", "texts", tw=texts_words, sc=signal_chart, ways=texts_words.ways(now), part=part,
        port=told.port, sample=_fresh(now), slices=slices, chart=signal_chart.chart(slices),
        flips=checks.flips("modem", FLIPS), left_alone=left_alone, waiting=text_figures.left(),
        code=told.balance_code, airtime=airtime.latest(), answers=answers, is_low=airtime.is_too_low(now),
        last=events.last_id(), notice=say(f"texts_page.did_{did}") if did in DONE else "",
        clock_of=lambda slice: f"{slice.start.astimezone(zone):%a %H:%M}",
    )  # fmt: skip


def airtime_post() -> HTTPResponse:
    """A person wants the balance asked for now; a worker, who has the modem, does it."""
    airtime.ask(request.app.config["edge.settings"].modem.balance_code, _now())
    return frame.see_other(f"{HERE}?did=asked")


def _fresh(now: datetime) -> ModemSample | None:
    """What it told last, unless that is no news any more."""
    last = modem_samples.latest()
    return last if last is not None and now - last.at < NEWS else None


def _answers(code: str) -> list[Airtime]:
    """What the network said of the balance, the latest first."""
    return list(Airtime.select().where(Airtime.code == code).order_by(Airtime.id.desc()).limit(ANSWERS))


def _now() -> datetime:
    now: datetime = request.environ["edge.now"]
    return now
