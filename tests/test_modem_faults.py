"""Whatever the modem does, from the queue to the network: each text once, or a question where nobody can know."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge import jobs, tasks
from edge.devices.opening import Devices
from edge.domain import breakers, messages, routing
from edge.errors import Unconfirmed
from edge.gsm_modem import Modem
from edge.handlers import modem_inbox
from edge.handlers.world import World
from edge.models import Job, Message
from edge.settings import Settings
from edge.settings_sections import Sms
from edge.simulators.modem import ModemSimulator

FASTER = 40.0  # seconds of a fault pass so much quicker
WITHIN_S = 60.0


class OurModem(Devices):
    """The real devices; the modem's patience is shorter, as its faults are."""

    def __init__(self, settings: Settings, modem: Modem) -> None:
        super().__init__(settings)
        self._ours = modem

    def modem(self) -> Modem:
        return self._ours


@dataclass
class Desk:
    """Who works the queue of texts, and the modem there."""

    stick: ModemSimulator
    world: World

    def promise(self, count: int) -> list[Message]:
        return [
            messages.promise(f"2547000000{number:02d}", f"Code {number:02d}", datetime.now(UTC))
            for number in range(count)
        ]

    def patient(self) -> Modem:
        """The same modem, with the patience that it is given in a shop."""
        self.world.devices.modem().close()
        return Modem(self.stick.port)

    def work(self) -> None:
        """Until every text has its last word; pauses between tries are skipped."""
        until = time.monotonic() + WITHIN_S
        while Message.any_where("state = 'queued'"):
            assert time.monotonic() < until, "some texts are not done"
            breakers.note_success("modem", datetime.now(UTC))
            Job.update(state="waiting", run_at=datetime.now(UTC)).where(Job.state == "scheduled").execute()
            if self.world.devices.modem().has_news:
                modem_inbox.promise_to_read(datetime.now(UTC))
            job = jobs.claim("sms", "here", datetime.now(UTC))
            if job is not None:
                tasks.run(job, world=self.world)

    def count(self) -> Counter[str]:
        """How often the network has a text, by the state in which we believe it."""
        taken = Counter(sms.text for sms in self.stick.sent)
        return Counter(f"{row.state} {taken[row.text]}" for row in list(Message.select()))


@pytest.fixture
def desk(box: object, tmp_path: Path) -> Iterator[Desk]:
    settings = Settings(state=tmp_path)
    routing.configure(Sms(), has_modem=True, is_rehearsal=False)
    with ModemSimulator(tmp_path / "modem") as stick:
        stick.faults.speed = FASTER
        modem = Modem(stick.port, submit_timeout_s=2.0, answer_timeout_s=0.5)
        modem.require_ready()
        yield Desk(stick, World(OurModem(settings, modem), settings))
        modem.close()
    routing.configure(Sms(), has_modem=False, is_rehearsal=True)


@pytest.mark.parametrize("fault", [
    "error texts=2 code=38", "error texts=2 code=42", "error texts=2 code=331", "error texts=3 code=38",
    "answer-late texts=1 seconds=40", "deaf texts=1 seconds=20", "no-service texts=1 seconds=20", "chatter",
    "slow-prompt texts=2 seconds=8", "no-prompt texts=1", "garbage", "incoming texts=2",
    "port-gone step=prompt texts=1", "sim-full texts=1",
])  # fmt: skip
def test_each_text_leaves_once(desk: Desk, fault: str) -> None:
    desk.stick.faults.put_words(fault)
    desk.promise(4)
    desk.work()
    assert desk.stick.faults.struck
    assert desk.count() == {"sent 1": 4}


@pytest.mark.parametrize(("fault", "taken"), [
    ("error texts=1 code=500", 0), ("error-though-sent texts=1", 1), ("answer-lost texts=1", 1),
    ("no-answer texts=1", 0), ("port-gone texts=1 seconds=5 sent=yes", 1), ("port-gone texts=1 seconds=5 sent=no", 0),
])  # fmt: skip
def test_where_nobody_can_know_it_is_a_question_and_is_not_sent_again(desk: Desk, fault: str, taken: int) -> None:
    desk.stick.faults.put_words(fault)
    desk.promise(4)
    desk.work()
    assert desk.count() == {"sent 1": 3, f"unconfirmed {taken}": 1}


def test_a_lost_answer_is_found_out_by_asking(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.modem_line.ASK_AGAIN_S", 0.3)
    modem = desk.patient()
    desk.stick.faults.put("answer-lost", texts=1)
    began = time.monotonic()
    with pytest.raises(Unconfirmed):
        modem.send_sms("254712345678", "one")
    modem.send_sms("254712345678", "two")
    assert time.monotonic() - began < 20.0
    assert [sms.text for sms in desk.stick.sent] == ["one", "two"]
    modem.close()


def test_a_modem_that_is_still_at_it_when_it_is_asked_is_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.modem_line.ASK_AGAIN_S", 0.1)
    modem = desk.patient()
    desk.stick.faults.put("answer-late", texts=1, seconds=0.6 * FASTER)
    assert [modem.send_sms("254712345678", text) for text in ("one", "two", "three")] == [(1,), (2,), (3,)]
    assert [sms.text for sms in desk.stick.sent] == ["one", "two", "three"]
    modem.close()
