"""What the network reports of texts that left, whose it is, and how the modem is watched meanwhile."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge import jobs
from edge.devices.opening import Devices
from edge.domain import breakers, checks, delivery_reports, messages, modem_samples, routing
from edge.domain.delivery_reports import NetworkReport
from edge.domain.modem_samples import Look
from edge.gsm_modem import Modem
from edge.handlers import messages as texting
from edge.handlers import modem_inbox, upkeep
from edge.handlers.world import Later, World
from edge.models import Breaker, Job, Message
from edge.settings import Settings
from edge.settings_sections import ModemSettings
from edge.simulators.modem import ModemSimulator
from edge.sms_models import DeliveryReport, MessageSegment, ModemSample
from edge.tpdu import StatusReport, encode_report
from edge.worker import Workers

ASHA, JUMA = "254712345678", "254722000111"
DELIVERED, TRYING, EXPIRED, GAVE_UP = 0x00, 0x20, 0x46, 0x61


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[ModemSimulator]:
    with ModemSimulator(tmp_path / "modem") as opened:
        yield opened


@pytest.fixture
def world(box: Any, stick: ModemSimulator, tmp_path: Path) -> Iterator[World]:
    settings = Settings(state=tmp_path, modem=ModemSettings(port=stick.port))
    devices = Devices(settings)
    yield World(devices, settings)
    devices.close()


def sent(box: Any, *references: int, msisdn: str = ASHA, at: datetime | None = None) -> Message:
    """A text that the modem took, one reference a segment."""
    message = messages.promise(msisdn, "Karibu", at or box.now, wants_report=True)
    messages.mark_sent(message.id, "modem", ",".join(map(str, references)), at or box.now, references=references)
    return message


def report(
    box: Any, reference: int, status: int = DELIVERED, number: str = "+" + ASHA, at: datetime | None = None
) -> int:
    moment = at or box.now
    return delivery_reports.keep([NetworkReport(reference, number, moment, moment, status)], box.now)


def state(message: Message) -> str:
    return str(Message.get_by_id(message.id).state)


def test_a_report_makes_its_text_delivered(box: Any) -> None:
    message, other = sent(box, 7), sent(box, 7, msisdn=JUMA)
    assert report(box, 7) == 1
    assert (state(message), state(other)) == ("delivered", "sent")
    row = DeliveryReport.get()
    assert (row.message_id, row.msisdn) == (message.id, ASHA)
    assert (MessageSegment.get().status, MessageSegment.get().done_at) == (0, box.now)


@pytest.mark.parametrize("number", ["+" + ASHA, ASHA, "0712345678", "712345678"])
def test_the_number_may_be_written_as_the_network_likes(box: Any, number: str) -> None:
    message = sent(box, 7)
    assert report(box, 7, number=number) == 1
    assert state(message) == "delivered"


@pytest.mark.parametrize("number", ["0712345679", "20123", ""])
def test_a_report_of_another_number_is_not_this_ones(box: Any, number: str) -> None:
    sent(box, 7)
    assert report(box, 7, number=number) == 0


@pytest.mark.parametrize(
    ("status", "expected"),
    [(EXPIRED, "failed"), (GAVE_UP, "failed"), (0x7F, "failed"), (0xC0, "failed"), (0x01, "delivered"),
     (TRYING, "sent"), (0x3F, "sent")],
)  # fmt: skip
def test_what_a_status_means(box: Any, status: int, expected: str) -> None:
    message = sent(box, 7)
    report(box, 7, status)
    assert state(message) == expected


def test_the_network_may_try_on_and_succeed_later(box: Any) -> None:
    message = sent(box, 7)
    report(box, 7, TRYING)
    assert state(message) == "sent"
    report(box, 7, at=box.after(minutes=40))
    assert state(message) == "delivered"


def test_a_long_text_is_delivered_with_its_last_segment_and_fails_with_any(box: Any) -> None:
    whole, broken = sent(box, 1, 2, 3), sent(box, 4, 5)
    for reference in (3, 1):
        report(box, reference)
    assert state(whole) == "sent"
    report(box, 2)
    assert state(whole) == "delivered"
    report(box, 5, EXPIRED)
    report(box, 4)
    assert state(broken) == "failed"
    assert "could not be reached in time" in Message.get_by_id(broken.id).words


def test_a_reference_that_came_round_again_belongs_to_the_text_of_its_time(box: Any) -> None:
    began = box.now
    early = sent(box, 7)
    late = sent(box, 7, at=box.after(minutes=40, seconds=25))
    report(box, 7, at=began)
    assert (state(early), state(late)) == ("delivered", "sent")
    report(box, 7, EXPIRED)
    assert state(late) == "failed"


def test_without_a_time_the_newest_unreported_one_is_meant(box: Any) -> None:
    early, late = sent(box, 7), sent(box, 7, at=box.after(minutes=40))
    for expected in (("sent", "delivered"), ("delivered", "delivered")):
        box.now += timedelta(seconds=1)
        delivery_reports.keep([NetworkReport(7, "+" + ASHA, None, box.now, 0)], box.now)
        assert (state(early), state(late)) == expected


def test_a_message_centre_in_another_time_zone_is_understood(box: Any) -> None:
    message = sent(box, 7)
    assert report(box, 7, at=box.now + timedelta(hours=3, seconds=20)) == 1
    assert state(message) == "delivered"


def test_a_report_that_comes_before_its_text_is_known_as_sent_waits_for_it(box: Any) -> None:
    assert report(box, 7) == 0
    message = sent(box, 7)
    assert delivery_reports.match_loose(box.now) == 1
    assert state(message) == "delivered"
    assert delivery_reports.match_loose(box.now) == 0


def test_a_report_that_is_repeated_counts_once(box: Any) -> None:
    sent(box, 7)
    moment = box.now
    assert [report(box, 7, at=moment) for _ in range(3)] == [1, 0, 0]
    assert DeliveryReport.select().count() == 1


def test_a_report_settles_a_text_whose_answer_was_lost(box: Any) -> None:
    messages.promise(JUMA, "another", box.now, wants_report=True)
    message = messages.promise(ASHA, "Karibu", box.now, wants_report=True)
    messages.mark_unconfirmed(message.id, "handed over, but no answer", box.now, "modem")
    assert report(box, 99) == 1
    assert state(message) == "delivered"


def test_two_texts_that_could_be_meant_stay_questions(box: Any) -> None:
    for text in ("one", "two"):
        message = messages.promise(ASHA, text, box.now, wants_report=True)
        messages.mark_unconfirmed(message.id, "no answer", box.now, "modem")
    assert report(box, 99) == 0


def test_old_reports_are_forgotten(box: Any) -> None:
    report(box, 7)
    assert delivery_reports.prune(box.now) == 0
    assert delivery_reports.prune(box.after(days=8)) == 1


# By the wire.


def test_from_the_modem_to_the_message(box: Any, world: World, stick: ModemSimulator) -> None:
    stick.delivery_reports, stick.reports_national = True, True
    message = messages.promise(ASHA, "Karibu", box.now, wants_report=True)
    modem = world.devices.modem()
    references = modem.send_sms(ASHA, "Karibu", report=True)
    messages.mark_sent(message.id, "modem", "", box.now, references=references)
    wait_until(lambda: modem.wait_for_news(0.2))
    modem_inbox.hear(modem, box.now)
    assert state(message) == "delivered"
    assert box.jobs("modem.inbox") == []  # reports need no turn at the port


def test_a_report_among_the_texts_is_kept_as_one_and_deleted(box: Any, world: World, stick: ModemSimulator) -> None:
    message = sent(box, 9)
    pdu = encode_report(StatusReport(9, "+" + ASHA, box.now, box.now, 0))
    stick.store(pdu.hex, pdu.length)
    modem_inbox.read_inbox(world, box.now)
    assert (state(message), stick.memory) == ("delivered", {})


def test_reports_that_cannot_be_written_down_are_not_lost(
    box: Any, world: World, stick: ModemSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick.delivery_reports = True
    modem = world.devices.modem()
    message = sent(box, *modem.send_sms(ASHA, "Karibu", report=True))
    wait_until(lambda: modem.wait_for_news(0.2))
    with monkeypatch.context() as patched:
        patched.setattr(delivery_reports, "keep", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            modem_inbox.keep_reports(modem, box.now)
    modem_inbox.keep_reports(modem, box.now)
    assert state(message) == "delivered"


# The modem's health.


def check(world: World, now: datetime) -> None:
    write_down = upkeep.check_modem(world, now)
    assert write_down is not None
    write_down(now)


def test_each_check_leaves_a_sample_and_a_word(box: Any, world: World, stick: ModemSimulator) -> None:
    stick.signal = 15
    check(world, box.now)
    stick.registered = False
    check(world, box.after(minutes=1))
    stick.unplug()
    check(world, box.after(minutes=1))
    rows = list(ModemSample.select().order_by(ModemSample.id))
    assert [(row.signal_dbm, row.registered, row.operator) for row in rows] == [
        (-83, True, "Safaricom"), (-83, False, ""), (None, False, ""),
    ]  # fmt: skip
    assert [row.words[:20] for row in rows] == ["", "the SIM is not regis", "no modem at " + stick.port[:8]]
    assert next(row for row in checks.everything() if row.name == "modem").state == "problem"


def test_a_text_that_finds_the_modem_gone_or_back_has_it_asked_at_once(
    box: Any, world: World, stick: ModemSimulator
) -> None:
    def words() -> tuple[str, int]:
        last = next(row for row in checks.everything() if row.name == "modem")
        return str(last.state), Job.select().where(Job.name == "modem.check", Job.state == "waiting").count()

    def sends() -> None:
        message = messages.promise(ASHA, "Karibu", box.now)
        with contextlib.suppress(Later):
            texting.send_sms(world, box.now, message.id, "modem")

    routing.configure(world.settings.sms, True, False)
    check(world, box.now)
    sends()
    assert words() == ("ok", 0)
    stick.unplug()
    sends()
    sends()
    assert words() == ("ok", 1)
    check(world, box.now)
    Job.update(state="done").where(Job.name == "modem.check").execute()
    sends()
    assert words() == ("problem", 0)
    stick.plug()
    sends()
    assert words() == ("problem", 1)


def test_a_memory_that_fills_up_is_told_while_all_else_is_well(box: Any, world: World, stick: ModemSimulator) -> None:
    stick.fill()
    check(world, box.now)
    row = next(row for row in checks.everything() if row.name == "modem")
    assert row.state == "ok"
    assert "memory SM is nearly full: 30 of 30 texts" in row.words


def test_what_waited_for_the_modem_goes_when_a_check_finds_it_back(
    box: Any, world: World, stick: ModemSimulator
) -> None:
    stick.registered = False
    check(world, box.now)
    job = waiting_job(box)
    for _ in range(5):
        breakers.note_failure("modem", "no network", box.now)
    stick.registered = True
    check(world, box.after(minutes=1))
    assert Job.get_by_id(job.id).state == "waiting"
    assert Breaker.get_by_id("modem").state == "closed"
    job.put(state="scheduled", run_at=box.now + timedelta(minutes=5))
    check(world, box.after(minutes=1))
    assert Job.get_by_id(job.id).state == "scheduled"  # a back-off of its own


def waiting_job(box: Any) -> Job:
    """A text that was tried once, and waits."""
    messages.promise(ASHA, "Karibu", box.now)
    job: Job = Job.get(Job.name == "sms.send")
    job.put(state="scheduled", attempt=1, lane="modem", run_at=box.now + timedelta(minutes=5))
    return job


def test_the_day_is_told_by_the_quarter_of_an_hour(box: Any) -> None:
    for minutes, dbm in ((0, -70), (1, -80), (2, None)):
        modem_samples.record(Look(dbm, dbm is not None, "Safaricom"), box.now + timedelta(minutes=minutes))
    modem_samples.record(Look(-60, True), box.now + timedelta(minutes=2, seconds=5))  # the same minute
    slices = modem_samples.day(box.now + timedelta(minutes=2))
    assert len(slices) == 96
    assert sum(each.looks for each in slices) == 3
    assert sum(each.registered for each in slices) == 2
    assert modem_samples.prune(box.after(days=8)) == 3


def test_a_modem_that_comes_back_is_heard_within_seconds(
    box: Any, world: World, stick: ModemSimulator, shared_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workers, "_promise_checks", lambda self: None)
    monkeypatch.setattr("edge.worker.HEAR_FOR_S", 0.5)
    monkeypatch.setattr("edge.worker.BACK_EVERY_S", 0.5)
    heard: list[datetime] = []
    monkeypatch.setattr(jobs, "hurry", lambda lane, now: heard.append(now) or 0)
    workers = Workers(world.settings, ["sms"])
    workers.start()
    modem: Modem = workers.devices.modem()
    try:
        wait_until(lambda: "AT+CPMS=?" in stick.commands)
        assert heard == []
        stick.faults.put("no-service", seconds=1.0)
        modem.trouble = "+CMS ERROR: 331 (no network)"
        wait_until(lambda: heard)
        assert (modem.trouble, stick.faults.is_on("no-service")) == ("", False)
    finally:
        workers.stop()


def wait_until(is_so: Callable[[], Any]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)
