"""A pretend M-Pesa that speaks Daraja's real wire, for tests and rehearsals."""

from edge.simulators.mpesa.customers import Customer
from edge.simulators.mpesa.rehearsal import serve
from edge.simulators.mpesa.simulator import MpesaSimulator

__all__ = ["Customer", "MpesaSimulator", "serve"]
