"""What becomes of texts while the modem misbehaves: one fault after another."""

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.box import running
from bench.measures import Row
from bench.modem_stage import Stick, pretend_modem
from bench.texts import opened
from edge.domain import messages
from edge.models import Message

TEXTS, DELAY_S, SEED = 20, 0.2, 1
AT_ONCE = 5  # boxes; most of them wait most of the time
DONE_WITHIN_S = 60.0
GIVEN_UP_AFTER_S = 400.0


@dataclass(frozen=True)
class Trouble:
    """A fault, as it is put at the modem's door; `is_doubtful` where nobody can know whether the text left."""

    what: str
    order: str
    is_doubtful: bool = False


SIXTEEN = (
    Trouble("one in ten refused: 500", "error chance=0.1 code=500", True),
    Trouble("one in ten refused: 38", "error chance=0.1 code=38"),
    Trouble("one in ten refused: 42", "error chance=0.1 code=42"),
    Trouble("one in ten refused: 331", "error chance=0.1 code=331"),
    Trouble("three refused in a row: 38", "error texts=3 code=38"),
    Trouble("refused though sent: 500, two of them", "error-though-sent texts=2 code=500", True),
    Trouble("sent, and the answer is lost", "answer-lost texts=1", True),
    Trouble("answer 40 s late", "answer-late texts=1 seconds=40"),
    Trouble("port gone for 5 s with a text in hand: sent", "port-gone texts=1 seconds=5 sent=yes", True),
    Trouble("port gone for 5 s with a text in hand: not sent", "port-gone texts=1 seconds=5 sent=no", True),
    Trouble("deaf for 20 s", "deaf texts=1 seconds=20"),
    Trouble("no service for 20 s", "no-service texts=1 seconds=20"),
    Trouble("unsolicited lines in every answer", "chatter"),
    Trouble("prompt 8 s late, three times", "slow-prompt texts=3 seconds=8"),
    Trouble("no prompt, twice", "no-prompt texts=2"),
    Trouble("garbage in every answer", "garbage"),
    Trouble("a text comes in while one goes out, five times", "incoming texts=5"),
    Trouble("SIM full", "sim-full texts=1"),
)


@dataclass(frozen=True)
class Outcome:
    """Of how many texts what became; `late_s`: from the fault's end until all had their last word."""

    once: int
    unconfirmed: int
    doubled: int
    never: int
    failed: int
    late_s: float
    struck: int


def sixteen() -> list[Row]:
    """Each fault on a box of its own, several boxes at the same time."""
    context = multiprocessing.get_context("spawn")  # a box's database is opened once a process
    with ProcessPoolExecutor(AT_ONCE, context, max_tasks_per_child=1) as pool:
        outcomes = list(pool.map(strike, SIXTEEN))
    return [_row(trouble, outcome) for trouble, outcome in zip(SIXTEEN, outcomes, strict=True)]


def _row(trouble: Trouble, told: Outcome) -> Row:
    is_well = not told.doubled and not told.never and not told.failed and told.late_s <= DONE_WITHIN_S
    is_well = is_well and told.once + told.unconfirmed == TEXTS and told.struck > 0
    wanted = "once, or unconfirmed" if trouble.is_doubtful else "each once"
    measured = f"{told.once} once, {told.unconfirmed} unconfirmed, {told.doubled} doubled, {told.never} never"
    if told.failed:
        measured += f", {told.failed} given up"
    return Row(
        trouble.what, f"{measured}; {told.late_s:.0f} s", wanted,
        is_well and (trouble.is_doubtful or not told.unconfirmed),
    )  # fmt: skip


def strike(trouble: Trouble) -> Outcome:
    """One box, one fault, twenty texts."""
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        with pretend_modem(Path(folder) / "modem", DELAY_S) as stick, running(modem_port=stick.port) as box:
            with opened(box):
                _promise(999_999)
                wait_until_done(60.0)  # now the modem is known
                stick.ask(f"seed {SEED}")
                stick.order(f"fault {trouble.order}")
                for number in range(TEXTS):
                    _promise(number)
                wait_until_done(GIVEN_UP_AFTER_S)
                return _outcome(stick)


def _outcome(stick: Stick) -> Outcome:
    rows = [row for row in Message.select().order_by(Message.id) if row.msisdn != _number(999_999)]
    taken = [text.msisdn for text in stick.texts()]
    counts = {row.msisdn: taken.count(row.msisdn) for row in rows}
    struck = stick.struck()
    ends = [each.at + each.seconds for each in struck]
    last = max((row.sent_at or row.closed_at or datetime.now(UTC)).timestamp() for row in rows)
    return Outcome(
        once=sum(row.state in ("sent", "delivered") and counts[row.msisdn] == 1 for row in rows),
        unconfirmed=sum(row.state == "unconfirmed" and counts[row.msisdn] <= 1 for row in rows),
        doubled=sum(count > 1 for count in counts.values()),
        never=sum(row.state in ("sent", "queued") and not counts[row.msisdn] for row in rows),
        failed=sum(row.state not in ("sent", "delivered", "unconfirmed", "queued") for row in rows),
        late_s=max(0.0, last - max(ends, default=last)),
        struck=len(struck),
    )


def _promise(number: int) -> None:
    messages.promise(_number(number), f"Your hour begins now. Code {number:06d}", datetime.now(UTC))


def _number(number: int) -> str:
    return f"2547{number:08d}"


def wait_until_done(most_s: float) -> None:
    """Until every text has its last word, or so long."""
    deadline = time.monotonic() + most_s
    while Message.any_where("state = 'queued'") and time.monotonic() < deadline:
        time.sleep(0.1)
