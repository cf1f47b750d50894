"""What the pretend modem answers to each AT command (3GPP 27.007 and 27.005)."""

from collections.abc import Callable, Container
from datetime import UTC, datetime

from edge.simulators.modem.handset import Handset, Stored
from edge.tpdu import Pdu, StatusReport, encode_report

# kind: "" as it stands, "?" read, "=?" test, "=" set.
Handler = Callable[[str, str], list[str]]
CME_WORDS = {
    3: "operation not allowed", 4: "operation not supported", 10: "SIM not inserted", 11: "SIM PIN required",
    12: "SIM PUK required", 14: "SIM busy", 16: "incorrect password", 50: "incorrect parameters",
}  # fmt: skip
ROUTINGS = ((0, 1, 2), (0, 1, 2), (0,), (0, 1), (0, 1))  # what +CNMI takes, as a SIM800 does
MEMORIES = ("SM", "ME")
ACCEPTED_AND_FORGOTTEN = ("+CMMS", "+CSMP", "+CSDH", "+CNMA", "+CSCB", "+CLIP", "+CRC", "+CMER", "^CURC", "^PORTSEL")


class Trouble(Exception):
    """Ends a command with this line instead of OK."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


class Hang(Exception):
    """The command never ends."""


def cms(code: int) -> str:
    """The final line of a failed text."""
    return f"+CMS ERROR: {code}"


class Commands:
    """One method a subject; the table at the end of `__init__` names them."""

    def __init__(self, handset: Handset) -> None:
        self._handset = handset
        told = {
            ("+CGMI", "+GMI"): lambda: handset.manufacturer,
            ("+CGMM", "+GMM"): lambda: handset.model,
            ("+CGMR", "+GMR"): lambda: handset.revision,
            ("+CGSN", "+GSN"): lambda: handset.imei,
            ("+CIMI",): lambda: self._of_sim(handset.imsi),
            ("+CCID", "^ICCID"): lambda: self._of_sim(f"+CCID: {handset.iccid}"),
            ("+CSQ",): lambda: f"+CSQ: {handset.signal},99",
            ("+CBC",): lambda: "+CBC: 0,100",
        }
        self._table: dict[str, Handler] = {
            name: _tell(answer) for names, answer in told.items() for name in names
        }
        self._table |= {name: lambda kind, given: [] for name in ACCEPTED_AND_FORGOTTEN}
        self._table |= {
            "+CMEE": self._errors, "+CPIN": self._pin, "+CPINR": self._pin_tries, "+CFUN": self._functionality,
            "+CREG": self._registration, "+CEREG": self._registration_lte, "+CGREG": self._registration_data,
            "+COPS": self._operator, "+CSCS": self._charset, "+CMGF": self._format, "+CSCA": self._centre,
            "+CSMS": self._service, "+CPMS": self._memories, "+CNMI": self._routing, "+CMGL": self._list,
            "+CMGR": self._read, "+CMGD": self._delete, "+CCLK": self._clock,
        }  # fmt: skip

    def find(self, name: str) -> Handler | None:
        """Who answers this command."""
        return self._table.get(name)

    def cme(self, code: int) -> str:
        """The final line of a failed command, as loud as +CMEE wants it."""
        loudness = self._handset.volatile.errors
        return "ERROR" if not loudness else f"+CME ERROR: {code if loudness == 1 else CME_WORDS[code]}"

    def require_sim(self) -> None:
        """Texts need a SIM that is there and open."""
        if self._handset.sim_error is not None:
            raise Trouble(cms({10: 310, 14: 314}.get(self._handset.sim_error, 313)))
        if self._handset.sim_state != "READY":
            raise Trouble(cms(311 if self._handset.sim_state == "SIM PIN" else 316))

    def report(self, number: str, reference: int) -> Pdu:
        """The network says: delivered."""
        now = datetime.now(UTC)
        return encode_report(StatusReport(reference, "+" + number, now, now, 0))

    # The modem and its SIM.

    def _of_sim(self, answer: str) -> str:
        if self._handset.sim_error is not None:
            raise Trouble(self.cme(self._handset.sim_error))
        return answer

    def _errors(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.errors = self._number(given, range(3))
        return _by_kind(kind, "+CMEE: (0-2)", f"+CMEE: {self._handset.volatile.errors}")

    def _pin(self, kind: str, given: str) -> list[str]:
        if kind != "=":
            return _by_kind(kind, "", self._of_sim(f"+CPIN: {self._handset.sim_state}"))
        if self._handset.sim_state != "SIM PIN":
            raise Trouble(self.cme(3))
        if not self._handset.enter_pin(given.strip('"')):
            raise Trouble(self.cme(16))
        return []

    def _pin_tries(self, kind: str, given: str) -> list[str]:
        return [self._of_sim(f"+CPINR: SIM PIN,{self._handset.pin_tries_left},3")]

    def _functionality(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.functionality = self._number(given.split(",")[0], (0, 1, 4))
        return _by_kind(kind, "+CFUN: (0,1,4),(0-1)", f"+CFUN: {self._handset.volatile.functionality}")

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
        return _by_kind(kind, f"{name}: (0-2)", f"{name}: {detail},{state}{place}")

    def _operator(self, kind: str, given: str) -> list[str]:
        handset = self._handset
        if kind == "=" and given.startswith("3,"):
            handset.volatile.long_operator = given[2:] != "2"
        if kind != "?" or handset.registration_state() != 1:
            return _by_kind(kind, f'+COPS: (2,"{handset.operator}",,"{handset.operator_code}",2)', "+COPS: 0")
        name = handset.operator if handset.volatile.long_operator else handset.operator_code
        return [f'+COPS: 0,{0 if handset.volatile.long_operator else 2},"{name}",2']

    def _clock(self, kind: str, given: str) -> list[str]:
        return _by_kind(kind, "", f'+CCLK: "{datetime.now(UTC):%y/%m/%d,%H:%M:%S}+00"')

    # Texts.

    def _charset(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.charset = self._name(given, ("GSM", "IRA"))
        return _by_kind(kind, '+CSCS: ("GSM","IRA")', f'+CSCS: "{self._handset.volatile.charset}"')

    def _format(self, kind: str, given: str) -> list[str]:
        """Only PDU mode: text mode is more than anybody needs here."""
        if kind == "=" and given != "0":
            raise Trouble(cms(303))
        return _by_kind(kind, "+CMGF: (0)", "+CMGF: 0")

    def _centre(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.smsc = given.split(",")[0].strip('"')
        return _by_kind(kind, "", f'+CSCA: "{self._handset.smsc}",{145 if self._handset.smsc else 129}')

    def _service(self, kind: str, given: str) -> list[str]:
        if kind == "=":
            self._handset.volatile.service = self._number(given, (0, 1))
            return ["+CSMS: 1,1,1"]
        return _by_kind(kind, "+CSMS: (0,1)", f"+CSMS: {self._handset.volatile.service},1,1,1")

    def _memories(self, kind: str, given: str) -> list[str]:
        """Of reading and deleting, of writing, of arrivals: those not named stay."""
        handset = self._handset
        if kind == "=":
            chosen = [self._name(name, MEMORIES) for name in given.split(",")[:3]]
            first, second, third = (*chosen, *handset.volatile.memories[len(chosen) :])
            handset.volatile.memories = (first, second, third)
        told = [(name, len(handset.memories[name]), handset.room[name]) for name in handset.volatile.memories]
        if kind == "=":
            return ["+CPMS: " + ",".join(f"{held},{room}" for _, held, room in told)]
        full = ",".join(f'"{name}",{held},{room}' for name, held, room in told)
        return _by_kind(kind, '+CPMS: ("SM","ME"),("SM","ME"),("SM","ME")', f"+CPMS: {full}")

    def _routing(self, kind: str, given: str) -> list[str]:
        volatile = self._handset.volatile
        if kind == "=":
            numbers = given.split(",")
            if len(numbers) > len(ROUTINGS):
                raise Trouble(cms(303))
            for place, number in enumerate(numbers):
                if not number.isascii() or not number.isdecimal() or int(number) not in ROUTINGS[place]:
                    raise Trouble(cms(303))
            volatile.routing = (*map(int, numbers), *volatile.routing[len(numbers) :])
        offered = ",".join(f"({','.join(map(str, values))})" for values in ROUTINGS)
        return _by_kind(kind, f"+CNMI: {offered}", "+CNMI: " + ",".join(map(str, volatile.routing)))

    def _list(self, kind: str, given: str) -> list[str]:
        handset = self._handset
        if kind == "=?":
            return ["+CMGL: (0-4)"]
        if handset.list_hangs:
            raise Hang
        if handset.list_error is not None:
            raise Trouble(cms(handset.list_error))
        wanted = self._number(given or "0", range(5))
        lines = []
        for slot, stored in handset.listed(handset.volatile.memories[0]):
            if wanted in (4, stored.state):
                lines += [f"+CMGL: {slot},{_header(stored)}", handset.garbled.get(slot, stored.pdu)]
        return lines

    def _read(self, kind: str, given: str) -> list[str]:
        slot = self._slot(given)
        if slot in self._handset.damaged_slots:
            raise Hang
        stored = self._handset.memories[self._handset.volatile.memories[0]].get(slot)
        return [] if stored is None else [f"+CMGR: {_header(stored)}", stored.pdu]

    def _delete(self, kind: str, given: str) -> list[str]:
        memory = self._handset.volatile.memories[0]
        if kind == "=?":
            return [f"+CMGD: (1-{self._handset.room[memory]}),(0-4)"]
        if self._handset.delete_error is not None:
            raise Trouble(cms(self._handset.delete_error))
        slot, _, which = given.partition(",")
        self._handset.empty(memory, None if which.strip() == "4" else self._slot(slot))
        return []

    def _slot(self, given: str) -> int:
        if not given.isascii() or not given.isdecimal():
            raise Trouble(cms(321))
        return int(given)

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


def _by_kind(kind: str, test: str, read: str) -> list[str]:
    """What a command that only holds a setting says."""
    line = {"=?": test, "?": read}.get(kind, "")
    return [line] if line else []


def _header(stored: Stored) -> str:
    """State (read from now on), no name, length."""
    state, stored.state = stored.state, 1 if stored.state == 0 else stored.state
    return f"{state},,{stored.length}"
