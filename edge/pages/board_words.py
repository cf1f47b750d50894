"""Jobs in the words of the owner's catalogue. Arguments and errors are hostile text, with people's numbers in it."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from edge.domain.reports import Step
from edge.models import Job
from edge.pages.staff_words import plain
from edge.texts import say
from edge.values.msisdn import mask_msisdn

# As people, M-Pesa and modems write a Kenyan number; inside a longer number it is none.
_PHONE = re.compile(r"(?<![\w.])(?:\+|00)?(?:254|0)[\s-]?([17]\d{2})[\s-]?(\d{3})[\s-]?(\d{3})(?![\w])")
_SECRET = re.compile(r"pass|pin|secret|token|key|code|text|username", re.IGNORECASE)
_SPANS = ((86_400, 3_600, "d"), (3_600, 60, "h"), (60, 1, "min"))


def span(seconds: float | None) -> str:
    """A length of time as exact as people read it: 12 ms, 3.4 s, 1 min 15 s, 2 h 5 min."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return say("board.took_ms", n=round(seconds * 1000))
    if seconds < 60:
        return say("board.took_s", n=f"{seconds:.1f}".removesuffix(".0"))
    for size, part, name in _SPANS:
        if seconds >= size:
            whole, rest = int(seconds // size), int(seconds % size // part)
            return say(f"board.took_{name}" if rest else f"board.took_{name}_even", n=whole, m=rest)
    return ""


def until(then: datetime, now: datetime) -> str:
    """How long to go."""
    seconds = int((then - now).total_seconds())
    return say("board.due_in", time=span(seconds)) if seconds > 0 else say("board.due_now")


def seconds(then: datetime | None, now: datetime) -> float | None:
    """How long since; None when it never was."""
    return None if then is None else max(0.0, (now - then).total_seconds())


def standing(job: Job, now: datetime, clock: Callable[[datetime], str]) -> str:
    """Since when, or until when, a job is in its state; `clock` shows an instant on the shop's wall."""
    if job.state == "waiting":
        return say("board.waits_since", when=clock(job.run_at))
    if job.state == "scheduled":
        return say("board.due_at", when=clock(job.run_at), left=until(job.run_at, now))
    if job.state == "running":
        return say("board.begun_at", when=clock(job.started_at or job.run_at))
    return clock(job.finished_at or job.created_at)


def purpose(job: Job) -> str:
    """What this kind of work is for, in one sentence; empty for what the catalogue does not know."""
    try:
        return say(f"admin_job_more.{job.name}")
    except KeyError:
        return ""


def step_words(step: Step) -> str:
    """One step of a job's story."""
    name, attempt = step.name, step.data.get("attempt", 0)
    if name == "failed" and attempt in (0, 1):
        name = "failed_once" if attempt else "failed_unbegun"
    return say(f"board_story.{name}", attempt=plain(attempt))


def error_words(words: object, sees_secrets: bool) -> str:
    """What the device, or the box itself, said of an attempt."""
    line = plain(words)
    return line if sees_secrets else mask(line)


def last_error(job: Job, sees_secrets: bool) -> str:
    """The last words of a job; empty while all went well."""
    return error_words(job.errors[-1].get("words", ""), sees_secrets) if job.errors else ""


def arguments(job: Job, sees_secrets: bool) -> list[tuple[str, str]]:
    """What the job was told, name by name; only who sees secrets sees codes and whole numbers."""
    return [(plain(name), _argument(str(name), value, sees_secrets)) for name, value in job.args.items()]


def _argument(name: str, value: Any, sees_secrets: bool) -> str:
    if not sees_secrets and _SECRET.search(name):
        return "•••"
    shown = plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return shown if sees_secrets else mask(shown)


def mask(line: str) -> str:
    """The same with every phone number in it cut to what one may recognise it by."""
    return _PHONE.sub(lambda found: mask_msisdn("254" + found[1] + found[2] + found[3]), line)
