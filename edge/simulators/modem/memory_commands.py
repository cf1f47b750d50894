"""The commands of the pretend modem's memory: what texts it lists, reads, deletes, and where new ones go."""

from edge.simulators.modem.answers import Hang, Trouble, by_kind, cms
from edge.simulators.modem.handset import Handset
from edge.simulators.modem.records import Stored
from edge.simulators.modem.text_mode import STATES, header

Lines = list[str]


class MemoryCommands:
    """One method a command; `table` names them."""

    def __init__(self, handset: Handset) -> None:
        self._handset = handset
        self.table = {
            "+CPMS": self._memories, "+CNMI": self._routing, "+CMGL": self._list, "+CMGR": self._read,
            "+CMGD": self._delete,
        }  # fmt: skip

    def _memories(self, kind: str, given: str) -> Lines:
        """Of reading and deleting, of writing, of arrivals: those not named stay."""
        handset = self._handset
        there, third = handset.manners.memories, handset.manners.third_memories
        if kind == "=":
            names = [name.strip('" ') for name in given.split(",")[:3]]
            allowed = (there, ("SM", "ME"), third)
            if any(name not in allowed[place] for place, name in enumerate(names)):
                raise Trouble(handset.cme(50))
            first, second, last = (*names, *handset.volatile.memories[len(names) :])
            handset.volatile.memories = (first, second, last)
        told = [(name, len(handset.memories[name]), handset.room[name]) for name in handset.volatile.memories]
        if kind == "=":
            return ["+CPMS: " + ",".join(f"{held},{room}" for _, held, room in told)]
        full = ",".join(f'"{name}",{held},{room}' for name, held, room in told)
        offered = ",".join(_quoted(names) for names in (there, ("SM", "ME"), third))
        return by_kind(kind, f"+CPMS: {offered}", f"+CPMS: {full}")

    def _routing(self, kind: str, given: str) -> Lines:
        volatile, routings = self._handset.volatile, self._handset.manners.routings
        if kind == "=":
            numbers = given.split(",")
            if len(numbers) > len(routings):
                raise Trouble(cms(303))
            for place, number in enumerate(numbers):
                if not number.isascii() or not number.isdecimal() or int(number) not in routings[place]:
                    raise Trouble(cms(303))
            volatile.routing = (*map(int, numbers), *volatile.routing[len(numbers) :])
        offered = ",".join(f"({','.join(map(str, values))})" for values in routings)
        return by_kind(kind, f"+CNMI: {offered}", "+CNMI: " + ",".join(map(str, volatile.routing)))

    def _list(self, kind: str, given: str) -> Lines:
        handset = self._handset
        is_text = handset.volatile.is_text_mode
        if kind == "=?":
            return ["+CMGL: " + ("(" + ",".join(f'"{state}"' for state in STATES) + ")" if is_text else "(0-4)")]
        if handset.list_hangs or handset.faults.is_on("list-hangs"):
            raise Hang
        if handset.list_error is not None:
            raise Trouble(cms(handset.list_error))
        wanted = self._wanted(given, is_text=is_text)
        lines = []
        for slot, stored in handset.listed(handset.volatile.memories[0]):
            if wanted in (4, stored.state):
                head, body = self._entry(stored, is_list=True)
                lines += [f"+CMGL: {slot},{head}", *([handset.garbled.get(slot, body)] if body else [])]
        return lines

    def _wanted(self, given: str, *, is_text: bool) -> int:
        if is_text:
            name = given.strip('" ') or "REC UNREAD"
            if name in STATES:
                return STATES.index(name)
        elif given == "" or given in ("0", "1", "2", "3", "4"):
            return int(given or "0")
        raise Trouble(self._handset.cme(50))

    def _read(self, kind: str, given: str) -> Lines:
        slot = _slot(given)
        if slot in self._handset.damaged_slots:
            raise Hang
        stored = self._handset.memories[self._handset.volatile.memories[0]].get(slot)
        if stored is None:
            return []
        head, body = self._entry(stored, is_list=False)
        return [f"+CMGR: {head}", *([body] if body else [])]

    def _entry(self, stored: Stored, *, is_list: bool) -> tuple[str, str]:
        """Its header, in the state before this reading, and its second line."""
        if self._handset.volatile.is_text_mode:
            told = header(stored, self._handset.volatile, is_list=is_list)
        else:
            told = f"{stored.state},,{stored.length}", stored.pdu
        stored.state = stored.state or 1
        return told

    def _delete(self, kind: str, given: str) -> Lines:
        memory = self._handset.volatile.memories[0]
        if kind == "=?":
            return [f"+CMGD: (1-{self._handset.room[memory]}),(0-4)"]
        if self._handset.delete_error is not None:
            raise Trouble(cms(self._handset.delete_error))
        slot, _, which = given.partition(",")
        if which.strip() in ("1", "2", "3"):  # all read; and sent; and unsent
            for place, stored in self._handset.listed(memory):
                if stored.state in ((1,), (1, 3), (1, 2, 3))[int(which) - 1]:
                    self._handset.empty(memory, place)
        else:
            self._handset.empty(memory, None if which.strip() == "4" else _slot(slot))
        return []


def _slot(given: str) -> int:
    if not given.isascii() or not given.isdecimal():
        raise Trouble(cms(321))
    return int(given)


def _quoted(names: tuple[str, ...]) -> str:
    return "(" + ",".join(f'"{name}"' for name in names) + ")"
