"""Texts that come in: read once, kept before they are deleted, joined, and believed only as far as they deserve."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge import database, jobs, tasks
from edge.__main__ import edge
from edge.devices.opening import Devices
from edge.domain import incoming_texts, people
from edge.errors import NotDurable, Unreachable
from edge.gsm_modem import Modem
from edge.handlers import modem_inbox
from edge.handlers.world import World
from edge.models import Job, Message
from edge.money_models import IncomingText, Receipt
from edge.settings import Settings
from edge.settings_sections import ModemSettings
from edge.simulators.modem import ModemSimulator
from edge.simulators.mpesa_sms import Notice, new_receipt, write
from edge.tpdu import encode_deliver, encode_submit
from edge.worker import Workers

ASHA = "+254712345678"
LONG = "Habari, nimelipa lakini sijapata mtandao. " * 6
PATIENCE_S = 30


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[ModemSimulator]:
    with ModemSimulator(tmp_path / "modem") as opened:
        yield opened


@pytest.fixture
def modem(stick: ModemSimulator) -> Iterator[Modem]:
    opened = Modem(stick.port)
    yield opened
    opened.close()


@pytest.fixture
def hasty(stick: ModemSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modem]:
    monkeypatch.setattr("edge.modem_texts.LIST_S", 1.0)
    opened = Modem(stick.port, answer_timeout_s=1.5)
    yield opened
    opened.close()


def told(texts: list[Any]) -> list[tuple[str, str]]:
    return [(text.deliver.sender, text.deliver.content.text) for text in texts]


def receipt_text(n: int = 0, balance: int = 100_00, at: datetime | None = None, layout: str = "T1") -> str:
    """The text of a payment of KSh 20, after which the till has so much."""
    at = at or datetime.now(UTC)
    return short(write(layout, Notice(new_receipt(at), 2000, at, balance_cents=balance)))


def short(text: str) -> str:
    """Without what is behind the balance: one segment."""
    return text.partition(" Transaction cost")[0]


# The driver.


def test_every_text_of_both_memories_is_read_and_stays_until_it_is_deleted(stick, modem):
    stick.receive("MPESA", "one", smsc="+254722500029", pid=0)
    modem.status()
    stick.volatile.memories = ("SM", "SM", "ME")
    stick.receive(ASHA, "two", smsc="+447785016005", pid=0x40)
    assert modem.has_texts()
    texts = modem.read_texts()
    assert told(texts) == [("MPESA", "one"), (ASHA, "two")]
    assert [(t.memory, t.deliver.is_name, t.deliver.smsc, t.deliver.protocol) for t in texts] == [
        ("SM", True, "+254722500029", 0), ("ME", False, "+447785016005", 0x40),
    ]  # fmt: skip
    assert modem.read_texts() == texts
    assert modem.delete_texts(texts) == 0
    assert (modem.read_texts(), modem.has_texts(), stick.memories) == ([], False, {"SM": {}, "ME": {}})


def test_only_what_was_read_is_deleted(stick, modem):
    stick.receive(ASHA, "one")
    texts = modem.read_texts()
    stick.receive(ASHA, "two")
    modem.delete_texts(texts)
    assert told(modem.read_texts()) == [(ASHA, "two")]
    assert not any(command.startswith("AT+CMGD") and "," in command for command in stick.commands)


def test_news_between_the_lines_harms_no_text(stick, modem):
    stick.urcs = ("^RSSI:18", '+CMTI: "SM",3', "+CDS: 25\r\n0006AAOK", "+CMT: ,24\r\nOK", "RING", "+CREG: 1")
    for n in range(5):
        stick.receive(ASHA, f"text {n}")
    assert told(modem.read_texts()) == [(ASHA, f"text {n}") for n in range(5)]


def test_a_text_that_is_only_shown_is_not_lost(stick, modem):
    modem.status()
    (pdu,) = encode_deliver("MPESA", "flash", datetime.now(UTC))
    stick.say(f"+CMT: ,{pdu.length}\r\n{pdu.hex}")
    assert modem.wait_for_news(PATIENCE_S)
    texts = modem.read_texts()
    assert told(texts) == told(modem.read_texts()) == [("MPESA", "flash")]
    modem.delete_texts(texts)
    assert modem.read_texts() == []


def test_what_no_one_can_read_is_handed_over_as_it_came(stick, modem):
    stick.store("0791527422050092F1", 1)
    stick.store("no hex at all", 1)
    stick.receive(ASHA, "fine")
    texts = modem.read_texts()
    assert [(text.pdu, text.deliver) for text in texts[:2]] == [("0791527422050092F1", None), ("no hex at all", None)]
    modem.delete_texts(texts)
    assert not modem.has_texts()


def test_a_character_lost_on_the_line_is_read_again(stick, modem):
    stick.receive(ASHA, "whole")
    stick.garbled[1] = stick.memory[1].pdu[:-3]
    assert told(modem.read_texts()) == [(ASHA, "whole")]


def test_drafts_and_sent_texts_are_left_alone_and_no_news(stick, modem):
    (draft,) = encode_submit("254712345678", "not yet")
    stick.store(draft.hex, draft.length, "SM", state=2)
    assert modem.has_texts()  # nobody looked yet
    assert modem.read_texts() == []
    assert not modem.has_texts()
    stick.receive(ASHA, "hello")
    assert modem.has_texts()
    modem.delete_texts(modem.read_texts())
    assert (len(stick.memory), modem.has_texts()) == (1, False)


def test_a_list_that_hangs_is_read_slot_by_slot_and_past_a_damaged_one(stick, hasty):
    for n in range(4):
        stick.receive(ASHA, f"text {n}")
    stick.list_hangs, stick.damaged_slots = True, {2}
    texts = hasty.read_texts()
    assert told(texts) == [(ASHA, "text 0"), (ASHA, "text 2"), (ASHA, "text 3")]
    hasty.delete_texts(texts)
    assert list(stick.memory) == [2]


def test_a_list_that_is_refused_is_read_slot_by_slot(stick, modem):
    stick.receive(ASHA, "one")
    stick.list_error = 303
    assert told(modem.read_texts()) == [(ASHA, "one")]


def test_a_text_that_will_not_be_deleted_is_not_news_for_ever(stick, modem):
    stick.receive(ASHA, "one")
    stick.delete_error = 500
    assert modem.delete_texts(modem.read_texts()) == 1
    assert not modem.has_texts()
    stick.delete_error = None
    stick.receive(ASHA, "two")
    assert modem.has_texts()
    modem.delete_texts(modem.read_texts())
    assert stick.memory == {}


def test_after_another_greeting_slots_mean_nothing_any_more(stick, modem):
    stick.receive(ASHA, "one")
    texts = modem.read_texts()
    stick.unplug()
    stick.memories = {"SM": {}, "ME": {}}
    stick.plug()
    stick.receive(ASHA, "of another SIM")
    modem.delete_texts(texts)
    assert told(modem.read_texts()) == [(ASHA, "of another SIM")]


def test_a_full_memory_is_emptied_and_what_waited_comes(stick, modem):
    stick.room["SM"] = 2
    for n in range(5):
        stick.receive(ASHA, f"text {n}")
    found = []
    while modem.has_texts():
        texts = modem.read_texts()
        found += told(texts)
        modem.delete_texts(texts)
    assert found == [(ASHA, f"text {n}") for n in range(5)]


def test_a_modem_that_is_away_or_without_a_sim_is_told_so(stick, modem):
    stick.sim_error = 10
    for ask in (modem.has_texts, modem.read_texts):
        with pytest.raises(Unreachable, match="SIM"):
            ask()
    stick.unplug()
    with pytest.raises(Unreachable):
        modem.read_texts()
    assert not modem.wait_for_news(0.01)


def test_news_wakes_whoever_waits_and_silence_does_not(stick, modem):
    modem.status()
    assert not modem.wait_for_news(0.2)
    caller = threading.Timer(0.2, stick.receive, (ASHA, "hello"))
    caller.start()
    until = time.monotonic() + PATIENCE_S
    while not modem.wait_for_news(5.0):
        assert time.monotonic() < until
    modem.has_texts()
    assert not modem.wait_for_news(0.05)
    caller.join()


# The job.


@dataclass
class Inbox:
    """The box's side of it: its modem job, run as a worker would."""

    box: Any
    stick: ModemSimulator
    world: World

    def read(self) -> list[IncomingText]:
        modem_inbox.read_inbox(self.world, self.box.now)
        return self.rows()

    def rows(self) -> list[IncomingText]:
        return list(IncomingText.select().order_by(IncomingText.id))

    def settle_all(self) -> None:
        for job in self.box.jobs("texts.settle", "waiting"):
            modem_inbox.settle_text(self.world, self.box.now, **job.args)(self.box.now)

    def outcomes(self) -> list[tuple[str, str]]:
        return [(row.state, row.outcome) for row in self.rows()]


@pytest.fixture
def inbox(box, stick, monkeypatch) -> Iterator[Inbox]:
    box.now = datetime.now(UTC)
    monkeypatch.setattr(incoming_texts, "on_money", None)
    settings = Settings(state=box.folder, modem=ModemSettings(port=stick.port))
    devices = Devices(settings)
    yield Inbox(box, stick, World(devices, settings))
    devices.close()


@pytest.fixture
def money(monkeypatch) -> list[tuple[int, Any]]:
    """Whatever the money domain was handed."""
    handed: list[tuple[int, Any]] = []

    def take(row, told, now):
        handed.append((row.id, told))
        return f"took {told.receipt}"

    monkeypatch.setattr(incoming_texts, "on_money", take)
    return handed


def test_a_text_of_mpesa_reaches_the_money(inbox, money):
    inbox.stick.receive("MPESA", receipt_text())
    (row,) = inbox.read()
    assert (row.kind, row.state, row.smsc, row.is_name) == ("mpesa", "new", "+254722500029", True)
    assert inbox.stick.memory == {}
    assert incoming_texts.pending(inbox.box.now) == [row]
    inbox.settle_all()
    assert [(place, told.amount_cents) for place, told in money] == [(row.id, 2000)]
    assert inbox.outcomes() == [("settled", f"took {money[0][1].receipt}")]
    inbox.settle_all()
    assert (len(money), incoming_texts.pending(inbox.box.now)) == (1, [])


def test_nothing_is_deleted_before_it_is_kept(inbox):
    inbox.stick.receive("MPESA", receipt_text())
    database.db.execute_sql("PRAGMA query_only = 1")
    with pytest.raises(NotDurable):
        inbox.read()
    database.db.execute_sql("PRAGMA query_only = 0")
    assert (len(inbox.stick.memory), inbox.rows()) == (1, [])
    assert len(inbox.read()) == 1


def test_a_crash_between_keeping_and_deleting_keeps_one_text(inbox, money):
    inbox.stick.receive("MPESA", receipt_text())
    modem = inbox.world.devices.modem()
    incoming_texts.keep([modem_inbox.received(text) for text in modem.read_texts()], inbox.box.now)
    assert len(inbox.stick.memory) == 1
    assert len(inbox.read()) == 1
    inbox.settle_all()
    assert (len(money), inbox.stick.memory) == (1, {})


def test_a_text_the_network_repeats_is_one_text(inbox, money):
    inbox.stick.receive("MPESA", receipt_text())
    inbox.read()
    inbox.stick.replay()
    assert len(inbox.read()) == 1
    inbox.settle_all()
    assert (len(money), inbox.stick.memory) == (1, {})


@pytest.mark.parametrize(
    "sender",
    ["+254722000000", "254722000000", "0722000000", "40222", "M-PESA", "MPESA.", "mpesa", "MPE5A", "Safaricom"],
)
def test_whoever_is_not_mpesa_by_name_credits_nothing_and_is_shown(inbox, money, sender):
    inbox.stick.receive(sender, receipt_text())
    inbox.read()
    inbox.settle_all()
    assert (money, inbox.outcomes()) == ([], [("ignored", "not from MPESA")])
    (event,) = inbox.box.events("text.look_alike")
    assert "722000000" not in event["sender"]


def test_what_guests_write_is_kept_and_no_alarm(inbox):
    inbox.stick.receive(ASHA, "Je, bado iko? 😀")
    assert [(row.sender, row.text, row.kind) for row in inbox.read()] == [(ASHA, "Je, bado iko? 😀", "")]
    assert (inbox.box.events("text.look_alike"), inbox.box.jobs("texts.settle")) == ([], [])


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (2, 2, 1)])
def test_parts_are_joined_in_whatever_order_they_come(inbox, order):
    inbox.stick.receive(ASHA, LONG, order=order)
    inbox.read()
    (whole,) = incoming_texts.last_ones()
    assert whole.text == LONG


def test_parts_that_come_hours_apart_are_joined_and_a_reference_that_comes_again_is_another_text(inbox):
    sent_at = inbox.box.now
    pdus = encode_deliver(ASHA, LONG, sent_at, reference=7)
    again = encode_deliver(ASHA, LONG.upper(), sent_at + timedelta(hours=3), reference=7)
    for pdu in (pdus[0], again[1], again[0], pdus[1]):
        inbox.stick.deliver([pdu])
        inbox.read()
        inbox.box.now += timedelta(hours=1)
    assert sorted(row.text for row in incoming_texts.last_ones()) == sorted([LONG, LONG.upper()])


def test_a_receipt_counts_though_its_marketing_never_comes(inbox, money):
    text = receipt_text() + " Know more about M-PESA and what it can do for you and your business today." * 2
    inbox.stick.receive("MPESA", text, only=(1,))
    inbox.read()
    inbox.settle_all()
    assert len(money) == 1
    inbox.stick.deliver(encode_deliver("MPESA", text, inbox.box.now, reference=1)[1:])
    inbox.read()
    inbox.settle_all()
    assert (len(money), [row.state for row in inbox.rows()]) == (1, ["settled", "ignored"])


def test_half_a_receipt_waits_and_is_at_last_held_for_a_person(inbox, money):
    text = receipt_text(layout="T2").replace("ASHA OTIENO", "ASHA " + "OTIENO " * 10)
    inbox.stick.receive("MPESA", text.replace("New Utility", "x" * 60 + " New Utility"), only=(1,))
    (row,) = inbox.read()
    (job,) = inbox.box.jobs("texts.settle")
    assert (job.state, incoming_texts.pending(inbox.box.now)) == ("scheduled", [])
    incoming_texts.settle(row.id, inbox.box.after(hours=6))
    assert (money, inbox.outcomes()) == ([], [("held", "part 1 of 2, the others never came")])


@pytest.mark.parametrize(
    "text, state, words",
    [
        (write("X2", Notice("UK5T7ABCD1", 2000, datetime(2026, 11, 5, tzinfo=UTC))), "ignored", "X2"),
        ("Dear customer, our services will be away tonight.", "held", "not understood"),
    ],
)
def test_what_is_no_credit_is_put_aside_in_words(inbox, money, text, state, words):
    inbox.stick.receive("MPESA", text)
    inbox.read()
    inbox.settle_all()
    (row,) = inbox.rows()
    assert (money, row.state) == ([], state) and words in row.outcome


def test_an_unreadable_text_is_kept_as_the_modem_gave_it(inbox):
    inbox.stick.store("07915274", 4)
    (row,) = inbox.read()
    assert (row.text, row.state, row.kind, inbox.stick.memory) == ("07915274", "held", "", {})


def test_a_settlement_that_breaks_is_tried_again_and_then_held(inbox, money, monkeypatch):
    inbox.stick.receive("MPESA", receipt_text())
    (row,) = inbox.read()
    monkeypatch.setattr(incoming_texts, "on_money", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        inbox.settle_all()
    assert inbox.outcomes() == [("new", "")]
    tasks.TASKS["texts.settle"].given_up({"text_id": row.id}, "ZeroDivisionError", inbox.box.now)
    assert inbox.rows()[0].state == "held"
    incoming_texts.settle_again(row.id, inbox.box.now)
    assert incoming_texts.pending(inbox.box.now)


def test_the_money_may_say_itself_what_became_of_a_text(inbox, monkeypatch):
    def hold(row, told, now):
        row.put(state="held")
        return "held for a person"

    monkeypatch.setattr(incoming_texts, "on_money", hold)
    inbox.stick.receive("MPESA", receipt_text())
    inbox.read()
    inbox.settle_all()
    assert inbox.outcomes() == [("held", "held for a person")]


def test_an_empty_inbox_writes_nothing(inbox):
    modem = inbox.world.devices.modem()
    changes = database.db.execute_sql("SELECT total_changes()").fetchone()
    for _ in range(3):
        assert not modem_inbox.look_for_texts(modem, inbox.box.now)
    assert database.db.execute_sql("SELECT total_changes()").fetchone() == changes
    inbox.stick.receive(ASHA, "hello")
    assert modem_inbox.look_for_texts(modem, inbox.box.now) and modem_inbox.look_for_texts(modem, inbox.box.now)
    (job,) = inbox.box.jobs("modem.inbox")
    assert (job.queue, job.lane, job.priority > jobs.HIGH) == ("sms", "modem", True)


def test_a_text_is_read_by_the_workers_as_soon_as_it_comes(inbox, shared_writer, monkeypatch):
    monkeypatch.setattr(Workers, "_promise_checks", lambda self: None)
    workers = Workers(inbox.world.settings, ["sms"])
    workers.start()
    try:
        wait_until(lambda: "AT+CPMS=?" in inbox.stick.commands)  # it has looked once
        inbox.stick.receive("MPESA", receipt_text())
        began = time.monotonic()
        wait_until(lambda: inbox.rows() and not inbox.stick.memory)
        assert time.monotonic() - began < 20  # sooner than the next look would have been
    finally:
        workers.stop()
    assert [job.state for job in inbox.box.jobs("modem.inbox")] == ["done"]


def wait_until(is_so: Callable[[], Any]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


# Trust.


class Till:
    """A till that earns twenty shillings at a time, and M-Pesa's word for what it confirmed."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.balance = 100_00

    def sale(self, confirmed: bool = False, balance: int | None = None, text: str = "", **more: Any) -> IncomingText:
        self.balance += 2000
        said = text or receipt_text(balance=self.balance if balance is None else balance, at=self.inbox.box.now)
        self.inbox.stick.receive("MPESA", said, sent_at=self.inbox.box.now, **more)
        row = self.inbox.read()[-1]
        if confirmed:
            code = said.split()[0]
            receipt = Receipt.create_unless_there(code=code, amount_cents=2000, created_at=self.inbox.box.now)
            row.put(receipt=receipt or Receipt.get(Receipt.code == code), state="settled")
        return row

    def doubts(self, **more: Any) -> list[str]:
        return incoming_texts.trust_of(self.sale(**more), self.inbox.box.now)


@pytest.fixture
def till(inbox) -> Till:
    return Till(inbox)


def test_the_very_first_text_has_nothing_to_be_compared_with(till):
    assert len(till.doubts()) == 2
    assert len(till.doubts()) == 2  # an unconfirmed one is no ground


def test_what_goes_on_where_confirmed_texts_ended_is_not_doubted(till):
    till.sale(confirmed=True)
    assert [till.doubts() for _ in range(3)] == [[], [], []]


def test_texts_that_come_in_another_order_are_not_doubted(till):
    till.sale(confirmed=True)
    till.sale(confirmed=True)
    late = till.balance + 2000
    assert till.doubts(balance=late + 2000)  # the one before it is not here yet
    assert till.doubts(balance=late) == []


def test_whoever_does_not_know_the_balance_is_doubted_also_when_he_goes_on_from_his_own(till):
    till.sale(confirmed=True)
    assert till.doubts(balance=50_000_00) == ["its balance does not continue the one before"]
    assert till.doubts(balance=50_020_00) == ["its balance does not continue the one before"]


@pytest.mark.parametrize(
    "more, words",
    [({"smsc": "+447785016005"}, "message centre"), ({"smsc": ""}, "nobody names"), ({"pid": 0x40}, "64")],
)
def test_another_way_than_mpesas_is_doubted(till, more, words):
    till.sale(confirmed=True)
    (doubt,) = till.doubts(**more)
    assert words in doubt


def test_whoever_pays_once_does_not_make_his_own_message_centre_mpesas(till):
    for _ in range(4):
        till.sale(confirmed=True)
    own = till.sale(confirmed=True)
    till.sale(confirmed=True, text=own.text + " ", smsc="+447785016005", balance=1)  # his copy, of a genuine receipt
    till.balance = own_balance(own)
    assert any("message centre" in doubt for doubt in till.doubts(smsc="+447785016005"))


def own_balance(row: IncomingText) -> int:
    return incoming_texts.read_mpesa_sms(row.text).balance_cents


def test_an_old_text_and_one_of_a_wrong_date_are_doubted(till):
    till.sale(confirmed=True)
    row = till.sale()
    assert incoming_texts.trust_of(row, till.inbox.box.now + timedelta(minutes=29)) == []
    assert "31 minutes ago" in incoming_texts.trust_of(row, till.inbox.box.now + timedelta(minutes=31))[0]
    at = till.inbox.box.now
    notice = Notice(new_receipt(at - timedelta(days=3)), 2000, at, balance_cents=till.balance + 2000)
    old = short(write("T1", notice))
    assert till.doubts(text=old) == ["the receipt's date is not the text's"]
    earlier = receipt_text(balance=till.balance + 2000, at=at - timedelta(hours=2))
    assert any("another hour" in doubt for doubt in till.doubts(text=earlier))


# By hand.


@pytest.fixture
def command(tmp_path: Path, stick: ModemSimulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`edge --json …` on a box with this modem."""
    monkeypatch.setattr(people, "N", 2**8)
    state = tmp_path / "state"
    for name in ("EDGE_STATE", "EDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> Any:
        found = CliRunner().invoke(edge, [*words, "--state", str(state), "--json"])
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout) if words[0] != "init" else None

    made = CliRunner().invoke(
        edge, ["init", "--owner", "njeri", "--password-stdin", "--state", str(state)], input="a good long password\n"
    )
    assert made.exit_code == 0, made.output
    with (state / "edge.toml").open("a") as config:
        config.write(f'\n[modem]\nport = "{stick.port}"\n')
    (state / "edge.toml").chmod(0o600)
    return run


def test_the_modem_is_asked_texted_and_read_by_hand(command, stick, tmp_path):
    assert "Safaricom" in command("modem", "status")["words"]
    assert command("modem", "send", "0712 345 678", "Karibu")["segments"] == 1
    database.open_database(tmp_path / "state" / "edge.db")
    now = datetime.now(UTC)
    message = Message.get()
    assert (message.msisdn, message.text, Job.get().args) == (
        "254712345678", "Karibu", {"message_id": message.id, "route": "modem"},
    )  # fmt: skip
    stick.receive("MPESA", receipt_text())
    stick.receive(ASHA, "my number is 0712345678")
    modem = Modem(stick.port)
    incoming_texts.keep([modem_inbox.received(text) for text in modem.read_texts()], now)
    modem.close()
    database.close_database()
    mine, mpesas = command("modem", "inbox")["texts"]
    assert (mine["from"], mine["text"], mpesas["from"]) == ("0712•••678", "my number is 0712•••678", "MPESA")
    assert "254712345678" not in json.dumps(mpesas)
