"""How the pretend modem misbehaves: faults by name, for some texts or for a time, at random or by a plan."""

import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, TypedDict, Unpack

from edge.errors import BadInput
from edge.simulators.modem.clock import Clock

Step = Literal["", "command", "prompt", "hand-over"]
# Struck by one sending (one AT+CMGS, so one segment).
OF_TEXTS = {
    "error": "refused with `code`, else one of 500, 38, 42, 331; not sent",
    "error-though-sent": "`code`, else 500 or 332, but the network has it",
    "prompt-error": "`code` instead of the prompt",
    "no-prompt": "no prompt and no answer; not sent",
    "slow-prompt": "the prompt comes after `seconds`",
    "no-answer": "takes it and answers nothing; not sent",
    "answer-lost": "sent, and answers nothing",
    "answer-late": "sent, answers after `seconds`, busy until then",
    "half-answer": "sent, and the answer breaks off",
    "pdu-echo": "repeats the PDU before the answer, whatever ATE says",
    "garbage": "noise between the lines of the answer",
    "chatter": "unsolicited lines before, between and behind the lines of the answer",
    "incoming": "a text arrives between the text and its answer",
    "port-gone": "the port is gone for `seconds` at `step`; at hand-over `sent` or not",
    "restart": "starts anew at hand-over, `sent` or not",
    "hang": "deaf for `seconds` from hand-over on, `sent` or not",
}
# They last for `seconds`, or until they are taken back.
OF_TIME = {
    "deaf": "answers nothing at all",
    "no-service": "searches for a network; texts end with +CMS ERROR: 331",
    "weak-signal": "+CSQ: 3",
    "no-airtime": "texts end as those without airtime do",
    "sim-gone": "no SIM: +CME ERROR: 10, +CMS ERROR: 310",
    "sim-busy": "+CME ERROR: 14, +CMS ERROR: 314",
    "sim-locked": "the SIM asks for its PUK",
    "sim-full": "every slot is taken; texts end with +CMS ERROR: 322 until one is free",
    "list-hangs": "+CMGL never ends",
    "unplugged": "the cable is out",
    "moved": "unplugged, and back under another name",
}
NAMES = OF_TEXTS | OF_TIME
ERRORS = (500, 38, 42, 331)
UNSURE_ERRORS = (500, 332)  # all others say that the network did not take the text, or was not even asked
SECONDS = {"slow-prompt": 3.0, "answer-late": 40.0, "port-gone": 5.0, "hang": 20.0, "unplugged": 5.0, "moved": 5.0}
# What chaos draws from: not what only a person can mend, nor what needs another name for the port.
MENDING_ITSELF = tuple(name for name in NAMES if name not in ("sim-locked", "moved", "no-airtime"))
HOW = "NAME [texts=N] [chance=0.1] [for=SECONDS] [seconds=SECONDS] [code=N] [sent=yes|no] [step=command|prompt]"


class Options(TypedDict, total=False):
    """What may be said of a fault beside its name."""

    texts: int | None  # so many sendings, then no more
    chance: float  # of striking one sending
    for_s: float | None  # gone after so long
    seconds: float | None  # how long it lasts once it struck
    code: int | str | None
    is_sent: bool | None  # None: at random
    step: Step


@dataclass(frozen=True)
class Fault:
    """One fault as it was put; `seconds` is None when it lasts until it is taken back."""

    name: str
    texts: int | None = None
    chance: float = 1.0
    for_s: float | None = None
    seconds: float | None = None
    code: int | str | None = None
    is_sent: bool | None = None
    step: Step = "hand-over"


@dataclass(frozen=True)
class Struck:
    """A fault happened."""

    at: datetime
    fault: Fault


@dataclass
class _Pending:
    fault: Fault
    left: int | None
    until: float | None


@dataclass
class Plan:
    """The faults of one sending."""

    faults: dict[str, Fault] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.faults

    def get(self, name: str) -> Fault | None:
        """This fault with all its values decided, or None."""
        return self.faults.get(name)


class Faults:
    """`put` them, `take_back`, or let `chaos` and `follow` put them; several at once add up.

    `speed`: all seconds said here pass so much faster. `struck`: what happened when, for whoever must explain it.
    """

    def __init__(self, clock: Clock, begin: Mapping[str, Callable[[Fault], object]]) -> None:
        self.speed = 1.0
        self.struck: list[Struck] = []
        self._clock = clock
        self._begin = begin  # what has to be done when a fault of time begins
        self._random = random.Random(0)
        self._of_texts: list[_Pending] = []
        self._of_time: dict[str, float | None] = {}  # name → its end
        self._lock = threading.RLock()
        self._chaos = 0  # the one that runs; each has its own number

    def seed(self, number: int) -> None:
        """Make what happens at random the same each time."""
        self._random.seed(number)

    def real(self, seconds: float) -> float:
        """How long this takes by the wall clock."""
        return seconds / self.speed

    def put(self, name: str, **options: Unpack[Options]) -> Fault:
        """From now on. A fault of time begins at once unless `texts`, `chance` or `for_s` bind it to sendings."""
        _check(name)
        fault = Fault(name, **options)
        if not 0.0 <= fault.chance <= 1.0:
            raise BadInput("a chance is between 0 and 1")
        is_bound = fault.texts is not None or fault.chance < 1.0 or fault.for_s is not None
        if name in OF_TIME and not is_bound:
            self._start(fault)
            return fault
        with self._lock:
            until = None if fault.for_s is None else time.monotonic() + self.real(fault.for_s)
            self._of_texts.append(_Pending(fault, fault.texts, until))
        return fault

    def put_words(self, words: str) -> Fault:
        """The same from a line: `error chance=0.1 code=38`."""
        name, options = _read(words)
        return self.put(name, **options)

    def take_back(self, name: str) -> None:
        """This fault happens no more; one that lasts ends now, save that a cable stays out for its time."""
        with self._lock:
            self._of_texts = [pending for pending in self._of_texts if pending.fault.name != name]
            self._of_time.pop(name, None)

    def clear(self) -> None:
        """All is well again, and stays so."""
        self.calm()
        with self._lock:
            self._of_texts.clear()
            self._of_time.clear()

    def is_on(self, name: str) -> bool:
        """Is this fault of time on now?"""
        if not self._of_time:
            return False
        with self._lock:
            end = self._of_time.get(name, 0.0)
            if end is not None and end <= time.monotonic():
                self._of_time.pop(name, None)
                return False
            return True

    def draw(self) -> Plan:
        """What shall go wrong with this one sending."""
        plan = Plan()
        if not self._of_texts:
            return plan
        with self._lock:
            now = time.monotonic()
            for pending in list(self._of_texts):
                if pending.until is not None and pending.until <= now:
                    self._of_texts.remove(pending)
                elif self._random.random() < pending.fault.chance:
                    self._count_down(pending)
                    plan.faults[pending.fault.name] = self._decided(pending.fault)
        for fault in list(plan.faults.values()):
            if fault.name in OF_TIME:
                self._start(fault)
            else:
                self.struck.append(Struck(datetime.now(UTC), fault))
        return plan

    def tell(self) -> list[str]:
        """What may go wrong now, in words."""
        with self._lock:
            waiting = [_in_words(pending) for pending in self._of_texts]
            lasting = [name for name in list(self._of_time) if self.is_on(name)]
        return lasting + waiting + (["chaos"] if self._chaos % 2 else [])

    def follow(self, schedule: Iterable[tuple[float, str]]) -> None:
        """Put each of these (seconds from now, words as in `put_words`, or `clear`)."""
        for at_s, words in schedule:
            self._clock.after(self.real(at_s), self.clear if words == "clear" else self._later(*_read(words)))

    def chaos(self, every_s: float = 20.0, names: Sequence[str] = MENDING_ITSELF, longest_s: float = 30.0) -> None:
        """A fault at random every so often on average, until `calm`."""
        with self._lock:
            self._chaos += 1 + self._chaos % 2
            self._next_of_chaos(self._chaos, every_s, tuple(names), longest_s)

    def calm(self) -> None:
        """End the chaos; what it put last still takes its time."""
        with self._lock:
            self._chaos += self._chaos % 2

    def _next_of_chaos(self, number: int, every_s: float, names: tuple[str, ...], longest_s: float) -> None:
        def strike() -> None:
            with self._lock:
                if self._chaos != number:
                    return
                name = self._random.choice(names)
                seconds = self._random.uniform(1.0, longest_s)
                texts = self._random.randint(1, 3) if name in OF_TEXTS else None
            self.put(name, seconds=seconds, texts=texts, for_s=longest_s if texts else None)
            self._next_of_chaos(number, every_s, names, longest_s)

        self._clock.after(self.real(self._random.expovariate(1 / every_s)), strike)

    def _later(self, name: str, options: Options) -> Callable[[], object]:
        return lambda: self.put(name, **options)

    def _count_down(self, pending: _Pending) -> None:
        if pending.left is not None:
            pending.left -= 1
            if pending.left <= 0:
                self._of_texts.remove(pending)

    def _decided(self, fault: Fault) -> Fault:
        """Nothing is left open: code, seconds, sent or not."""
        return replace(
            fault,
            code=self._random.choice(UNSURE_ERRORS if fault.name == "error-though-sent" else ERRORS)
            if fault.code is None else fault.code,
            seconds=SECONDS.get(fault.name) if fault.seconds is None else fault.seconds,
            is_sent=self._random.random() < 0.5 if fault.is_sent is None else fault.is_sent,
        )  # fmt: skip

    def _start(self, fault: Fault) -> None:
        fault = replace(fault, seconds=SECONDS.get(fault.name) if fault.seconds is None else fault.seconds)
        with self._lock:
            self.struck.append(Struck(datetime.now(UTC), fault))
            end = None if fault.seconds is None else time.monotonic() + self.real(fault.seconds)
            self._of_time[fault.name] = end
        if fault.name in self._begin:
            self._begin[fault.name](fault)


def _in_words(pending: _Pending) -> str:
    fault = pending.fault
    left = "" if pending.left is None else f" texts={pending.left}"
    return fault.name + left + ("" if fault.chance == 1.0 else f" chance={fault.chance:g}")


def _check(name: str) -> None:
    if name not in NAMES:
        raise BadInput(f"no fault is called {name}; there are {', '.join(NAMES)}")


def _read(words: str) -> tuple[str, Options]:
    name, *given = words.split() or [""]
    _check(name)
    return name, _options(given)


def _options(given: list[str]) -> Options:
    options: Options = {}
    for word in given:
        name, _, value = word.partition("=")
        if not value:
            raise BadInput(f"a fault is put as {HOW}")
        _set(options, name, value)
    return options


def _set(options: Options, name: str, value: str) -> None:
    if name == "texts" and re.fullmatch(r"[0-9]{1,6}", value):
        options["texts"] = int(value)
    elif name in ("for", "seconds", "chance") and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value):
        key: Literal["for_s", "seconds", "chance"] = "for_s" if name == "for" else name  # type: ignore[assignment]
        options[key] = float(value)
    elif name == "code":
        options["code"] = int(value) if re.fullmatch(r"[0-9]{1,3}", value) else value
    elif name == "sent" and value in ("yes", "no"):
        options["is_sent"] = value == "yes"
    elif name == "step" and value in ("command", "prompt", "hand-over"):
        options["step"] = value  # type: ignore[typeddict-item]
    else:
        raise BadInput(f"{name}={value} is not understood; a fault is put as {HOW}")
