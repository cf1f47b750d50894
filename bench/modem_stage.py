"""The pretend modem in a process of its own, so that its work is not counted as that of whoever drives it."""

import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.simulators.modem import NAMES, ModemSimulator, obey


@dataclass(frozen=True)
class Taken:
    """A text that the network took; `at` in seconds since 1970, when it took the last segment."""

    msisdn: str
    text: str
    at: float


@dataclass(frozen=True)
class Strike:
    """A fault that happened; it lasts for so many real seconds."""

    at: float
    name: str
    seconds: float
    code: int | str | None


@dataclass
class Stick:
    """The modem, seen from the process that measures."""

    port: str
    process: "subprocess.Popen[str]"

    def ask(self, words: str) -> object:
        """See `answer`."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def texts(self) -> list[Taken]:
        """Everything that it sent, in order."""
        told = self.ask("texts")
        assert isinstance(told, list)
        return [Taken(*each) for each in told]

    def count(self, what: str = "count") -> int:
        """`count` of texts, `commands`, `struck` faults."""
        told = self.ask(what)
        assert isinstance(told, int)
        return told

    def struck(self) -> list["Strike"]:
        """Which faults struck when."""
        told = self.ask("struck")
        assert isinstance(told, list)
        return [Strike(*each) for each in told]

    def order(self, words: str) -> str:
        """What can be said at its door: `fault …`, `well`, `chaos …`."""
        told = str(self.ask(f"order {words}"))
        assert "not understood" not in told, told
        return told


@contextmanager
def pretend_modem(link: Path, delay_s: float, speed: float = 1.0) -> Iterator[Stick]:
    """It takes `delay_s` from Ctrl-Z to its answer; the seconds of its faults pass `speed` times as fast."""
    command = [sys.executable, "-m", "bench.modem_stage", str(link), str(delay_s), str(speed)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdin is not None
    try:
        yield Stick(json.loads(process.stdout.readline())["port"], process)
    finally:
        process.stdin.close()
        process.wait(10)


def main() -> None:
    """`python -m bench.modem_stage LINK DELAY_S SPEED`: each line on stdin is a question, answered by a JSON line."""
    link, delay_s, speed = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    with ModemSimulator(link) as modem:
        modem.commands = deque()  # all of them are counted
        modem.delay_s = delay_s
        modem.faults.speed = speed
        print(json.dumps({"port": modem.port}), flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(modem, line.strip())), flush=True)


def answer(modem: ModemSimulator, line: str) -> object:
    """`count`, `texts`, `commands`, `struck`, `doubled`, `said N`; `seed N`, `chaos SECONDS`, `order …`."""
    verb, _, rest = line.partition(" ")
    match verb:
        case "count":
            return len(modem.sent)
        case "texts":
            return [[sms.msisdn, sms.text, sms.at.timestamp()] for sms in list(modem.sent)]
        case "commands":
            return len(modem.commands)
        case "struck":
            return [
                [each.at.timestamp(), each.fault.name, modem.faults.real(each.fault.seconds or 0.0), each.fault.code]
                for each in list(modem.faults.struck)
            ]
        case "said":
            return list(modem.commands)[-int(rest) :]
        case "doubled":
            return len(modem.doubled())
        case "chaos":
            modem.faults.chaos(float(rest), [name for name in NAMES if name != "moved"])  # its name would be another
            return True
        case "seed":
            modem.faults.seed(int(rest))
            return True
        case "order":
            return obey(modem, rest)
    return f"not understood: {line}"


if __name__ == "__main__":
    main()
