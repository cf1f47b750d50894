"""The pretend modem's manners: text mode, USSD, delivery reports, and what tells one family from another."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import BadInput
from edge.simulators.modem import FAMILIES, ModemSimulator, UssdScript
from edge.simulators.modem.ussd import pack, unpack
from edge.tpdu import decode_report, encode_submit
from tests.modem_terminal import Terminal

ASHA = "254712345678"
needs_gammu = pytest.mark.skipif(
    shutil.which("gammu") is None, reason="gammu is missing: make test installs it where it may"
)


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[ModemSimulator]:
    with ModemSimulator(tmp_path / "modem") as opened:
        yield opened


@pytest.fixture
def terminal(stick: ModemSimulator) -> Iterator[Terminal]:
    opened = Terminal(stick.port)
    opened.type(b"ATE0\r")
    yield opened
    opened.close()


# Text mode.


def test_in_text_mode_a_number_and_words_are_a_text(stick: ModemSimulator, terminal: Terminal) -> None:
    terminal.type(b'ATV1+CMGF=1;+CSMP=49,167,0,0;+CSCS="IRA"\r')
    assert terminal.type(b'AT+CMGS="+254712345678",145\r', until=b"> ") == b"\r\n> "
    assert terminal.type(b"Karibu [Asha]\rkwetu\x1a") == b"\r\n> \r\n+CMGS: 1\r\n\r\nOK\r\n"
    segment = stick.segments[0]
    assert (stick.sent[0].msisdn, stick.sent[0].text) == (ASHA, "Karibu [Asha]\nkwetu")
    assert (segment.submit.wants_report, segment.submit.validity_minutes) == (True, 1440)


@pytest.mark.parametrize(("charset", "parameters", "number", "typed", "text"), [
    ("UCS2", "17,255,0,8", "002B003200350034003700310032003300340035003600370038", "0041062D", "Aح"),
    ("GSM", "17,0,0,0", "+254712345678", b"\x00 \x1be", "@ €"), ("IRA", "17,167,0,8", "+254712345678", "00E9", "é"),
])  # fmt: skip
def test_in_text_mode_words_are_written_as_the_charset_and_the_coding_say(
    stick: ModemSimulator, terminal: Terminal, charset: str, parameters: str, number: str, typed: bytes | str, text: str
) -> None:
    terminal.type(f'AT+CSCS="{charset}";+CMGF=1;+CSMP={parameters}\r'.encode())
    terminal.type(f'AT+CMGS="{number}"\r'.encode(), until=b"> ")
    # The escape octet leaves the prompt, also inside GSM words: 0x1B cannot be typed there.
    said = typed if isinstance(typed, bytes) else typed.encode()
    if b"\x1b" in said:
        terminal.type(said)
        assert stick.sent == []
        return
    terminal.type(said + b"\x1a")
    assert [(sms.msisdn, sms.text) for sms in stick.sent] == [(ASHA, text)]


@pytest.mark.parametrize(("typed", "end"), [(b"x" * 161, b"305"), (b"", b"OK")])
def test_in_text_mode_one_segment_is_the_most(
    stick: ModemSimulator, terminal: Terminal, typed: bytes, end: bytes
) -> None:
    terminal.type(b"AT+CMGF=1\r")
    terminal.type(b'AT+CMGS="0712345678"\r', until=b"> ")
    terminal.type(typed + b"\x1a", until=end + b"\r\n")
    terminal.type(b'AT+CMGS="Asha"\r', until=b"> ")
    terminal.type(b"hello\x1a", until=b"304\r\n")


def test_in_text_mode_texts_are_listed_and_read_as_words(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.receive("MPESA", "Umepokea KES 500")
    stick.receive("+254110000007", "😀")
    terminal.type(b"AT+CMGF=1\r")
    heard = terminal.type(b'AT+CMGL="REC UNREAD"\r').decode()
    assert '+CMGL: 1,"REC UNREAD","MPESA",,"' in heard and "\r\nUmepokea KES 500\r\n" in heard
    assert '+CMGL: 2,"REC UNREAD","+254110000007",,"' in heard and "\r\nD83DDE00\r\n" in heard
    assert "+CMGL" not in terminal.type(b'AT+CMGL="REC UNREAD"\r').decode()
    terminal.type(b"AT+CSDH=1\r")
    heard = terminal.type(b"AT+CMGR=1\r").decode()
    assert heard.startswith('\r\n+CMGR: "REC READ","MPESA",,"')
    assert '+00",208,4,0,0,"+254722500029",145,16\r\n\r\nUmepokea KES 500\r\n' in heard
    assert ',"+254110000007",,' in terminal.type(b'AT+CMGL="ALL"\r').decode()
    terminal.type(b"AT+CMGD=1,1\r")
    assert stick.memory == {}


def test_in_text_mode_arrivals_and_reports_are_passed_on_as_words(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.delivery_reports = True
    terminal.type(b"AT+CMGF=1;+CNMI=2,2,0,1,0;+CSMP=49,167,0,0\r")
    stick.receive("MPESA", "Umepokea KES 500")
    assert b'\r\n+CMT: "MPESA",,"' in terminal.type(b"", until=b"\r\nUmepokea KES 500\r\n")
    terminal.type(b'AT+CMGS="+254712345678"\r', until=b"> ")
    assert b'\r\n+CDS: 6,1,"+254712345678",145,"' in terminal.type(b"hello\x1a", until=b",0\r\n")


def test_a_text_is_written_to_memory_and_sent_from_there(stick: ModemSimulator, terminal: Terminal) -> None:
    (pdu,) = encode_submit(ASHA, "hello")
    terminal.type(f"AT+CMGW={pdu.length},2\r".encode(), until=b"> ")
    assert terminal.type(pdu.hex.encode() + b"\x1a") == b"\r\n+CMGW: 1\r\n\r\nOK\r\n"
    assert terminal.type(b"AT+CMSS=1\r") == b"\r\n+CMSS: 1\r\n\r\nOK\r\n"
    assert [sms.text for sms in stick.sent] == ["hello"]
    assert b"+CMGL: 1,3,," in terminal.type(b"AT+CMGL=4\r")
    terminal.type(b"AT+CMGF=1\r")
    assert b'+CMGR: "STO SENT","254712345678",\r\n\r\nhello' in terminal.type(b"AT+CMGR=1\r")
    terminal.type(b"AT+CMSS=9\r", until=b"+CMS ERROR: 321\r\n")


# USSD.


@pytest.mark.parametrize(("script", "said"), [
    ("Bal KSh 5", '0,"Bal KSh 5",15'),
    (UssdScript("Bal: KSh 20", encoding="packed"), f'0,"{pack("Bal: KSh 20").hex().upper()}",15'),
    (UssdScript("Salio: é", encoding="ucs2"), '0,"00530061006C0069006F003A002000E9",72'),
    (UssdScript("Hi", encoding="ucs2", coding=15), '0,"00480069",15'),
    (UssdScript("Hi", encoding="octets"), '0,"4869",0'),
    (UssdScript("Hi", coding=-1), '0,"Hi"'),
    (UssdScript("1:Balance\n2:Bundles", replies={"1": "x"}), '1,"1:Balance\n2:Bundles",15'),
    (UssdScript(mode=4), "4"),
    (UssdScript("Bye", mode=2, delay_s=0.1), '2,"Bye",15'),
])  # fmt: skip
def test_a_code_is_answered_as_its_script_says(
    stick: ModemSimulator, terminal: Terminal, script: UssdScript | str, said: str
) -> None:
    stick.ussd_answers["*131#"] = script
    heard = terminal.type(b'AT+CUSD=1,"*131#",15\r', until=f"\r\n+CUSD: {said}\r\n".encode())
    assert heard.startswith(b"\r\nOK\r\n")
    assert stick.ussd_asked == ["*131#"]


def test_a_menu_is_walked_through_and_can_be_left(terminal: Terminal) -> None:
    terminal.type(b'AT+CUSD=1,"*100#",15\r', until=b'0:Exit",15\r\n')
    terminal.type(b'AT+CUSD=1,"2",15\r', until=b'98:MORE",15\r\n')
    terminal.type(b'AT+CUSD=1,"1",15\r', until=b'+CUSD: 0,"You have bought 200 SMS, valid for 24 hours.",15\r\n')
    terminal.type(b'AT+CUSD=1,"*100#",15\r', until=b'0:Exit",15\r\n')
    terminal.type(b"AT+CUSD=2\r")
    terminal.type(b'AT+CUSD=1,"2",15\r', until=b"+CUSD: 4\r\n")


def test_an_answer_may_be_empty_first_or_late_or_never_come(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.ussd_answers |= {"*1#": [UssdScript(""), UssdScript("Bal 5", delay_s=0.1)], "*2#": UssdScript(is_silent=True),
                           "*3#": UssdScript("late", delay_s=0.2), "*4#": UssdScript(error="+CME ERROR: 258")}
    terminal.type(b'AT+CUSD=1,"*1#",15\r', until=b'+CUSD: 0,"",15\r\n\r\n+CUSD: 0,"Bal 5",15\r\n')
    terminal.type(b'AT+CUSD=1,"*2#",15\r')
    terminal.type(b'AT+CUSD=1,"*3#",15\r')
    terminal.type(b"AT+CUSD=2\r")
    assert terminal.silence(0.4) == b""
    terminal.type(b'AT+CUSD=1,"*4#",15\r', until=b"+CME ERROR: 258\r\n")
    stick.registered = False
    terminal.type(b'AT+CMEE=1;+CUSD=1,"*1#",15\r', until=b"+CME ERROR: 30\r\n")


def test_huawei_wants_codes_packed_and_answers_so(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.family = "huawei"
    terminal.type(b'AT+CMEE=1;+CUSD=1,"*144#",15\r', until=b"+CME ERROR: unknown\r\n")
    heard = terminal.type(b"AT+CUSD=1,AA188D3602,15\r", until=b'",15\r\n')  # as asterisk-chan-dongle asks
    packed = bytes.fromhex(heard.decode().split('"')[1])
    assert unpack(packed) == "Airtime Balance: 1000.00 KSH. Expiry: 30-12-2027"
    terminal.type(b"AT^USSDMODE=0\r")
    terminal.type(b'AT+CUSD=1,"*144#",15\r', until=b'30-12-2027",15\r\n')


@pytest.mark.parametrize("text", ["*100#", "*144#", "1234567", "12345678", "Salio: 5\n{}€", ""])
def test_packing_and_unpacking_are_the_reverse_of_each_other(text: str) -> None:
    assert unpack(pack(text)) == text
    told = pack(text).hex().upper()
    assert {"*100#": "AA180C3602", "*144#": "AA188D3602"}.get(text, told) == told


def test_with_ucs2_on_the_line_names_numbers_and_ussd_are_hex(terminal: Terminal) -> None:
    terminal.type(b'AT+CSCS="UCS2"\r')
    assert b'"0053006100660061007200690063006F006D"' in terminal.type(b"AT+COPS?\r")
    assert b'"002B003200350034' in terminal.type(b"AT+CSCA?\r")
    terminal.type(b'AT+CUSD=1,"002A0031003400340023",15\r', until=b'",72\r\n')


@needs_gammu
def test_gammu_asks_for_the_balance_in_the_packed_way(stick: ModemSimulator, tmp_path: Path) -> None:
    stick.family = "huawei"
    rc = tmp_path / "gammurc"
    rc.write_text(f"[gammu]\ndevice = {stick.port}\nconnection = at115200\nsynchronizetime = no\n")
    command = ["stdbuf", "-oL", "gammu", "-c", str(rc), "getussd", "*144#"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"LC_ALL": "C.UTF-8"}) as asking:
        assert asking.stdout is not None
        told = next((line for line in asking.stdout if "Service reply" in line), "")
        asking.kill()  # else it waits ten seconds for more
    assert "Airtime Balance: 1000.00 KSH" in told
    assert (stick.ussd_asked, any("AA188D3602" in command for command in stick.commands)) == (["*144#"], True)


# Delivery reports.


def test_reports_come_late_before_the_answer_national_or_failed(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.delivery_reports = True
    terminal.type(b"AT+CNMI=2,1,0,1,0\r")
    stick.report_delay_s, stick.report_status, stick.reports_national = 0.1, (0x20, 0x46), True
    heard = terminal.hand_over(ASHA, "hello", until=b"46\r\n", report=True)
    reports = [decode_report(line) for line in heard.decode().split() if line.startswith("0791")]
    assert [(report.recipient, report.status, report.reference) for report in reports] == [
        ("0712345678", 0x20, 1), ("0712345678", 0x46, 1),
    ]  # fmt: skip
    stick.report_delay_s, stick.report_status = -1, 0
    heard = terminal.hand_over(ASHA, "hello", report=True)
    assert heard.index(b"+CDS: ") < heard.index(b"+CMGS: 2")


def test_a_report_waits_while_the_modem_is_away(stick: ModemSimulator) -> None:
    stick.delivery_reports, stick.report_delay_s = True, 0.1
    terminal = Terminal(stick.port)
    terminal.type(b"AT+CNMI=2,1,0,1,0\r")
    terminal.hand_over(ASHA, "hello", report=True)
    terminal.close()
    stick.unplug()
    time.sleep(0.2)
    stick.plug()
    terminal = Terminal(stick.port)
    assert b"+CDS" not in terminal.type(b"AT\r")
    terminal.type(b"AT+CNMI=2,1,0,1,0\r", until=b"00\r\n")
    terminal.close()


def test_stored_reports_are_announced_and_read_in_a_memory_of_their_own(
    stick: ModemSimulator, terminal: Terminal
) -> None:
    stick.family, stick.delivery_reports = "quectel", True
    terminal.type(b"AT+CNMI=2,1,0,2,0\r")
    terminal.hand_over(ASHA, "hello", until=b'+CDSI: "SM",1\r\n', report=True)  # it says SM and means SR
    assert b"+CMGL" not in terminal.type(b"AT+CMGL=4\r")
    terminal.type(b'AT+CPMS="SR"\r')
    heard = terminal.type(b"AT+CMGR=1\r").decode()
    assert decode_report(heard.split()[2]).recipient == "+" + ASHA


# Families.


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_each_family_says_who_it_is_and_knows_its_own_commands(
    stick: ModemSimulator, terminal: Terminal, family: str
) -> None:
    stick.family = family
    manners = FAMILIES[family]
    assert manners.manufacturer.encode() in terminal.type(b"AT+CGMI\r")
    assert manners.model.encode() in terminal.type(b"ATI\r")
    assert stick.iccid.encode() in terminal.type(f"AT{manners.iccid}\r".encode())
    terminal.type(b"AT+NONSENSE\r", until=(manners.unknown or "ERROR").encode() + b"\r\n")
    foreign = b"AT+QCCID\r" if family != "quectel" else b"AT^CURC=0\r"
    if family != "generic":
        terminal.type(foreign, until=(manners.unknown or "ERROR").encode() + b"\r\n")


def test_no_family_has_another_name() -> None:
    with pytest.raises(BadInput, match="huawei"):
        ModemSimulator(family="nokia")


def test_a_stick_has_several_ports_and_tells_its_news_on_one(tmp_path: Path) -> None:
    with ModemSimulator(family="huawei", by_id=tmp_path) as stick:
        names = [f"usb-HUAWEI_Technology_HUAWEI_Mobile-if0{place}-port0" for place in range(3)]
        assert stick.ports == [str(tmp_path / name) for name in names]
        assert sorted(os.listdir(tmp_path)) == names
        assert stick.port == stick.ports[2]
        modem, mute, ui = (Terminal(port) for port in stick.ports)
        modem.type(b"ATE0\r")
        mute.type(b"AT\r", until=b"")
        assert mute.silence(0.1) == b""
        ui.type(b"AT+CNMI=2,1,0,1,0\r")
        stick.receive("MPESA", "hello")
        ui.type(b"", until=b'+CMTI: "SM",1\r\n')
        assert modem.silence(0.1) == b""
        modem.hand_over(ASHA, "hello")
        modem.type(b"AT+CFUN=1,1\r", until=b"")  # an E173 leaves the bus and does not come back
        deadline = time.monotonic() + 10
        while os.listdir(tmp_path):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        stick.plug()
        assert sorted(os.listdir(tmp_path)) == names
        for port in (modem, mute, ui):
            port.close()
    assert os.listdir(tmp_path) == []


def test_a_reset_is_a_start_with_boot_lines_or_a_while_off_the_bus(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.family = "sim800"
    heard = terminal.type(b"AT+CFUN=1,1\r", until=b"SMS Ready\r\n")
    assert heard.split() == b"OK RDY +CFUN: 1 +CPIN: READY Call Ready SMS Ready".split()
    stick.family = "sim7600"
    terminal.type(b"AT+CFUN=1,1\r", until=b"")
    deadline = time.monotonic() + 10
    while stick.is_plugged:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_huawei_gossips_until_it_is_told_not_to_save_its_heartbeat(tmp_path: Path) -> None:
    stick = ModemSimulator(tmp_path / "modem", family="huawei")
    stick.gossip_every_s = 0.02
    with stick:
        terminal = Terminal(stick.port)
        terminal.type(b"", until=b",0003E800,0003E800\r\n")
        terminal.type(b"", until=b"\r\n^RSSI:18\r\n")
        terminal.type(b"ATE0^CURC=0\r", until=b"")
        terminal.silence(0.2)
        heard = terminal.silence(0.5)
        assert b"^BOOT" in heard and b"^RSSI" not in heard
        terminal.close()
