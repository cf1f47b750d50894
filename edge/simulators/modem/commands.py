"""What the pretend modem answers to each AT command (3GPP 27.007 and 27.005)."""

from collections.abc import Callable, Container
from datetime import UTC, datetime

from edge.simulators.modem.answers import Trouble, by_kind, cms
from edge.simulators.modem.charset import CHARSETS, from_line, to_line
from edge.simulators.modem.handset import Handset
from edge.simulators.modem.memory_commands import MemoryCommands
from edge.simulators.modem.ussd import Ussd

# kind: "" as it stands, "?" read, "=?" test, "=" set.
Handler = Callable[[str, str], list[str]]
ACCEPTED_AND_FORGOTTEN = (
    "+CMMS", "+CNMA", "+CSCB", "+CLIP", "+CRC", "+CMER", "+CTZU", "+CTZR", "^PORTSEL", "^STSF", "^DDSETEX", "^CVOICE",
    "+QURCCFG", "+QINDCFG", "*PSUTTZ",
)  # fmt: skip


class Commands:
    """One method a subject; the table at the end of `__init__` names them."""

    def __init__(self, handset: Handset, ussd: Ussd, reset: Callable[[], object]) -> None:
        self._handset = handset
        self._reset = reset
        self._ussd = ussd
        self.afterwards: Callable[[], object] | None = None  # to do once OK is said
        told = {
            ("+CGMI", "+GMI"): lambda: handset.manufacturer,
            ("+CGMM", "+GMM"): lambda: handset.model,
            ("+CGMR", "+GMR"): lambda: handset.revision,
            ("+CGSN", "+GSN"): lambda: handset.imei,
            ("+CIMI",): lambda: self._of_sim(handset.imsi),
            ("+CSQ",): lambda: f"+CSQ: {handset.signal_now()},99",
            ("+CBC",): lambda: "+CBC: 0,100",
            ("+CPAS",): lambda: "+CPAS: 0",
            ("+CGATT",): lambda: "+CGATT: 1",
        }
        self._table: dict[str, Handler] = {name: _tell(answer) for names, answer in told.items() for name in names}
        self._table |= {name: lambda kind, given: [] for name in ACCEPTED_AND_FORGOTTEN}
        self._table |= {
            "+CMEE": self._errors, "+CPIN": self._pin, "+CPINR": self._pin_tries, "+CFUN": self._functionality,
            "+CREG": self._registration, "+CEREG": self._registration_lte, "+CGREG": self._registration_data,
            "+COPS": self._operator, "+CSCS": self._charset, "+CMGF": self._format, "+CSCA": self._centre,
            "+CSMS": self._service, "+CCLK": self._clock, "+CSMP": self._parameters, "+CSDH": self._details,
            "+CUSD": self._ask_network, "^USSDMODE": self._ussd_mode, "^CURC": self._curc,
        }  # fmt: skip
        self._table |= MemoryCommands(handset).table

    def find(self, name: str) -> Handler | None:
        """Who answers this command; of what is no standard a family knows its own make only."""
        manners = self._handset.manners
        if name == manners.iccid or (name == "^ICCID" and manners.name == "generic"):
            return self._serial_number
        is_foreign = name.startswith(("^", "*", "+Q")) and not name.startswith(manners.starts_with or "-")
        return None if is_foreign else self._table.get(name)

    def unknown(self) -> str:
        """How a command that nobody knows ends."""
        return self._handset.manners.unknown or self.cme(4)

    def cme(self, code: int) -> str:
        """The final line of a failed command."""
        return self._handset.cme(code)

    def require_sim(self) -> None:
        """Texts need a SIM that is there and open."""
        failure = self._handset.sim_failure()
        if failure is not None:
            raise Trouble(cms({10: 310, 14: 314}.get(failure, 313)))
        if self._handset.sim_state != "READY":
            raise Trouble(cms(311 if self._handset.sim_state == "SIM PIN" else 316))

    # The modem and its SIM.

    def _of_sim(self, answer: str) -> str:
        failure = self._handset.sim_failure()
        if failure is not None:
            raise Trouble(self.cme(failure))
        return answer

    def _serial_number(self, kind: str, given: str) -> list[str]:
        return [] if kind == "=?" else [self._of_sim(self._handset.manners.iccid_answer.format(self._handset.iccid))]

    def _errors(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.errors = self._number(given, range(3))
        return by_kind(kind, "+CMEE: (0-2)", f"+CMEE: {self._handset.volatile.errors}")

    def _pin(self, kind: str, given: str) -> list[str]:
        if kind != "=":
            return by_kind(kind, "", self._of_sim(f"+CPIN: {self._handset.sim_state}"))
        if self._handset.sim_state != "SIM PIN":
            raise Trouble(self.cme(3))
        if not self._handset.enter_pin(given.strip('"')):
            raise Trouble(self.cme(16))
        return []

    def _pin_tries(self, kind: str, given: str) -> list[str]:
        return [self._of_sim(f"+CPINR: SIM PIN,{self._handset.pin_tries_left},3")]

    def _functionality(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            level, _, does_reset = given.partition(",")
            self._handset.volatile.functionality = self._number(level, (0, 1, 4))
            if does_reset == "1":
                self.afterwards = self._reset
        return by_kind(kind, "+CFUN: (0,1,4),(0-1)", f"+CFUN: {self._handset.volatile.functionality}")

    # The network.

    def _registration(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.registration = self._number(given, range(3))
        return self._registered("+CREG", kind, self._handset.volatile.registration)

    def _registration_lte(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.registration_lte = self._number(given, range(3))
        return self._registered("+CEREG", kind, self._handset.volatile.registration_lte)

    def _registration_data(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.registration_data = self._number(given, range(3))
        return self._registered("+CGREG", kind, self._handset.volatile.registration_data)

    def _registered(self, name: str, kind: str, detail: int) -> list[str]:
        place = ',"1A2B","00CDEF01"' if detail == 2 else ""
        state = self._handset.registration_state()
        return by_kind(kind, f"{name}: (0-2)", f"{name}: {detail},{state}{place}")

    def _operator(self, kind: str, given: str) -> list[str]:
        handset = self._handset
        if kind == "=" and given.startswith("3,"):
            handset.volatile.long_operator = given[2:] != "2"
        if kind != "?" or handset.registration_state() != 1:
            return by_kind(kind, f'+COPS: (2,"{handset.operator}",,"{handset.operator_code}",2)', "+COPS: 0")
        name = self._in_words(handset.operator) if handset.volatile.long_operator else handset.operator_code
        return [f'+COPS: 0,{0 if handset.volatile.long_operator else 2},"{name}",2']

    def _clock(self, kind: str, given: str) -> list[str]:
        return by_kind(kind, "", f'+CCLK: "{datetime.now(UTC):%y/%m/%d,%H:%M:%S}+00"')

    # Texts.

    def _charset(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.charset = self._name(given, CHARSETS)
        offered = ",".join(f'"{name}"' for name in CHARSETS)
        return by_kind(kind, f"+CSCS: ({offered})", f'+CSCS: "{self._handset.volatile.charset}"')

    def _in_words(self, text: str) -> str:
        return to_line(text, self._handset.volatile.charset)

    def _format(self, kind: str, given: str) -> list[str]:
        volatile = self._handset.volatile
        if kind == "=":
            if given not in ("0", "1"):
                raise Trouble(cms(303))
            volatile.is_text_mode = given == "1"
        return by_kind(kind, "+CMGF: (0,1)", f"+CMGF: {int(volatile.is_text_mode)}")

    def _parameters(self, kind: str, given: str) -> list[str]:
        """First octet, validity, protocol, coding: what text mode cannot say otherwise."""
        volatile = self._handset.volatile
        if kind == "=":
            numbers = [self._number(number, range(256)) for number in given.split(",") if number]
            volatile.parameters = (*numbers, *volatile.parameters[len(numbers) :])[:4]
        return by_kind(kind, "", "+CSMP: " + ",".join(map(str, volatile.parameters)))

    def _details(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.shows_details = self._number(given, (0, 1)) == 1
        return by_kind(kind, "+CSDH: (0,1)", f"+CSDH: {int(self._handset.volatile.shows_details)}")

    def _centre(self, kind: str, given: str) -> list[str]:
        handset = self._handset
        if kind == "=":
            try:
                handset.smsc = from_line(given.split(",")[0].strip('"'), handset.volatile.charset)
            except ValueError:
                raise Trouble(cms(304)) from None
        return by_kind(kind, "", f'+CSCA: "{self._in_words(handset.smsc)}",{145 if handset.smsc else 129}')

    def _ask_network(self, kind: str, given: str) -> list[str]:
        self.afterwards = self._ussd.answer
        return self._ussd.obey(kind, given)

    def _ussd_mode(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.has_plain_ussd = self._number(given, (0, 1)) == 0
        return by_kind(kind, "", f"^USSDMODE: {int(not self._handset.volatile.has_plain_ussd)}")

    def _curc(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.is_quiet = self._number(given.split(",")[0], range(3)) == 0
        return by_kind(kind, "^CURC: (0-2)", f"^CURC: {int(not self._handset.volatile.is_quiet)}")

    def _service(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.service = self._number(given, (0, 1))
            return ["+CSMS: 1,1,1"]
        return by_kind(kind, "+CSMS: (0,1)", f"+CSMS: {self._handset.volatile.service},1,1,1")

    def _number(self, given: str, allowed: Container[int]) -> int:
        if not given.isascii() or not given.isdecimal() or int(given) not in allowed:
            raise Trouble(self.cme(50))
        return int(given)

    def _name(self, given: str, allowed: tuple[str, ...]) -> str:
        name = given.strip('" ')
        if name not in allowed:
            raise Trouble(self.cme(50))
        return name


def _tell(answer: Callable[[], str]) -> Handler:
    return lambda kind, given: [] if kind == "=?" else [answer()]
