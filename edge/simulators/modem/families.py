"""What tells one family of modems from another: names, ports, boot lines, gossip and manners.

From vendors' manuals (SIM800 Series AT V1.10, SIM7500/7600 AT V3.00, EC2x AT V1.3, Huawei HUAWEI ME909s AT) and from
reports of users at gammu, asterisk-chan-dongle and asterisk-chan-quectel.
"""

from dataclasses import dataclass
from typing import Literal

FamilyName = Literal["generic", "huawei", "sim800", "sim7600", "quectel"]
Role = Literal["at", "modem", "mute"]  # speaks and tells news, speaks only, silent
Routings = tuple[tuple[int, ...], ...]
NO_STORED_REPORTS: Routings = ((0, 1, 2), (0, 1, 2), (0,), (0, 1), (0, 1))  # what +CNMI takes, as a SIM800 does
STORED_REPORTS: Routings = ((0, 1, 2), (0, 1, 2, 3), (0, 2), (0, 1, 2), (0, 1))


@dataclass(frozen=True)
class Family:
    """The manners of one kind of modem."""

    name: FamilyName
    manufacturer: str
    model: str
    revision: str
    by_id: str  # how udev would call it
    ports: tuple[Role, ...] = ("at",)
    boot: tuple[str, ...] = ()  # said when it starts by itself
    gossip: tuple[str, ...] = ()  # said at any time
    unknown: str = ""  # how an unknown command ends; empty: +CME ERROR: 4 or ERROR
    has_words_always: bool = False  # +CME ERROR in words although +CMEE=1
    routings: Routings = NO_STORED_REPORTS
    third_memories: tuple[str, ...] = ("SM", "ME")  # where arrivals may go
    announces_reports_in: str = "SR"  # the memory +CDSI names
    wants_packed_ussd: bool = False
    iccid: str = "+CCID"  # the command that tells the SIM's serial number
    iccid_answer: str = "+CCID: {}"
    reset_s: float | None = 0.0  # after AT+CFUN=1,1: off USB for so long; 0: the port stays; None: for good
    has_index_in_news: bool = True  # else +CMTI: ,-1
    starts_with: tuple[str, ...] = ()  # AT commands of this make

    @property
    def memories(self) -> tuple[str, ...]:
        """Those that can be read; SR holds delivery reports."""
        return ("SM", "ME", "SR") if 2 in self.routings[3] else ("SM", "ME")


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "generic", "EDGE", "Rehearsal GSM", "1.0", "usb-EDGE_Rehearsal_GSM",
            boot=("RDY", "+CFUN: 1", "Call Ready", "SMS Ready"), starts_with=("^", "+Q", "*"),
        ),
        Family(
            "huawei", "huawei", "E173", "11.126.85.00.00", "usb-HUAWEI_Technology_HUAWEI_Mobile",
            ports=("modem", "mute", "at"), boot=("^SYSSTART",),
            gossip=("^RSSI:18", "^MODE:5,4", "^BOOT:20952548,0,0,0,6",
                    "^DSFLOWRPT:0000000C,00000000,00000000,0000000000000000,0000000000000000,0003E800,0003E800",
                    "^HCSQ:\"WCDMA\",46,44,52", "^SRVST:2", "^SIMST:1"),
            unknown="COMMAND NOT SUPPORT", has_words_always=True, routings=STORED_REPORTS, wants_packed_ussd=True,
            iccid="^ICCID", iccid_answer="^ICCID: {}", reset_s=None, starts_with=("^",),
        ),
        Family(
            "sim800", "SIMCOM_Ltd", "SIMCOM_SIM800L", "Revision:1418B05SIM800L24", "usb-Silicon_Labs_CP2102",
            boot=("RDY", "+CFUN: 1", "+CPIN: READY", "Call Ready", "SMS Ready"),
            gossip=("*PSUTTZ: 2026,11,22,9,32,21,\"+12\",0", "+CIEV: 10,\"63902\",\"Safaricom\",\"Safaricom\", 0, 0",
                    "UNDER-VOLTAGE WARNNING", "DST: 0"),
            third_memories=("SM", "ME"), iccid_answer="{}", starts_with=("*",),
        ),
        Family(
            "sim7600", "SIMCOM INCORPORATED", "SIMCOM_SIM7600E", "SIM7600M22_V1.1",
            "usb-SimTech__Incorporated_SimTech__Inc",
            ports=("mute", "mute", "at", "modem", "mute"), boot=("RDY", "+CPIN: READY", "SMS DONE", "PB DONE"),
            gossip=("+CREG: 1", "+CGEV: NW PDN ACT 1"), routings=STORED_REPORTS, iccid="+CICCID",
            iccid_answer="+ICCID: {}", reset_s=2.0, has_index_in_news=False,
        ),
        Family(
            "quectel", "Quectel", "EC25", "Revision: EC25EFAR06A08M4G", "usb-Quectel_EC25",
            ports=("mute", "mute", "at", "modem"), boot=("RDY", "+CPIN: READY", "+QUSIM: 1", "+CFUN: 1",
                                                         "+QIND: SMS DONE", "+QIND: PB DONE"),
            gossip=("+QIND: \"csq\",21,99", "+CREG: 1,\"1A2B\",\"CDEF01\",7"), routings=STORED_REPORTS,
            announces_reports_in="SM", iccid="+QCCID", iccid_answer="+QCCID: {}", reset_s=2.0, starts_with=("+Q",),
        ),
    )
}  # fmt: skip
