"""Families of GSM modems and their quirks: what is said to them, how they take USSD, and which reset they survive."""

import re
from dataclasses import dataclass
from typing import Literal

UssdWay = Literal["plain", "packed"]


@dataclass(frozen=True)
class Family:
    """One family. What makers' manuals say is marked M, what the field knows F; see the sources at each line."""

    name: str
    makers: str  # what AT+CGMI or AT+CGMM says, as a pattern; empty: is never found out, only named
    init: tuple[str, ...] = ()  # each may be refused; {port_kind}: usbat or uart1, whichever we are at
    ready: tuple[str, ...] = ()  # the last line of its boot; empty: it says nothing that could be waited for
    ready_within_s: float = 0.0
    ussd: UssdWay = "plain"
    submit_timeout_s: float = 120.0  # from Ctrl-Z to its last word; the setting may be shorter
    returns_from_restart: bool = False  # is AT+CFUN=1,1 survived?
    iccid: str = "AT+CCID"
    takes_highest_port: bool = False  # which of several interfaces that answer tells what nobody asked for


FAMILIES = (
    # ^CURC=0: fewer lines nobody asked for; ^PORTSEL=1: those that remain come here (gammu says both).
    # AT+CFUN=1,1 makes an E173 drop off USB and come back as a CD-ROM (gammu/gammu#687). USSD is hex of packed
    # 7-bit text (wdoekes/asterisk-chan-dongle#116).
    Family(
        "huawei", r"huawei", ("AT^CURC=0", "AT^PORTSEL=1"), ussd="packed", iccid="AT^ICCID?", takes_highest_port=True
    ),
    # SIM800 manual: AT+CMGS 60 s at most (M); boot ends with `SMS Ready`. AT+CFUN=1,1 restarts it, the UART stays (M).
    Family(
        "sim800", r"sim_?(?:[89]\d\d)", (), ("SMS Ready",), 10.0, submit_timeout_s=90.0, returns_from_restart=True
    ),
    # `PB DONE` is the last line of its boot, `SMS DONE` the one that matters. Back on USB after AT+CFUN=1,1 (M).
    Family(
        "sim7600", r"sim_?7\d\d\d|a76\d\d", (), ("SMS DONE", "PB DONE"), 15.0, returns_from_restart=True,
        iccid="AT+CICCID",
    ),
    # Lines nobody asked for go to one port only: to the one that asks. EC25 manual: AT+CMGS 120 s (M). It says that
    # reports lie in "SM" although they lie in "SR" (IchthysMaranatha/asterisk-chan-quectel#75).
    Family(
        "quectel", r"quectel|\b(?:EC|EG|BG|UC|M)\d\d\b", ('AT+QURCCFG="urcport","{port_kind}"',),
        ("SMS DONE", "+QIND: SMS DONE"), 15.0, returns_from_restart=True, iccid="AT+QCCID",
    ),
    Family("generic", ""),
)  # fmt: skip
GENERIC = FAMILIES[-1]


def named(name: str) -> Family | None:
    """The family of this name; None when there is none."""
    return next((family for family in FAMILIES if family.name == name.strip().lower()), None)


def find_family(manufacturer: str, model: str, told: str = "auto") -> Family:
    """By what the modem says of itself, unless the settings name one; generic when nobody knows it."""
    by_name = named(told)
    if by_name is not None:
        return by_name
    for family in FAMILIES:
        if family.makers and re.search(family.makers, f"{manufacturer} {model}", re.IGNORECASE):
            return family
    return GENERIC
