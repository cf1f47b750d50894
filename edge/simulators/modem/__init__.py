"""A pretend GSM modem on a pseudo-terminal that speaks AT, for tests and rehearsals."""

from edge.simulators.modem.control import TextDoor, bring_text
from edge.simulators.modem.families import FAMILIES
from edge.simulators.modem.faults import NAMES, Fault, Faults, Struck
from edge.simulators.modem.orders import ORDERS, obey
from edge.simulators.modem.records import Segment, SentSms
from edge.simulators.modem.rehearsal import serve, tell_texts
from edge.simulators.modem.simulator import ModemSimulator
from edge.simulators.modem.ussd_scripts import UssdScript

__all__ = [
    "FAMILIES", "NAMES", "ORDERS", "Fault", "Faults", "ModemSimulator", "Segment", "SentSms", "Struck", "TextDoor",
    "UssdScript", "bring_text", "obey", "serve", "tell_texts",
]  # fmt: skip
