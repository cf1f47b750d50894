"""A pretend GSM modem on a pseudo-terminal that speaks AT, for tests and rehearsals."""

from edge.simulators.modem.control import TextDoor, bring_text
from edge.simulators.modem.handset import SentSms
from edge.simulators.modem.rehearsal import serve, tell_texts
from edge.simulators.modem.simulator import ModemSimulator

__all__ = ["ModemSimulator", "SentSms", "TextDoor", "bring_text", "serve", "tell_texts"]
