"""An hour in which the modem has every fault of the simulator at random, while texts go on falling due."""

import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.box import running
from bench.faults import wait_until_done
from bench.measures import Row
from bench.modem_stage import Stick, Strike, pretend_modem
from bench.texts import opened
from edge.domain import messages
from edge.models import Message
from edge.simulators.modem.faults import UNSURE_ERRORS

HOUR_S, SEED = 3600.0, 7
SPEED = 12.0  # the modem lives so much faster, and the box's patience with an answer is as much shorter
FAULT_EVERY_S, TEXT_EVERY_S, DELAY_S = 20.0, 10.0, 0.1
PATIENCE_S = 120.0
LONGEST_HANG_S = 60.0
# They may strike behind the hand-over, and then nobody knows.
DOUBTFUL = (
    "error-though-sent", "no-answer", "answer-lost", "answer-late", "half-answer", "port-gone", "restart", "hang",
    "deaf", "unplugged",
)  # fmt: skip
# Nothing can leave meanwhile, whatever the box does.
LASTING = (
    "unplugged", "port-gone", "deaf", "hang", "no-service", "no-airtime", "sim-gone", "sim-busy", "sim-locked",
    "answer-late", "slow-prompt",
)  # fmt: skip
NO_AIRTIME = "CMS ERROR: 50"  # the network's final no, which the owner is told of
UNSURE = [("error", code) for code in UNSURE_ERRORS]


@dataclass(frozen=True)
class Hour:
    """What became of the texts.

    `still_s`: the longest time in which some waited and none had its last word; `hung_s`: the longest part of such
    a time in which no fault lasted, so that one could have gone.
    """

    texts: int
    sent: int
    unconfirmed: int
    failed: Counter[str]
    lost: int
    doubled: int
    unexplained: tuple[str, ...]
    still_s: float
    hung_s: float
    longest_s: float  # from due to the last word, of whichever took longest
    struck: Counter[str]


def hour(speed: float = SPEED, seed: int = SEED) -> list[Row]:
    """An hour of the modem's time."""
    told = live(speed, seed)
    passed = f"{HOUR_S / speed / 60:.0f} min, {speed:g} times as fast"
    kinds = f"{sum(told.struck.values())} faults of {len(told.struck)} kinds, {told.texts} texts"
    refused = sum(count for words, count in told.failed.items() if NO_AIRTIME in words)
    failed = sum(told.failed.values()) - refused
    return [
        Row(f"chaos, an hour of the modem's time in {passed}", kinds),
        Row("sent once, unconfirmed, refused for want of airtime", f"{told.sent}, {told.unconfirmed}, {refused}"),
        Row("given up otherwise", f"{failed}", "0", not failed),
        Row("lost, doubled", f"{told.lost}, {told.doubled}", "0, 0", not told.lost and not told.doubled),
        Row("unconfirmed that no fault explains", f"{len(told.unexplained)}", "0", not told.unexplained),
        Row("the longest hang: texts wait, none ends, no fault lasts", f"{told.hung_s:.0f} real seconds", "≤ 60 s",
            told.hung_s <= LONGEST_HANG_S),
        Row("the longest standstill, with the faults' own time", f"{told.still_s:.0f} s"),
        Row("the longest that one text waited behind all others", f"{told.longest_s:.0f} s"),
    ]  # fmt: skip


def live(speed: float, seed: int) -> Hour:
    """Chaos, and then a minute to come to rest."""
    settings = f"submit_timeout_s = {PATIENCE_S / speed:.1f}"
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        with pretend_modem(Path(folder) / "modem", DELAY_S, speed) as stick:
            with running(modem_port=stick.port, modem_extra=settings) as box, opened(box):
                stick.ask(f"seed {seed}")
                stick.ask(f"chaos {FAULT_EVERY_S:g}")
                began, number = time.monotonic(), 0
                while time.monotonic() - began < HOUR_S / speed:
                    messages.promise(f"2547{number:08d}", f"Code {number:06d}", datetime.now(UTC))
                    number += 1
                    time.sleep(max(0.0, began + number * TEXT_EVERY_S / speed - time.monotonic()))
                stick.order("well")
                wait_until_done(2 * LONGEST_HANG_S)
                return _hour(stick, PATIENCE_S / speed)


def _hour(stick: Stick, patience_s: float) -> Hour:
    rows = list(Message.select().order_by(Message.id))
    taken, struck = Counter(text.msisdn for text in stick.texts()), stick.struck()
    doubtful = [each for each in struck if each.name in DOUBTFUL or (each.name, each.code) in UNSURE]
    unconfirmed = [row for row in rows if row.state == "unconfirmed"]
    stills = _standstills([(row.created_at.timestamp(), _ended(row).timestamp()) for row in rows])
    return Hour(
        texts=len(rows),
        sent=sum(row.state in ("sent", "delivered") and taken[row.msisdn] == 1 for row in rows),
        unconfirmed=len(unconfirmed),
        failed=Counter(row.words for row in rows if row.state == "failed"),
        lost=sum(row.state in ("sent", "delivered", "queued") and not taken[row.msisdn] for row in rows),
        doubled=sum(count > 1 for count in taken.values()),
        unexplained=tuple(row.words for row in unconfirmed if not _is_explained(row, doubtful, patience_s)),
        still_s=max(end - begin for begin, end in stills),
        hung_s=max(_free_of(struck, begin, end) for begin, end in stills),
        longest_s=max((_ended(row) - row.created_at).total_seconds() for row in rows),
        struck=Counter(each.name for each in struck),
    )


def _standstills(lives: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """From one last word to the next, as far as somebody waited for it."""
    found, before = [], lives[0][0]
    for _, end in sorted(lives, key=lambda life: life[1]):
        found.append((max(before, min(begin for begin, other in lives if other >= end)), end))
        before = end
    return found


def _free_of(struck: list[Strike], begin: float, end: float) -> float:
    """The longest part of this time in which no fault lasted."""
    longest, since = 0.0, begin
    for each in sorted((each for each in struck if each.name in LASTING), key=lambda each: each.at):
        if each.at < end and each.at + each.seconds > begin:
            longest, since = max(longest, each.at - since), max(since, each.at + each.seconds)
    return max(longest, end - since)


def _is_explained(row: Message, doubtful: list[Strike], patience_s: float) -> bool:
    """Did a fault strike, or last, while this text was in hand?"""
    end = _ended(row).timestamp()
    begin = end - patience_s - 1.0
    return any(each.at <= end and each.at + each.seconds >= begin for each in doubtful)


def _ended(row: Message) -> datetime:
    told: datetime = row.sent_at or row.closed_at or datetime.now(UTC)
    return told
