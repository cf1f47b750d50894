"""Runs the pretend modem by itself, for rehearsals and for other programs."""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from edge.simulators.modem.control import TextDoor
from edge.simulators.modem.simulator import ModemSimulator
from edge.values.msisdn import mask_msisdn

GOSSIP_EVERY_S = 10.0


def serve(
    log: Callable[[str], object] = print,
    link: Path | None = None,
    pin: str = "",
    delay_s: float = 1.5,
    *,
    family: str = "generic",
    faults: Sequence[str] = (),
) -> None:
    """Answer as a modem would until interrupted; `link` is a name for the port that stays. Seconds a text: delay_s.

    With a link, texts and orders come in at a socket beside it: `<link>.texts`. `faults`: each as `Faults.put_words`
    takes it, or `chaos`; BadInput when it is none.
    """
    simulator = ModemSimulator(link, log=log, family=family)
    simulator.pin, simulator.delay_s, simulator.delivery_reports = pin, delay_s, True
    simulator.gossip_every_s = GOSSIP_EVERY_S
    with ExitStack() as closing:
        closing.enter_context(simulator)
        door = closing.enter_context(TextDoor(simulator, link.with_name(link.name + ".texts"))) if link else None
        for line in _introduce(simulator, door):
            log(line)
        for words in faults:
            put(simulator, words)
        try:
            tell_texts(simulator, log)
        except KeyboardInterrupt:
            log("Modem simulator stopped")


def put(simulator: ModemSimulator, words: str) -> None:
    """One fault, or `chaos` for all of them at random."""
    if words == "chaos":
        simulator.faults.chaos()
    else:
        simulator.faults.put_words(words)


def _introduce(simulator: ModemSimulator, door: TextDoor | None) -> list[str]:
    sim = f"its SIM asks for PIN {simulator.pin}" if simulator.pin else "its SIM has no PIN"
    return [
        f"Modem simulator at {simulator.port}",
        f"{simulator.manufacturer} {simulator.model}, IMEI {simulator.imei}, on {simulator.operator}; {sim}",
        f"A text takes {simulator.delay_s:g} s and goes nowhere: it is shown here.",
        f"To text it: edge simulate text --to {door.path} MPESA 'the words'; to break it: edge simulate modem-fault"
        if door is not None
        else "To text it, start it with --link.",
        "Ctrl-C stops it.",
    ]


def tell_texts(simulator: ModemSimulator, log: Callable[[str], object]) -> None:
    """Show every text that leaves, for ever."""
    told = 0
    while True:
        if simulator.wait_for_sent(told + 1, timeout_s=3600.0):
            sms = simulator.sent[told]
            told += 1
            count = len(sms.pdus)
            parts = f" in {count} segments" if count > 1 else ""
            log(f"text to {mask_msisdn(sms.msisdn)}{parts}: {_show(sms.text)}")


def _show(text: str) -> str:
    """A terminal obeys control characters; nobody's text may."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "·", text)
