"""A pretend GSM modem on a pseudo-terminal that speaks AT, for tests and rehearsals."""

from edge.simulators.modem.handset import SentSms
from edge.simulators.modem.rehearsal import serve, tell_texts
from edge.simulators.modem.simulator import ModemSimulator

__all__ = ["ModemSimulator", "SentSms", "serve", "tell_texts"]
