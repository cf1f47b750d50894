"""Runs the pretend M-Pesa by itself, for rehearsals and for other programs."""

import threading
from collections.abc import Callable

from edge.simulators.mpesa.control import ADDRESSES
from edge.simulators.mpesa.simulator import SANDBOX_PASSKEY, MpesaSimulator


def serve(
    host: str = "127.0.0.1",
    port: int = 8174,
    shortcode: str = "174379",
    passkey: str = SANDBOX_PASSKEY,
    delay_s: float = 5.0,
    log: Callable[[str], object] = print,
    till: str = "",
) -> None:
    """Answer as M-Pesa would until interrupted; the last digit of a phone decides what it does."""
    simulator = MpesaSimulator(host, port, shortcode, passkey, by_digit=True, till=till, log=log)
    simulator.digit_delay_s = delay_s
    simulator.subscriber_lock_s, simulator.rule_17_s = 60.0, 120.0
    with simulator:
        for line in _introduce(simulator, shortcode, passkey, delay_s):
            log(line)
        try:
            wait_for_interrupt()
        except KeyboardInterrupt:
            log("M-Pesa simulator stopped")


def wait_for_interrupt() -> None:
    """Sleep until Ctrl-C."""
    threading.Event().wait()


def _introduce(simulator: MpesaSimulator, shortcode: str, passkey: str, delay_s: float) -> list[str]:
    return [
        f"M-Pesa simulator at {simulator.base_url}",
        f"shortcode {shortcode}, consumer_key edge-rehearsal, consumer_secret edge-rehearsal",
        f"passkey {passkey}",
        f"Phones answer after {delay_s:g} s, by their last digit:",
        "  0-6  pay          7  cancel",
        "  8    no money     9  pay, and M-Pesa calls back twice",
        "One prompt a phone a minute; the same amount again within two minutes ends with result 17.",
        "Other programs, and you with curl, may tell it:",
        *[f"  {line}" for line in ADDRESSES],
        f"initiator {simulator.initiator.name}, initiator_password {simulator.initiator.password}; its certificate at "
        f"{simulator.base_url}/simulator/certificate.pem",
        "Ctrl-C stops it.",
    ]
