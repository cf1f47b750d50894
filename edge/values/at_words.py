"""The words of a modem: which lines end an answer, which nobody asked for, and what the rest mean (3GPP 27.007)."""

import re
from datetime import datetime, timedelta, timezone

# Not `NO CARRIER` and `BUSY`: this box never dials, so they tell of somebody who rang in vain.
_FAILED = re.compile(r"ERROR|\+CM[ES] ERROR:.*|COMMAND NOT SUPPORT|TOO MANY PARAMETERS")
_BOOT = re.compile(r"RDY|Call Ready|SMS Ready|(\+QIND: ?)?SMS DONE|PB DONE|\+CFUN: ?1|\^SYSSTART")
_UNASKED = re.compile(r"[+^*].*|RING|NO CARRIER|BUSY|NO ANSWER|NO DIALTONE|DST: ?\d|.*WARNN?ING.*|.*POWER DOWN")
_SIM_BUSY = re.compile(r"\+CME ERROR: ?14|\+CMS ERROR: ?314|.*SIM busy.*", re.IGNORECASE)
_ANSWERS_AS = {"+CICCID": "+ICCID"}  # SIM7600
_ON_NETWORK = {"1", "5", "6", "7"}  # home, roaming, and both for texts only
_REGISTRATION = {
    "0": "not searching", "1": "home", "2": "searching", "3": "denied", "5": "roaming", "6": "home, texts only",
    "7": "roaming, texts only",
}  # fmt: skip
ANSWERED_BARE = ("AT+CGMI", "AT+CGMM", "AT+CGMR", "AT+CGSN", "AT+CIMI", "AT+CCID")
TWO_LINES = ("+CMT:", "+CDS:", "+CBM:")  # the line behind these belongs to them, whatever it looks like


def is_failure(line: str) -> bool:
    """Does this line end an answer with a no?"""
    return bool(_FAILED.fullmatch(line))


def is_end(line: str) -> bool:
    """Does this line end an answer?"""
    return line == "OK" or is_failure(line)


def is_boot(line: str) -> bool:
    """Has the modem started anew, and forgotten all it was told? (Not Huawei's `^BOOT`, which is a heartbeat.)"""
    return bool(_BOOT.fullmatch(line))


def is_arrival(line: str) -> bool:
    """Does it tell that a text came, or that there is no more room for one?"""
    return line.startswith("+CMTI:") or is_full(line)


def is_full(line: str) -> bool:
    """Does it tell that there is no more room for texts? (Huawei and SIM7600 say it so.)"""
    return line.startswith(("^SMMEMFULL", "+SMS FULL"))


def is_boot_begin(line: str) -> bool:
    """Is it at the beginning of its boot, so that more lines will come?"""
    return line == "RDY" or line.startswith("^SYSSTART")


def is_boot_end(line: str) -> bool:
    """Will it take texts from now on?"""
    return line.endswith(("SMS Ready", "SMS DONE", "PB DONE"))


def is_news(line: str) -> bool:
    """Is this a line that nobody asked for?"""
    return is_boot(line) or bool(_UNASKED.fullmatch(line))


def is_sim_busy(words: str) -> bool:
    """Is the SIM only waking up?"""
    return bool(_SIM_BUSY.fullmatch(words))


def find_answer(command: str, line: str) -> str | None:
    """What this line says in answer to the command; None when it is about something else."""
    asked = re.match(r"AT([+^][A-Z]+)", command)
    name = _ANSWERS_AS.get(asked[1], asked[1]) if asked else None
    if name and line.startswith(name + ":"):
        return clean(line.removeprefix(name + ":"))
    return clean(line) if command in ANSWERED_BARE and not is_news(line) else None


def is_registered(answer: str) -> bool:
    """`0,1` and `2,1,"1A2B","CDEF"` answer `+CREG?`; `1` and `1,"1A2B","CDEF"` came unasked and say the same."""
    return _registration(answer) in _ON_NETWORK


def read_registration(answer: str) -> str:
    """The same in words (27.007, 7.2)."""
    return _REGISTRATION.get(_registration(answer), "unknown")


def _registration(answer: str) -> str:
    fields = [field.strip() for field in answer.split(",")]
    was_asked = len(fields) > 1 and re.fullmatch(r"[0-9]{1,2}", fields[1])
    return fields[1 if was_asked else 0]


def read_signal(answer: str) -> int | None:
    """`+CSQ` 0-31 → dBm (27.007, 8.5); None for 99, which is unknown."""
    level = answer.split(",")[0].strip()
    return -113 + 2 * int(level) if re.fullmatch(r"[0-9]|[12][0-9]|3[01]", level) else None


def read_operator(answer: str) -> str:
    """`0,0,"Safaricom",2` → `Safaricom`; nothing when there is none."""
    quoted = re.search(r'"([^"]*)"', answer)
    return quoted[1] if quoted else ""


def read_reference(line: str) -> int | None:
    """`+CMGS: 77` → 77."""
    found = re.match(r"\+CMGS: ?([0-9]{1,3})(?![0-9])", line)
    return int(found[1]) if found else None


def read_stored_report(line: str) -> tuple[str, int] | None:
    """`+CDSI: "SR",3` → where a delivery report was stored; None for anything else."""
    found = re.match(r'\+CDSI: ?"([A-Z]{2})", ?([0-9]{1,3})(?![0-9])', line)
    return (found[1], int(found[2])) if found else None


def read_clock(answer: str) -> datetime | None:
    """`"26/11/22,09:32:21+12"` answers `+CCLK?`; the zone in quarters of an hour. None when it was never set."""
    found = re.search(r"(\d\d)/(\d\d)/(\d\d),(\d\d):(\d\d):(\d\d)([+-]\d\d)?", answer, re.ASCII)
    if found is None or not 24 <= int(found[1]) < 70:
        return None
    try:
        zone = timezone(timedelta(minutes=15 * int(found[7] or 0)))
        year, month, day, hour, minute, second = (int(told) for told in found.groups()[:6])
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None


def read_iccid(answer: str) -> str:
    """Its 18 to 20 digits, in whatever they stand."""
    found = re.search(r"[0-9]{18,20}", answer, re.ASCII)
    return found[0] if found else ""


def read_memories(answer: str) -> tuple[str, ...]:
    """`("SM","ME","MT"),("SM","ME"),…` answers `+CPMS=?` → where texts may stand; all of them at once (MT) last."""
    first = re.match(r"\(([^)]*)\)", answer)
    names = re.findall(r'"([A-Z]+)"', first[1] if first else answer)
    return tuple(name for name in ("SM", "ME") if name in names) or (("MT",) if "MT" in names else ())


def read_fill(answer: str) -> tuple[int, int] | None:
    """`3,30,3,30,3,30` and `"SM",3,30,"SM",3,30,…` answer `+CPMS` → entries and room of the first memory."""
    found = re.match(r'(?:"[A-Z]*",)?\s*([0-9]{1,5}),\s*([0-9]{1,5})(?![0-9])', answer)
    return (int(found[1]), int(found[2])) if found else None


def strip_noise(line: bytes) -> bytes:
    """Without what a weak supply or a loose contact adds at both ends, also runs of `?` (esphome/issues#4425)."""
    return re.sub(rb"^(?:[^\x20-\x7e]|\?(?=\?)|(?<=\?)\?| )+|[^\x21-\x7e]+$", b"", line)


def clean(line: str) -> str:
    """A modem's words are anybody's words: plain characters, and not too many."""
    return re.sub(r"[^\x20-\x7e]", "?", line).strip()[:120]
