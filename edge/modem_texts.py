"""The texts that stand in the modem's memories: found, read whatever they look like, and deleted one by one."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from edge.errors import BadInput
from edge.modem_line import Failed, Line, Silent
from edge.tpdu import Deliver, StatusReport, decode_deliver, decode_report
from edge.values import at_words
from edge.values.cms_errors import cms_code

log = logging.getLogger("edge.modem")

LIST_S = 30.0  # some Huawei sticks never end the list when a slot is damaged (gammu/gammu#4)
USUAL_SLOTS = 50
MOST_HANGS = 3
NO_SUCH_SLOT = 321
REPORTS = "SR"  # the memory of delivery reports
OUTGOING = ("2", "3")  # drafts and sent texts are somebody else's


@dataclass(frozen=True)
class StoredText:
    """A received text where it stands. `deliver` is None when its PDU can't be read; `pdu` is kept as it came.

    `report`: it is no text but a delivery report, which some modems store among the texts.
    """

    memory: str  # empty: the modem showed it and stored it nowhere
    index: int
    pdu: str
    deliver: Deliver | None
    greeting: int = 0  # which acquaintance with the modem it is of: slots mean nothing after another
    report: StatusReport | None = None


@dataclass(frozen=True)
class Fill:
    """How many entries a memory holds, of how many it could."""

    memory: str
    used: int
    room: int


class TextMemories:
    """Where this modem keeps texts, and how many entries there are to be left alone."""

    def __init__(self, answer_timeout_s: float, greet: Callable[[Line], object]) -> None:
        self._answer_s = answer_timeout_s
        self._greet = greet
        self._names: tuple[str, ...] = ()
        self._left: dict[str, int] = {}

    def forget(self) -> None:
        """Another modem or SIM, perhaps."""
        self._names, self._left = (), {}

    def has_texts(self, line: Line) -> bool:
        """Does anything stand there that was not found unreadable or undeletable before?"""
        return any(self._has_texts(line, name) for name in self._known(line))

    def _has_texts(self, line: Line, name: str) -> bool:
        fill = self._select(line, name)
        used = len(line.ask_for_texts("AT+CMGL=4", LIST_S)) if fill is None else fill[0]
        self._left[name] = min(self._left.get(name, 0), used)
        return used > self._left[name]

    def read(self, line: Line) -> list[StoredText]:
        """Every received text of every memory; what stands in two memories under one index is told once."""
        texts: list[StoredText] = []
        seen: set[tuple[int, str]] = set()
        for name in self._known(line):
            fill = self._select(line, name)
            if fill is not None and fill[0] == 0:
                self._left[name] = 0
                continue
            found = self._read_memory(line, name, fill)
            self._left[name] = 0 if fill is None else max(0, fill[0] - len(found))
            texts += [text for text in found if (text.index, text.pdu) not in seen]
            seen |= {(text.index, text.pdu) for text in found}
        return texts

    def delete(self, line: Line, texts: Iterable[StoredText]) -> int:
        """Empty these slots, one at a time: what arrived meanwhile stays. Returns how many would not go."""
        selected, refused = "", 0
        for text in sorted(texts, key=lambda text: text.memory):
            if text.memory != selected:
                self._select(line, text.memory)
                selected = text.memory
            try:
                line.ask(f"AT+CMGD={text.index}", self._answer_s)
            except Failed as reason:
                if cms_code(str(reason)) != NO_SUCH_SLOT:
                    log.warning("text %s in %s is not deleted: %s", text.index, text.memory, reason)
                    self._left[text.memory] = self._left.get(text.memory, 0) + 1
                    refused += 1
        return refused

    def take_reports(self, line: Line, memory: str, index: int) -> list[StatusReport]:
        """The delivery report that was announced there, with all its like, deleted; none where it can't be read.

        Where it is said to stand is often wrong: Quectel says "SM" of what stands in SR.
        """
        for name in dict.fromkeys((REPORTS, memory)):
            try:
                line.ask(f'AT+CPMS="{name}"', self._answer_s)
                found = self._reports_at(line, index)
                if found and name == REPORTS:
                    found |= self._all_reports(line)
            except Failed as reason:
                log.debug("reports in %s: %s", name, reason)
                continue
            for slot in found:
                line.try_to(f"AT+CMGD={slot}", self._answer_s)
            if found:
                return list(found.values())
        return []

    def _reports_at(self, line: Line, index: int) -> dict[int, StatusReport]:
        told = [read_report(pdu) for _, pdu in line.ask_for_texts(f"AT+CMGR={index}", self._answer_s)]
        return {index: told[0]} if told and told[0] is not None else {}

    def _all_reports(self, line: Line) -> dict[int, StatusReport]:
        """Those that nobody heard announced take their room for ever."""
        try:
            listed = line.ask_for_texts("AT+CMGL=4", LIST_S)
        except Failed as reason:
            log.debug("AT+CMGL of reports: %s", reason)
            return {}
        found = ((header.split(",")[0].strip(), read_report(pdu)) for header, pdu in listed)
        return {int(slot): report for slot, report in found if report is not None and slot.isdecimal()}

    def fills(self, line: Line) -> tuple["Fill", ...]:
        """How full each memory is."""
        found = ((name, self._select(line, name)) for name in self._known(line))
        return tuple(Fill(name, *fill) for name, fill in found if fill is not None and fill[1] > 0)

    def _known(self, line: Line) -> tuple[str, ...]:
        if not self._names:
            told = line.try_to("AT+CPMS=?", self._answer_s)
            self._names = (at_words.read_memories(told[0]) if told else ()) or ("",)
        return self._names

    def _select(self, line: Line, name: str) -> tuple[int, int] | None:
        """Turn to this memory; entries and room, None when they are not told. One that it refuses is empty."""
        if not name:
            told = line.ask("AT+CPMS?", self._answer_s)
        else:
            try:
                told = line.ask(f'AT+CPMS="{name}"', self._answer_s)
            except Failed as reason:
                log.debug("memory %s: %s", name, reason)
                return (0, 0)
        return at_words.read_fill(told[0]) if told else None

    def _read_memory(self, line: Line, name: str, fill: tuple[int, int] | None) -> list[StoredText]:
        used, room = fill or (USUAL_SLOTS, USUAL_SLOTS)
        try:
            listed = line.ask_for_texts("AT+CMGL=4", LIST_S)
        except Failed as reason:
            log.debug("AT+CMGL: %s", reason)
            return self._read_slots(line, name, used, room)
        except Silent:
            self._greet(line)
            self._select(line, name)
            return self._read_slots(line, name, used, room)
        found = [_of_list(name, header, pdu) for header, pdu in listed]
        return [self._second_look(line, text) for text in found if text is not None]

    def _second_look(self, line: Line, text: StoredText) -> StoredText:
        """A character may have been lost on the line; what is unreadable twice is unreadable."""
        if text.deliver is not None or text.report is not None:
            return text
        try:
            again = self._read_slot(line, text.memory, text.index)
        except Failed as reason:
            log.debug("a second look at slot %s of %s: %s", text.index, text.memory, reason)
            return text
        return text if again is None or not again.pdu else again

    def _read_slots(self, line: Line, name: str, used: int, room: int) -> list[StoredText]:
        """Slot by slot, from 0 or 1, and on behind one that hangs; Failed when every one of them did."""
        found: list[StoredText] = []
        hangs, trouble = 0, None
        for index in range(room + 1):
            if len(found) >= used or hangs >= MOST_HANGS:
                break
            try:
                text = self._read_slot(line, name, index)
            except Silent:
                hangs += 1
                self._greet(line)
                self._select(line, name)
            except Failed as reason:
                trouble = reason
            else:
                found += [] if text is None else [text]
        if trouble is not None and not found:
            raise trouble
        return found

    def _read_slot(self, line: Line, name: str, index: int) -> StoredText | None:
        """None for an empty slot, which answers OK alone or that there is no such slot."""
        try:
            told = line.ask_for_texts(f"AT+CMGR={index}", self._answer_s)
        except Failed as reason:
            if cms_code(str(reason)) == NO_SUCH_SLOT:
                return None
            raise
        for header, pdu in told:
            if header.split(",")[0].strip() not in OUTGOING:
                return _text(name, index, pdu)
        return None


def of_greeting(texts: Iterable[StoredText], greeting: int) -> list[StoredText]:
    """These texts, as found in this acquaintance."""
    return [replace(text, greeting=greeting) for text in texts]


def shown_text(pdu: str) -> StoredText:
    """A text that the modem showed and did not store."""
    return _text("", -1, pdu)


def _of_list(name: str, header: str, pdu: str) -> StoredText | None:
    """`3,0,,27` and a PDU → the text; None for drafts, sent texts and what has no index."""
    fields = [field.strip() for field in header.split(",")]
    if len(fields) < 2 or not (fields[0].isascii() and fields[0].isdecimal()):
        log.warning("a text without a place: +CMGL: %s", header)
        return None
    return None if fields[1] in OUTGOING else _text(name, int(fields[0]), pdu)


def _text(name: str, index: int, pdu: str) -> StoredText:
    try:
        return StoredText(name, index, pdu, decode_deliver(pdu))
    except BadInput:
        return StoredText(name, index, pdu, None, report=read_report(pdu))


def read_report(pdu: str) -> StatusReport | None:
    """None when it is no delivery report."""
    try:
        return decode_report(pdu)
    except BadInput:
        return None
