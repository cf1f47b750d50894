"""Texts by a gateway: how many a minute, and a campaign of 100,000 from its submission to its first text."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.box import Box, running
from bench.measures import Row
from edge import boot, settings
from edge.domain import campaigns, credits, people, sms_lists
from edge.models import Message, Staff
from edge.simulators.sms_gateway import API_KEY, USERNAME
from edge.sms_models import Campaign

RECIPIENTS = 100_000
TEXTS = 900
ANSWER_S = 0.1
LISTED_WITHIN_S = 300.0
WORDS = 'Hello {{name|default:"friend"}}, we are open until ten today.'


@dataclass
class Stage:
    """The gateway's process, asked by lines."""

    process: "subprocess.Popen[str]"
    base_url: str

    def ask(self, words: str) -> int:
        """`count`: texts that it took; `numbers`: to how many numbers."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        return int(json.loads(self.process.stdout.readline()))


@contextmanager
def gateway(answer_s: float) -> Iterator[Stage]:
    """A stub that answers after so long."""
    command = [sys.executable, "-m", "bench.sms_gateway_stage", str(answer_s)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdin is not None
    try:
        yield Stage(process, json.loads(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.wait(10)


def toml(stage: Stage) -> str:
    """The settings of a box that texts by it alone."""
    return (
        f'[sms]\nroute = ["africastalking"]\nquiet_hours = ""\n[sms.africastalking]\nusername = "{USERNAME}"\n'
        f'api_key = "{API_KEY}"\nbase_url = "{stage.base_url}"'
    )


def gateway_pace() -> list[Row]:
    """A campaign of 900 by three workers against a stub that answers in 100 ms."""
    with gateway(ANSWER_S) as stage, running(extra=toml(stage)) as box, _opened(box):
        campaign, njeri = _draft(TEXTS)
        _wait_until_listed(campaign)
        campaigns.submit(campaign.id, njeri, _now())
        while stage.ask("count") < 100:  # under way
            time.sleep(0.01)
        first, began = stage.ask("count"), time.monotonic()
        while stage.ask("count") < TEXTS - 50:
            time.sleep(0.02)
        last, took = stage.ask("count"), time.monotonic() - began
        _wait_until_ended(campaign)
        a_minute, numbers = (last - first) * 60 / took, stage.ask("numbers")
    return [
        Row(f"texts by a gateway that answers in {ANSWER_S * 1000:.0f} ms, 3 workers", f"{a_minute:,.0f} a minute",
            "> 1,500 a minute", a_minute > 1_500),
        Row(f"of {TEXTS} texts, numbers that got exactly one", f"{numbers}", f"{TEXTS}", numbers == TEXTS),
    ]  # fmt: skip


def campaign_of_100_000() -> list[Row]:
    """Written down, submitted, begun; the memory of the box, and what one look at its figures takes."""
    with gateway(0.0) as stage, running(extra=toml(stage)) as box, _opened(box):
        time.sleep(3)
        before = _memory_mib(box)
        began = time.monotonic()
        campaign, njeri = _draft(RECIPIENTS)
        _wait_until_listed(campaign)
        listed_s = time.monotonic() - began
        began = time.monotonic()
        campaigns.submit(campaign.id, njeri, _now())
        submitted_s = time.monotonic() - began
        while not stage.ask("count"):
            time.sleep(0.002)
        first_s = time.monotonic() - began
        time.sleep(20)
        looks = [_look_ms(campaign) for _ in range(30)]
        sent, memory = stage.ask("count"), _memory_mib(box) - before
        campaigns.pause(campaign.id, njeri, _now())
    look = statistics.median(looks)
    return [
        Row(f"a list of {RECIPIENTS:,} uploaded and written down", f"{listed_s:.1f} s"),
        Row(f"its submission, with {RECIPIENTS:,} credits set aside", f"{submitted_s * 1000:.0f} ms", "< 1 s",
            submitted_s < 1),
        Row("from its submission to the first text at the gateway", f"{first_s * 1000:.0f} ms", "< 2 s", first_s < 2),
        Row(f"memory of the box, {sent:,} texts later", f"{memory:+.0f} MiB", "< 60 MiB more", memory < 60),
        Row("one look at its figures (of 30, while it runs)", f"median {look:.1f}, worst {max(looks):.1f} ms",
            "< 10 ms", look < 10),
    ]  # fmt: skip


@contextmanager
def _opened(box: Box) -> Iterator[None]:
    with boot.opened(settings.load(box.state, environ={})):
        yield


def _draft(count: int) -> tuple[Campaign, Staff]:
    njeri = people.add("Njeri", "a long password", "owner", _now())
    credits.top_up(2 * count, "", None, _now())
    rows = "".join(f"07{place:08d},Guest {place}\n" for place in range(count))
    upload = sms_lists.add("Everybody", f"phone,name\n{rows}".encode(), "they ticked the box", njeri, _now())
    audience = {"kind": "list", "list_id": upload.row.id}
    return campaigns.create("Open", WORDS, "service", audience, njeri, _now()), njeri


def _wait_until_listed(campaign: Campaign) -> None:
    deadline = time.monotonic() + LISTED_WITHIN_S
    while Campaign.get_by_id(campaign.id).listed_at is None:
        if time.monotonic() > deadline:
            raise RuntimeError("the recipients are not written down")
        time.sleep(0.05)


def _wait_until_ended(campaign: Campaign) -> None:
    while Message.any_where("campaign_id = ? AND state IN ('listed', 'queued')", campaign.id):
        time.sleep(0.05)


def _look_ms(campaign: Campaign) -> float:
    began = time.perf_counter()
    campaigns.progress(campaign)
    return (time.perf_counter() - began) * 1000


def _memory_mib(box: Box) -> float:
    told = Path(f"/proc/{box.process.pid}/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in told.splitlines() if line.startswith("VmRSS"))) / 1024


def _now() -> datetime:
    return datetime.now(UTC)
