"""What the pretend modem is made of: its SIM, its memory, what it sent, and how it may misbehave."""

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from edge.errors import BadInput
from edge.simulators.modem.answers import cme
from edge.simulators.modem.clock import Clock
from edge.simulators.modem.families import FAMILIES, Family
from edge.simulators.modem.faults import Fault, Faults, Step
from edge.simulators.modem.records import Segment, SentSms, Stored, Volatile
from edge.simulators.modem.ussd_scripts import UssdAnswer, safaricom_scripts
from edge.tpdu import Content, Pdu, Submit, encode_deliver, join_text

ROOM = {"SM": 30, "ME": 23, "SR": 5}  # entries that the SIM and the modem hold


class Handset:
    """Set its attributes at any time; what was sent stands in `sent`, single segments in `segments`."""

    def __init__(self, family: str = "generic") -> None:
        self.clock = Clock()
        self.faults = Faults(self.clock, self._beginnings())
        self.family = family
        self.imei, self.imsi, self.iccid = "490154203237518", "639020000000001", "89254021000000000018"
        self.operator, self.operator_code, self.smsc = "Safaricom", "63902", "+254722500029"
        self.registered = True
        self.signal = 21  # as +CSQ counts: 0-31, 99 unknown
        self.pin = ""
        self.pin_tries_left = 3
        self.pins_entered: list[str] = []
        self.sim_error: int | None = None  # +CME ERROR while the SIM is asked for: 10 none, 14 busy

        self.mute = False  # answers nothing at all
        self.no_prompt = False
        self.silent = False  # takes the text after Ctrl-Z, sends nothing and answers nothing
        self.lose_answer = False  # sends it, and answers nothing
        self.cms_error: int | str | None = None  # every hand-over ends with it; text is said as it stands
        self.next_cms_errors: deque[int | str | None] = deque()  # of the next hand-overs, one each; None is success
        self.prompt_error: int | str | None = None  # instead of the prompt
        self.vanish_at: Step = ""
        self.urcs: tuple[str, ...] = ()  # said before, between and behind all lines; `\r\n` makes two lines of one
        self.echo_always = False  # ATE0 is answered OK and changes nothing
        self.delay_s = 0.0  # from Ctrl-Z to the answer
        self.prompt_delay_s = 0.0
        self.delivery_reports = False  # a text that asks for one gets one
        self.report_delay_s = 0.0  # behind the answer; below zero: before +CMGS
        self.report_status: int | tuple[int, ...] = 0  # TP-Status; several come one after another
        self.reports_national = False  # the recipient as 0712… instead of +254712…

        self.ussd_answers: dict[str, UssdAnswer] = safaricom_scripts()
        self.ussd_asked: list[str] = []
        self.ussd_delay_s = 0.0
        self.airtime_cents: int | None = None  # None: never ends
        self.text_cents = 100  # what a segment costs of it
        self.airtime_error: int | str | None = 50  # how a text ends without airtime; None: not at all

        self.list_hangs = False  # +CMGL never ends
        self.damaged_slots: set[int] = set()  # +CMGR of them never ends
        self.list_error: int | None = None  # +CMS ERROR instead of the list
        self.delete_error: int | None = None
        self.garbled: dict[int, str] = {}  # what +CMGL, not +CMGR, says in place of these slots' PDUs

        self.volatile = Volatile()
        self.memories: dict[str, dict[int, Stored]] = defaultdict(dict, {"SM": {}, "ME": {}})  # SR once it is used
        self.room = dict(ROOM)
        self.held_back: deque[Pdu] = deque()  # at the message centre, until there is room
        self.sent: list[SentSms] = []
        self.segments: list[Segment] = []
        self.commands: deque[str] = deque(maxlen=1000)  # as they came
        self.unknown_commands: deque[str] = deque(maxlen=1000)
        self.lost_input: deque[bytes] = deque(maxlen=100)  # typed before the prompt
        self._open_texts: dict[tuple[str, int, int], dict[int, Segment]] = {}
        self._last_reference = 0
        self.changed = threading.Condition()

    @property
    def family(self) -> str:
        """generic, huawei, sim800, sim7600 or quectel; setting it sets how it calls itself as well."""
        return self.manners.name

    @family.setter
    def family(self, name: str) -> None:
        if name not in FAMILIES:
            raise BadInput(f"no family of modems is called {name}; there are {', '.join(FAMILIES)}")
        self.manners: Family = FAMILIES[name]
        self.manufacturer, self.model, self.revision = (
            self.manners.manufacturer, self.manners.model, self.manners.revision,
        )  # fmt: skip

    @property
    def memory(self) -> dict[int, Stored]:
        """The SIM's own texts by their slots."""
        return self.memories["SM"]

    @property
    def echo(self) -> bool:
        """Does it repeat what is typed? True after power-up, until ATE0."""
        return self.volatile.echo or self.echo_always

    @echo.setter
    def echo(self, is_on: bool) -> None:
        self.volatile.echo = is_on

    @property
    def sim_state(self) -> str:
        """As +CPIN says it."""
        if self.faults.is_on("sim-locked"):
            return "SIM PUK"
        if not self.pin or self.volatile.pin_entered:
            return "READY"
        return "SIM PIN" if self.pin_tries_left else "SIM PUK"

    def enter_pin(self, pin: str) -> bool:
        """Three wrong ones in a row lock the SIM."""
        self.pins_entered.append(pin)
        if self.sim_state != "SIM PIN":
            return False
        self.volatile.pin_entered = pin == self.pin
        self.pin_tries_left = 3 if self.volatile.pin_entered else self.pin_tries_left - 1
        return self.volatile.pin_entered

    def cme(self, code: int) -> str:
        """The final line of a failed command, as loud as +CMEE and the family want it."""
        loudness = self.volatile.errors
        return cme(code, 2 if loudness and self.manners.has_words_always else loudness)

    @property
    def is_deaf(self) -> bool:
        """Does it answer nothing at all?"""
        return self.mute or self.faults.is_on("deaf")

    def sim_failure(self) -> int | None:
        """+CME ERROR while the SIM is asked for, or None when it is there."""
        if self.faults.is_on("sim-gone"):
            return 10
        return 14 if self.faults.is_on("sim-busy") else self.sim_error

    def signal_now(self) -> int:
        """As +CSQ says it."""
        return 3 if self.faults.is_on("weak-signal") else self.signal

    def registration_state(self) -> int:
        """1 at home, 2 searching."""
        is_on = self.registered and self.volatile.functionality == 1 and self.sim_state == "READY"
        return 1 if is_on and self.sim_failure() is None and not self.faults.is_on("no-service") else 2

    def is_out_of_airtime(self) -> bool:
        """Is there too little for one more segment?"""
        is_short = self.airtime_cents is not None and self.airtime_cents < self.text_cents
        return is_short or self.faults.is_on("no-airtime")

    def airtime_words(self) -> str:
        """What is left, in shillings, as 123.45."""
        cents = 100_000 if self.airtime_cents is None else self.airtime_cents
        return f"{cents // 100}.{cents % 100:02d}"

    def doubled(self) -> list[SentSms]:
        """Texts that the network took although it had the same text to the same number before."""
        known: set[tuple[str, str]] = set()
        doubled = []
        for sms in list(self.sent):
            if (sms.msisdn, sms.text) in known:
                doubled.append(sms)
            known.add((sms.msisdn, sms.text))
        return doubled

    def take(self, submit: Submit, pdu: str) -> int:
        """The network takes a segment; its text stands in `sent` when all of it is here. The reference wraps."""
        with self.changed:
            self._last_reference = (self._last_reference + 1) & 0xFF
            segment = Segment(submit, pdu, self._last_reference)
            self.segments.append(segment)
            if self.airtime_cents is not None:
                self.airtime_cents -= self.text_cents
            whole = self._whole_text(segment)
            if whole:
                contents: list[Content] = [each.submit.content for each in whole]
                pdus, references = tuple(each.pdu for each in whole), tuple(each.reference for each in whole)
                self.sent.append(SentSms(submit.number, join_text(contents), pdus, references))
            self.changed.notify_all()
            return segment.reference

    def _whole_text(self, segment: Segment) -> list[Segment]:
        part = segment.submit.content.part
        if part is None:
            return [segment]
        key = (segment.submit.number, part.reference, part.total)
        parts = self._open_texts.setdefault(key, {})
        parts[part.number] = segment
        if len(parts) < part.total:
            return []
        del self._open_texts[key]
        return [parts[number] for number in sorted(parts)]

    def store(self, pdu: str, length: int, memory: str = "", state: int = 0) -> int | None:
        """Keep a text in the first free slot, from 1, of the memory for arrivals; None when that is full."""
        with self.changed:
            memory = memory or self.volatile.memories[2]
            slots = self.memories[memory]
            free = next((slot for slot in range(1, self.room[memory] + 1) if slot not in slots), None)
            if free is not None:
                slots[free] = Stored(pdu, length, state)
                self.changed.notify_all()
            return free

    def fill(self) -> None:
        """Advertisements take every slot that is left for arrivals."""
        while True:
            (pdu,) = encode_deliver("Safaricom", "Offer of the day: dial *188#", datetime.now(UTC))
            if self.store(pdu.hex, pdu.length) is None:
                return

    def is_full(self) -> bool:
        """Is there no slot for an arrival?"""
        memory = self.volatile.memories[2]
        return len(self.memories[memory]) >= self.room[memory]

    def listed(self, memory: str) -> list[tuple[int, Stored]]:
        """What stands in this memory, in the order of its slots."""
        with self.changed:
            return sorted(self.memories[memory].items())

    def empty(self, memory: str, slot: int | None) -> None:
        """Delete one entry, or all of them."""
        with self.changed:
            for gone in [slot] if slot is not None else list(self.memories[memory]):
                self.memories[memory].pop(gone, None)
            self.changed.notify_all()

    def wait_for_sent(self, count: int, timeout_s: float = 10.0) -> bool:
        """Wait until so many whole texts were sent; False when time ran out."""
        with self.changed:
            return self.changed.wait_for(lambda: len(self.sent) >= count, timeout_s)

    def _beginnings(self) -> Mapping[str, Callable[[Fault], object]]:
        """What has to be done when a fault of time begins; the others are only looked up."""
        return {"sim-full": lambda fault: self.fill()}
