"""Delivery reports of the pretend network: when they come, and by which way (3GPP 27.005, 3.4.1 and 3.4.2)."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from edge.simulators.modem.handset import Handset
from edge.simulators.modem.text_mode import report_fields
from edge.tpdu import Pdu, StatusReport, Submit, encode_report

HELD, PASSED_ON, STORED = 0, 1, 2  # the fourth number of +CNMI


class Reports:
    """Of each text that asks for one: at once, later, or when the modem can be reached again."""

    def __init__(self, handset: Handset, say: Callable[[str], object], is_plugged: Callable[[], bool]) -> None:
        self._handset = handset
        self._say = say
        self._is_plugged = is_plugged
        self._waiting: deque[Pdu] = deque()  # at the message centre

    @property
    def come_first(self) -> bool:
        """Before the +CMGS that they belong to?"""
        return self._handset.report_delay_s < 0

    def owe(self, submit: Submit, reference: int, *, is_at_once: bool) -> None:
        """The network has taken this segment. Those without delay come `is_at_once` when the caller says it."""
        handset = self._handset
        if not handset.delivery_reports or not submit.wants_report:
            return
        statuses = handset.report_status
        for place, status in enumerate((statuses,) if isinstance(statuses, int) else statuses, 1):
            pdu = self._write(submit.number, reference, status)
            if handset.report_delay_s <= 0 and is_at_once:
                self.bring(pdu)
            else:
                handset.clock.after(max(0.0, handset.report_delay_s) * place, self._later(pdu))

    def bring(self, pdu: Pdu) -> None:
        """The message centre has this report; it waits there while the modem is away."""
        handset = self._handset
        if not self._is_plugged() or handset.registration_state() != 1 or handset.is_deaf:
            self._waiting.append(pdu)
            return
        way = handset.volatile.routing[3]
        if way == PASSED_ON:
            told = f"{report_fields(pdu.hex)}" if handset.volatile.is_text_mode else f"{pdu.length}\r\n{pdu.hex}"
            self._say(f"+CDS: {told}")
        elif way == STORED:
            slot = handset.store(pdu.hex, pdu.length, "SR")
            if slot is not None:
                self._say(f'+CDSI: "{handset.manners.announces_reports_in}",{slot}')

    def bring_what_waits(self) -> None:
        """Once the modem is back and wants reports."""
        while self._waiting and self._handset.volatile.routing[3] != HELD:
            before = len(self._waiting)
            self.bring(self._waiting.popleft())
            if len(self._waiting) == before:
                return

    def _later(self, pdu: Pdu) -> Callable[[], None]:
        return lambda: self.bring(pdu)

    def _write(self, number: str, reference: int, status: int) -> Pdu:
        now = datetime.now(UTC)
        is_home = self._handset.reports_national and number.startswith("254")
        recipient = "0" + number[3:] if is_home else "+" + number
        return encode_report(StatusReport(reference, recipient, now, now, status))
