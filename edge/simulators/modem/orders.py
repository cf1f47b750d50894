"""What can be said at the pretend modem's door: texts for it, and orders that make it misbehave."""

import re
from collections.abc import Callable

from edge.errors import BadInput
from edge.simulators.modem.faults import NAMES
from edge.simulators.modem.simulator import ModemSimulator

OPTIONS = ("smsc", "pid", "order", "only")
HOW = "[smsc=+NUMBER] [pid=N] [order=2,1] [only=1] SENDER TEXT, with \\n for a new line; or: replay"
Order = Callable[[ModemSimulator, str], str]


def obey(simulator: ModemSimulator, line: str) -> str:
    """Do as the line says; what came of it in words. A line that begins with no order is a text."""
    words = line.strip()
    verb, _, rest = words.partition(" ")
    order = ORDERS.get(verb)
    try:
        return order(simulator, rest.strip()) if order is not None else _bring(simulator, words)
    except (BadInput, ValueError, IndexError) as reason:
        return f"not understood: {reason}; say {ORDER_WORDS if order is not None else HOW}"


def _bring(simulator: ModemSimulator, words: str) -> str:
    options: dict[str, str] = {}
    while found := re.match(rf"({'|'.join(OPTIONS)})=(\S*)\s+", words):
        options[found[1]] = found[2]
        words = words[found.end() :]
    sender, _, text = words.partition(" ")
    if not sender or not text:
        return f"not understood: say {HOW}"
    slots = simulator.receive(
        sender, text.replace("\\n", "\n"), smsc=options.get("smsc", "+254722500029"), pid=int(options.get("pid", "0")),
        order=_numbers(options.get("order", "")), only=_numbers(options.get("only", "")),
    )  # fmt: skip
    return f"brought: {len(slots)} in memory {simulator.volatile.memories[2]}, {len(simulator.held_back)} held back"


def _numbers(said: str) -> tuple[int, ...]:
    numbers = tuple(int(number) for number in said.split(",") if number)
    if any(number < 1 for number in numbers):
        raise BadInput("parts are counted from 1")
    return numbers


def _replay(simulator: ModemSimulator, rest: str) -> str:
    return f"brought again: {len(simulator.replay())}"


def _fault(simulator: ModemSimulator, rest: str) -> str:
    if not rest:
        return "faults: " + "; ".join(f"{name}: {words}" for name, words in NAMES.items())
    return f"put: {simulator.faults.put_words(rest).name}"


def _well(simulator: ModemSimulator, rest: str) -> str:
    """Of one fault, or of all."""
    if rest:
        simulator.faults.take_back(rest)
    else:
        simulator.faults.clear()
    simulator.plug()
    return _status(simulator, "")


def _chaos(simulator: ModemSimulator, rest: str) -> str:
    every_s, _, seed = rest.partition(" ")
    if seed:
        simulator.faults.seed(int(seed))
    simulator.faults.chaos(float(every_s or 20.0))
    return f"chaos: a fault every {float(every_s or 20.0):g} s on average, until: well"


def _unplug(simulator: ModemSimulator, rest: str) -> str:
    if rest:
        simulator.unplug_for(float(rest))
    else:
        simulator.unplug()
    return f"unplugged for {float(rest):g} s" if rest else "unplugged, until: plug"


def _plug(simulator: ModemSimulator, rest: str) -> str:
    simulator.plug()
    return f"plugged in at {simulator.port}"


def _signal(simulator: ModemSimulator, rest: str) -> str:
    level = int(rest)
    if level not in (*range(32), 99):
        raise BadInput("a signal is 0 to 31, or 99 for unknown")
    simulator.signal = level
    return f"signal: {level}"


def _service(simulator: ModemSimulator, rest: str) -> str:
    if rest not in ("on", "off"):
        raise BadInput("service is on or off")
    simulator.registered = rest == "on"
    return f"service: {rest}"


def _airtime(simulator: ModemSimulator, rest: str) -> str:
    simulator.airtime_cents = None if rest == "endless" else int(rest) * 100
    return f"airtime: {rest}"


def _delay(simulator: ModemSimulator, rest: str) -> str:
    seconds = float(rest)
    if not 0 <= seconds <= 60:
        raise BadInput("a text takes 0 to 60 seconds")
    simulator.delay_s = seconds
    return f"a text takes {seconds:g} s"


def _restart(simulator: ModemSimulator, rest: str) -> str:
    simulator.restart()
    return "started anew"


def _status(simulator: ModemSimulator, rest: str) -> str:
    told = [
        f"{'at ' + simulator.port if simulator.is_plugged else 'unplugged'}",
        f"signal {simulator.signal_now()}",
        f"{'on ' + simulator.operator if simulator.registration_state() == 1 else 'no service'}",
        f"{len(simulator.sent)} sent, {len(simulator.doubled())} of them twice",
        f"faults so far {len(simulator.faults.struck)}, now: {', '.join(simulator.faults.tell()) or 'none'}",
    ]
    return "; ".join(told)


ORDERS: dict[str, Order] = {
    "replay": _replay, "fault": _fault, "well": _well, "chaos": _chaos, "unplug": _unplug, "plug": _plug,
    "signal": _signal, "service": _service, "airtime": _airtime, "delay": _delay, "restart": _restart,
    "status": _status,
}  # fmt: skip
ORDER_WORDS = (
    "fault NAME [texts=N chance=0.1 for=S seconds=S code=N sent=yes|no step=prompt], fault (what there is), well "
    "[NAME], chaos [SECONDS [SEED]], unplug [SECONDS], plug, signal 0-31, service on|off, airtime SHILLINGS|endless, "
    "delay SECONDS, restart, replay, status"
)
