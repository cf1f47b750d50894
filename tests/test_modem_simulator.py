"""The pretend modem, asked by a program we did not write (gammu) and octet by octet."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import EdgeError
from edge.simulators.modem import ModemSimulator, TextDoor, bring_text
from edge.tpdu import decode_deliver, decode_report, encode_submit, join_text
from tests.modem_terminal import Terminal

ASHA = "254712345678"
LONG_RECEIPT = (
    "UK5T7ABCD1 Confirmed. on 5/11/26 at 2:30 PM Ksh20.00 received from JANE DOE 254700000001.  Account Number "
    "WIFI7K2Q New Utility balance is Ksh80.00. Pay with ease wherever you see a till."
)
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
    yield opened
    opened.close()


def gammu(stick: ModemSimulator, folder: Path, *command: str) -> str:
    rc = folder / "gammurc"
    rc.write_text(f"[gammu]\ndevice = {stick.port}\nconnection = at115200\nsynchronizetime = no\n")
    told = subprocess.run(
        ["gammu", "-c", str(rc), *command], capture_output=True, text=True, timeout=90, env={"LC_ALL": "C.UTF-8"},
        executable=shutil.which("gammu"),
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


@needs_gammu
def test_gammu_identifies_it(stick: ModemSimulator, tmp_path: Path) -> None:
    told = gammu(stick, tmp_path, "identify")
    for words in (stick.manufacturer, stick.model, stick.revision, stick.imei, stick.imsi):
        assert words in told


@needs_gammu
def test_gammu_sends_a_text_through_it(stick: ModemSimulator, tmp_path: Path) -> None:
    text = "Karibu [Asha]: 1 hour is €0.15 ~ KSh 20 | " * 5
    told = gammu(stick, tmp_path, "sendsms", "TEXT", "+" + ASHA, "-len", "400", "-text", text)
    assert "OK" in told
    assert [(sms.msisdn, sms.text.rstrip(), len(sms.pdus)) for sms in stick.sent] == [(ASHA, text.rstrip(), 2)]


@needs_gammu
def test_gammu_reads_the_texts_it_received(stick: ModemSimulator, tmp_path: Path) -> None:
    stick.receive("MPESA", "Umepokea KES 500 €")
    stick.receive("+254110000007", "Je, bado iko? 😀")
    stick.volatile.memories = ("SM", "SM", "ME")
    stick.receive("MPESA", LONG_RECEIPT, smsc="+447785016005", order=(2, 1))
    told = gammu(stick, tmp_path, "getallsms")
    for words in (
        '"MPESA"', "Umepokea KES 500 €", '"+254110000007"', "Je, bado iko? 😀", '"+254722500029"', '"+447785016005"',
        "UK5T7ABCD1 Confirmed. on 5/11/26", "wherever you see a till.", "4 SMS parts",
    ):  # fmt: skip
        assert words in told
    assert "".join(LONG_RECEIPT.split()) in "".join(gammu(stick, tmp_path, "geteachsms").split())


@needs_gammu
def test_gammu_deletes_what_it_read(stick: ModemSimulator, tmp_path: Path) -> None:
    for n in range(3):
        stick.receive("MPESA", f"text {n}")
    gammu(stick, tmp_path, "deletesms", "1", "2")
    assert sorted(stick.memory) == [1, 3]


def test_it_echoes_until_it_is_told_not_to(terminal: Terminal) -> None:
    assert terminal.type(b"AT\r") == b"AT\r\r\nOK\r\n"
    assert terminal.type(b"ATE0\r") == b"ATE0\r\r\nOK\r\n"
    assert terminal.type(b"AT\r\n") == b"\r\nOK\r\n"
    assert terminal.type(b"at+csq\r") == b"\r\n+CSQ: 21,99\r\n\r\nOK\r\n"
    assert terminal.type(b"ATZ\r") == b"\r\nOK\r\n"
    assert terminal.type(b"AT\r") == b"AT\r\r\nOK\r\n"


def test_the_prompt_is_four_octets_and_a_text_ends_with_ctrl_z(stick: ModemSimulator, terminal: Terminal) -> None:
    terminal.type(b"ATE0\r")
    (pdu,) = encode_submit(ASHA, "hello")
    assert terminal.type(f"AT+CMGS={pdu.length}\r".encode(), until=b"> ") == b"\r\n> "
    assert terminal.type(pdu.hex.encode() + b"\x1a") == b"\r\n+CMGS: 1\r\n\r\nOK\r\n"
    assert (stick.sent[0].text, stick.sent[0].pdus) == ("hello", (pdu.hex,))


@pytest.mark.parametrize(
    "typed", [b"\x1a", b"00\x1a", b"0011000C9152\x1a", b"00110\x1a", b"Hello\x1a", b"0000" + b"A" * 900 + b"\x1a"]
)
def test_a_malformed_pdu_is_304_at_once(stick: ModemSimulator, terminal: Terminal, typed: bytes) -> None:
    terminal.type(b"ATE0\r")
    terminal.type(b"AT+CMGS=19\r", until=b"> ")
    assert terminal.type(typed, until=b"304\r\n") == b"\r\n+CMS ERROR: 304\r\n"
    assert stick.segments == []


def test_a_length_that_does_not_fit_is_304(stick: ModemSimulator, terminal: Terminal) -> None:
    (pdu,) = encode_submit(ASHA, "hello")
    terminal.type(f"AT+CMGS={pdu.length + 1}\r".encode(), until=b"> ")
    terminal.type(pdu.hex.encode() + b"\x1a", until=b"+CMS ERROR: 304\r\n")
    assert stick.segments == []


def test_escape_leaves_the_prompt(stick: ModemSimulator, terminal: Terminal) -> None:
    terminal.type(b"AT+CMGS=19\r", until=b"> ")
    terminal.type(b"0011\x1b")
    terminal.type(b"AT\r")
    assert stick.segments == []


def test_octets_that_come_before_the_prompt_are_lost(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.prompt_delay_s = 0.2
    (pdu,) = encode_submit(ASHA, "hello")
    terminal.type(f"AT+CMGS={pdu.length}\r".encode() + pdu.hex.encode(), until=b"> ")
    terminal.type(b"\x1a", until=b"+CMS ERROR: 304\r\n")
    assert stick.segments == []


def test_errors_are_as_loud_as_they_should_be(terminal: Terminal) -> None:
    terminal.type(b"AT+NONSENSE\r", until=b"\r\nERROR\r\n")
    terminal.type(b"AT+CMEE=1\r")
    terminal.type(b"AT+NONSENSE\r", until=b"\r\n+CME ERROR: 4\r\n")
    terminal.type(b"AT+CMEE=2\r")
    terminal.type(b"AT+NONSENSE\r", until=b"\r\n+CME ERROR: operation not supported\r\n")


def test_a_received_text_is_stored_announced_read_and_deleted(stick: ModemSimulator, terminal: Terminal) -> None:
    terminal.type(b"AT+CNMI=2,1,0,1,0\r")
    stick.receive("MPESA", "Umepokea KES 500")
    terminal.type(b"", until=b'\r\n+CMTI: "SM",1\r\n')
    assert stick.memory[1].pdu.encode() in terminal.type(b"AT+CMGL=4\r")
    assert b"+CMGR: 1," in terminal.type(b"AT+CMGR=1\r")
    terminal.type(b"AT+CMGD=1\r")
    assert b"+CMGL" not in terminal.type(b"AT+CMGL=4\r").replace(b"AT+CMGL=4", b"")


def test_a_text_routed_to_the_port_is_not_stored(stick: ModemSimulator, terminal: Terminal) -> None:
    terminal.type(b"AT+CNMI=2,2,0,1,0\r")
    stick.receive("MPESA", "Umepokea KES 500")
    assert b"+CMT: ," in terminal.type(b"", until=b"60\r\n")
    assert stick.memory == {}


def test_a_delivery_report_comes_when_it_was_asked_for(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.delivery_reports = True
    terminal.type(b"AT+CNMI=2,1,0,1,0\r")
    (pdu,) = encode_submit(ASHA, "hello", report=True)
    terminal.type(f"AT+CMGS={pdu.length}\r".encode(), until=b"> ")
    heard = terminal.type(pdu.hex.encode() + b"\x1a", until=b"00\r\n")
    report = decode_report(heard.split()[-1].decode())
    assert (report.reference, report.recipient, report.is_delivered) == (1, "+" + ASHA, True)


def test_pulled_out_it_hangs_up_and_its_name_is_gone(stick: ModemSimulator, tmp_path: Path) -> None:
    terminal = Terminal(stick.port)
    stick.unplug()
    with pytest.raises(OSError):
        terminal.type(b"AT\r")
    terminal.close()
    assert not (tmp_path / "modem").is_symlink()
    stick.unplug()
    stick.plug()
    again = Terminal(stick.port)
    again.type(b"AT\r")
    again.close()


def test_three_wrong_pins_lock_the_sim(stick: ModemSimulator, terminal: Terminal) -> None:
    stick.pin = "1234"
    terminal.type(b"AT+CMEE=1\r")
    for _ in range(3):
        assert b"+CPIN: SIM PIN" in terminal.type(b"AT+CPIN?\r")
        terminal.type(b'AT+CPIN="0000"\r', until=b"+CME ERROR: 16\r\n")
    assert b"+CPIN: SIM PUK" in terminal.type(b"AT+CPIN?\r")
    terminal.type(b"AT+CMGS=19\r", until=b"+CMS ERROR: 316\r\n")


def test_it_runs_alone_until_ctrl_c_and_shows_its_texts(tmp_path: Path) -> None:
    link = tmp_path / "modem"
    script = (
        "from pathlib import Path; import sys; from edge.simulators.modem import serve; "
        "serve(lambda line: print(line, flush=True), Path(sys.argv[1]), delay_s=0.0)"
    )
    alone = subprocess.Popen(
        [sys.executable, "-c", script, str(link)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent
    )
    assert alone.stdout is not None
    told = [alone.stdout.readline() for _ in range(5)]
    assert str(link) in told[0]
    terminal = Terminal(str(link))
    (pdu,) = encode_submit(ASHA, "hello\x1b[2J")
    terminal.type(f"AT+CMGS={pdu.length}\r".encode(), until=b"> ")
    terminal.type(pdu.hex.encode() + b"\x1a")
    terminal.close()
    assert alone.stdout.readline() == "text to 0712•••678: hello·[2J\n"
    door = tmp_path / "modem.texts"
    assert str(door) in told[3]
    assert bring_text(door, "smsc=+447785016005 MPESA Umepokea KES 500") == "brought: 1 in memory SM, 0 held back"
    terminal = Terminal(str(link))
    assert b"4D68711A04" in terminal.type(b"AT+CMGR=1\r")
    terminal.close()
    alone.send_signal(signal.SIGINT)
    assert "stopped" in alone.communicate(timeout=20)[0]
    assert alone.returncode == 0
    assert not link.is_symlink() and not door.exists()


# Texts that come in.


def test_each_memory_has_its_own_texts_and_room(stick: ModemSimulator, terminal: Terminal) -> None:
    terminal.type(b"ATE0\r")
    stick.receive("MPESA", "one")
    assert b'+CPMS: "SM",1,30,"SM",1,30,"SM",1,30' in terminal.type(b"AT+CPMS?\r")
    assert b"+CPMS: 0,23,1,30,1,30" in terminal.type(b'AT+CPMS="ME"\r')
    assert terminal.type(b"AT+CMGL=4\r") == b"\r\nOK\r\n"
    assert b"+CPMS: 0,23,0,23,0,23" in terminal.type(b'AT+CPMS="ME","ME","ME"\r')
    stick.receive("MPESA", "two")
    assert b"+CMGL: 1,0,," in terminal.type(b"AT+CMGL=0\r")
    assert b"+CMGL: 1,1,," in terminal.type(b"AT+CMGL=1\r")
    terminal.type(b"AT+CMGD=1\r")
    assert (sorted(stick.memories["SM"]), sorted(stick.memories["ME"])) == ([1], [])


def test_what_there_is_no_room_for_waits_until_there_is(stick: ModemSimulator, terminal: Terminal) -> None:
    terminal.type(b"AT+CNMI=2,1,0,1,0\r")
    stick.room["SM"] = 1
    assert (stick.receive("MPESA", "one"), stick.receive("MPESA", "two")) == ([1], [])
    terminal.type(b"", until=b"+SMS FULL\r\n")
    terminal.type(b"AT+CMGD=1\r", until=b'+CMTI: "SM",1\r\n')
    assert (len(stick.memory), len(stick.held_back)) == (1, 0)


def test_parts_come_in_any_order_some_of_them_or_all_once_more(stick: ModemSimulator) -> None:
    stick.receive("MPESA", LONG_RECEIPT, order=(2, 1))
    stick.receive("MPESA", LONG_RECEIPT, only=(2,), smsc="+447785016005", pid=0x40)
    stick.replay()
    found = [decode_deliver(stored.pdu) for _, stored in stick.listed("SM")]
    assert [told.content.part and told.content.part.number for told in found] == [2, 1, 2, 2, 1, 2]
    assert [(told.smsc, told.protocol) for told in found[1:3]] == [("+254722500029", 0), ("+447785016005", 0x40)]
    assert join_text([found[1].content, found[0].content]) == LONG_RECEIPT


def test_a_text_can_be_brought_from_outside(stick: ModemSimulator, tmp_path: Path) -> None:
    with TextDoor(stick, tmp_path / "texts") as door:
        assert bring_text(door.path, "pid=64 +254712345678 Habari\nyako") == "brought: 1 in memory SM, 0 held back"
        assert bring_text(door.path, "replay") == "brought again: 1"
        for nonsense in ("", "MPESA", "pid=x MPESA hello", "only=9 MPESA hello", "a-name-far-too-long hello"):
            assert "not understood" in bring_text(door.path, nonsense)
    (_, first), (_, second) = stick.listed("SM")
    told = decode_deliver(first.pdu)
    assert (told.sender, told.protocol, told.content.text, second.pdu) == (
        "+254712345678", 64, "Habari\nyako", first.pdu,
    )  # fmt: skip
    with pytest.raises(EdgeError, match="edge simulate modem"):
        bring_text(tmp_path / "texts", "MPESA hello")
