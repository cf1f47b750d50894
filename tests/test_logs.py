"""Log lines: one an event, with trace and job, rotated among processes, and nothing in them that must stay hidden."""

import json
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import warnings
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge import logs, trace
from edge.settings_sections import Log

ROOT = Path(__file__).resolve().parent.parent
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
log = logging.getLogger("edge.test")


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Begin to log into the state folder; gives what the file holds, line by line."""
    monkeypatch.delenv("EDGE_LOG", raising=False)
    level, names = logging.root.level, {name: logging.getLogger(name).level for name in logs.QUIETER}

    def run(process="worker", **told):
        logs.configure(Log(**told), tmp_path, process)
        return lambda: (tmp_path / "logs" / "edge.log").read_text(encoding="utf-8").splitlines()

    yield run
    logs.reset()
    logging.root.setLevel(level)
    for name, was in names.items():
        logging.getLogger(name).setLevel(was)


# --- what a line says


def test_a_line_tells_when_who_about_what_and_within_which_job(begin, capsys):
    lines = begin()
    with trace.within(TRACE), logs.job_context(812, "sms.send"):
        log.warning("text %d is late", 7)
    log.info("idle")
    first, second = lines()
    moment = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    told = rf"{moment} WARNING worker edge\.test trace={TRACE} job=812/sms\.send: text 7 is late"
    assert re.fullmatch(told, first)
    assert re.fullmatch(rf"{moment} INFO worker edge\.test: idle", second)
    assert capsys.readouterr().err.splitlines() == [first, second]


def test_as_json_a_line_is_one_object_and_so_is_its_traceback(begin):
    lines = begin(format="json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        with trace.within(TRACE), logs.job_context(812, "sms.send"):
            log.exception("it broke: %s", "Asha's — №")
    [line] = map(json.loads, lines())
    exception = line.pop("exception")
    assert exception.startswith("Traceback") and exception.endswith("ValueError: two\nlines")
    assert re.fullmatch(r"20.*\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "ERROR", "process": "worker", "logger": "edge.test", "trace": TRACE, "job": 812,
        "job_name": "sms.send", "message": "it broke: Asha's — №",
    }  # fmt: skip


def test_whatever_is_logged_stays_one_line_that_forges_no_other(begin):
    lines = begin()
    try:
        raise ValueError("first\n2026-01-01T00:00:00.000Z INFO web edge: paid")
    except ValueError:
        log.exception("a\r\nb\x1b[2J\x9b\u202e\u2028 tail", stack_info=True)
    [line] = lines()
    assert "a\\x0d | b\\x1b[2J\\x9b\\x202e\\x2028 tail | Traceback (most recent call last): | " in line
    assert line.isprintable()


def test_a_line_with_a_slip_in_it_is_kept_all_the_same(tmp_path):
    program = (
        "class Broken:\n    def __repr__(self): raise RuntimeError('no words')\n"
        "log.info('%d jobs of %s', 'many'); log.info('it is %s', Broken()); log.info('half a pair: \\ud83d')\n"
    )
    first, second, third = run_process(tmp_path, program).stderr.splitlines()
    assert "%d jobs of %s ('many',) (TypeError while" in first
    assert "it is %s (<Broken instance at 0x" in second and "(RuntimeError while" in second
    assert third.endswith("half a pair: \\xd83d")


def test_a_megabyte_from_a_hostile_peer_is_cut_and_its_numbers_are_masked(begin):
    lines = begin()
    log.info("a router says: %s", "0712345678 " * 100_000)
    [line] = lines()
    assert len(line) < 10_000 and "2547…678" in line and "0712345" not in line


def test_the_level_of_the_settings_holds_and_the_environment_wins(begin, monkeypatch):
    lines = begin(level="warning")
    log.info("quiet")
    logging.getLogger("urllib3").warning("loud")
    monkeypatch.setenv("EDGE_LOG", "debug")
    begin(level="warning")
    log.debug("fine")
    logging.getLogger("waitress.queue").warning("a burst")
    monkeypatch.setenv("EDGE_LOG", "lots")
    begin()
    said = [line.partition(": ")[2] for line in lines()]
    assert said == ["loud", "fine", "EDGE_LOG: 'lots' is no level; known are debug, info, warning, error"]


def test_warnings_and_dying_threads_are_lines_as_well(begin, capsys):
    lines = begin()

    def die():
        raise RuntimeError("lost 0712345678")

    thread = threading.Thread(target=die, name="clerk")
    thread.start()
    thread.join(30)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old ways, +254712345678", stacklevel=1)
    died, warned = lines()
    assert "CRITICAL worker edge.logs: thread clerk ended by an error nobody expected | Traceback" in died
    assert died.endswith("RuntimeError: lost 2547…678")
    assert "WARNING worker py.warnings: " in warned and "old ways, 2547…678" in warned
    assert "0712345678" not in capsys.readouterr().err


def test_a_process_that_dies_tells_it_in_one_line(tmp_path):
    ran = run_process(tmp_path, "raise ValueError('for 0712345678')")
    assert ran.returncode == 1
    assert re.fullmatch(r"\S+ CRITICAL web edge\.logs: ended by .* \| ValueError: for 2547…678\n", ran.stderr)


def test_the_journal_hears_how_urgent_a_line_is(tmp_path):
    program = "log.error('now'); log.info('some day'); log.debug('never')"
    with (tmp_path / "journal").open("w+", encoding="utf-8") as journal:
        told = os.fstat(journal.fileno())
        run_process(tmp_path, program, stderr=journal, JOURNAL_STREAM=f"{told.st_dev}:{told.st_ino}")
        journal.seek(0)
        first, second = journal.read().splitlines()
    assert re.fullmatch(r"<3>\S+ ERROR web edge\.test: now", first)
    assert re.fullmatch(r"<6>\S+ INFO web edge\.test: some day", second)


def run_process(state, program, stderr=subprocess.PIPE, limit=0, **environ):
    """A process of its own that logs as `web` into this state folder; its files may grow to `limit` bytes."""
    begin = (
        "import logging, sys; from pathlib import Path; from edge import logs; from edge.settings_sections import Log\n"
        f"logs.configure(Log(), Path({str(state)!r}), 'web'); log = logging.getLogger('edge.test')\n"
    )

    def confine():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    return subprocess.run(
        [sys.executable, "-c", begin + program], stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=100,
        cwd=ROOT, env={**os.environ, "EDGE_LOG": "", **environ}, preexec_fn=confine if limit else None,
    )  # fmt: skip


# --- the file


def test_only_the_box_may_read_the_file_and_its_folder(begin, tmp_path):
    (tmp_path / "logs").mkdir(mode=0o755)
    (tmp_path / "logs" / "edge.log").touch(mode=0o644)
    lines = begin()
    log.info("hello")
    assert len(lines()) == 1
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("logs", "logs/edge.log")]
    assert modes == [0o700, 0o600]


def test_a_folder_outside_the_state_keeps_its_mode(begin, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir(mode=0o755)
    begin(file=str(outside / "edge.log"))
    log.info("hello")
    assert outside.stat().st_mode & 0o777 == 0o755 and (outside / "edge.log").stat().st_mode & 0o777 == 0o600


def test_without_a_file_only_standard_error_is_told(begin, tmp_path, capsys):
    begin(file="")
    log.info("hello")
    assert list(tmp_path.iterdir()) == [] and "hello" in capsys.readouterr().err


def test_a_full_file_is_put_aside_and_the_oldest_goes(begin, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in (4, 5):
        (folder / f"edge.log.{number}").touch()  # from a time when more were kept
    begin(max_mib=1, keep=2, level="info")
    for number in range(700):
        log.info("%d %s", number, "x" * 8000)
    assert sorted(path.name for path in folder.iterdir()) == ["edge.log", "edge.log.1", "edge.log.2", "edge.log.4",
                                                              "edge.log.5"]  # fmt: skip
    sizes = [(folder / name).stat().st_size for name in ("edge.log.1", "edge.log.2")]
    assert all(1024 * 1024 <= size < 1024 * 1024 + 9000 for size in sizes)
    assert (folder / "edge.log").read_text().splitlines()[-1].split(": ")[1].startswith("699 ")


def test_a_file_that_was_moved_away_is_made_anew(begin, tmp_path):
    lines = begin()
    log.info("before")
    (tmp_path / "logs" / "edge.log").rename(tmp_path / "taken")
    log.info("after")
    assert [line[-5:] for line in lines()] == ["after"] and "before" in (tmp_path / "taken").read_text()


def test_processes_that_share_a_file_lose_no_line_while_it_rotates(tmp_path):
    program = (
        "from pathlib import Path; import logging, sys; from edge import logs; from edge.settings_sections import Log\n"
        "logs.configure(Log(max_mib=1, keep=50), Path(sys.argv[1]), sys.argv[2])\n"
        "logging.root.removeHandler(logging.root.handlers[0])\n"
        "for number in range(1500): logging.info('%d %s', number, 'x' * 1500)\n"
    )
    names = ["web", "worker", "second", "third"]
    started = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name], cwd=ROOT) for name in names]
    assert [process.wait(100) for process in started] == [0] * 4
    files = list((tmp_path / "logs").iterdir())
    lines = [line for path in files for line in path.read_text().splitlines()]
    assert len(files) > 6
    assert sorted((line.split()[2], int(line.split()[4])) for line in lines) == sorted(
        (name, number) for name in names for number in range(1500)
    )


def test_a_full_disk_is_told_of_once_and_the_box_goes_on(tmp_path):
    program = (
        "import resource, time\n"
        "for number in range(200): log.info('%d %s', number, 'x' * 100)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "logs.RETRY_S = 0\n"
        "[handler] = [handler for handler in logging.root.handlers if isinstance(handler, logs.SharedFile)]\n"
        "handler._not_before = 0\n"
        "log.info('there is room again')\n"
    )
    ran = run_process(tmp_path, program, limit=5000)
    said = ran.stderr.splitlines()
    assert ran.returncode == 0 and "Traceback" not in ran.stderr
    assert len([line for line in said if "can't be written: " in line]) == 1
    lost = int(re.search(r"is written again; (\d+) lines are missing from it", said[-1])[1])
    kept = (tmp_path / "logs" / "edge.log").read_text().splitlines()
    assert "there is room again" in kept[-2] and "is written again" in kept[-1]
    assert all(line.startswith("20") for line in kept)  # the torn line ends before the next begins
    assert len([line for line in kept if line.endswith("x" * 100)]) + lost == 201  # + the word of the full disk itself


def test_a_folder_that_can_not_be_made_is_told_of_once(begin, tmp_path, capsys):
    (tmp_path / "logs").write_text("a file is in the way")
    begin()
    for _ in range(50):
        log.info("hello")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 51 and len([line for line in said if "can't be written: Not a directory" in line]) == 1


def test_a_link_in_the_file_s_place_is_not_followed(begin, tmp_path, capsys):
    (tmp_path / "logs").mkdir()
    (tmp_path / "victim").touch(mode=0o644)
    (tmp_path / "logs" / "edge.log").symlink_to(tmp_path / "victim")
    begin()
    log.info("hello")
    assert (tmp_path / "victim").read_text() == "" and "can't be written" in capsys.readouterr().err


def test_nobody_listening_to_standard_error_is_no_fault(begin, monkeypatch):
    lines = begin()
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", closefd=True) as broken:
        monkeypatch.setattr(sys, "stderr", broken)
        log.info("one")
        monkeypatch.setattr(sys, "stderr", None)
        log.info("two")
        monkeypatch.undo()
        with pytest.raises(BrokenPipeError):
            broken.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), broken.fileno())
    assert [line[-3:] for line in lines()] == ["one", "two"]


# --- what stays hidden


@pytest.mark.parametrize(
    "written",
    [
        "+254712345678", "254712345678", "0712345678", "07 12 345 678", "0712 345 678", "0712-345-678", "0712.345.678",
        "+254 712 345 678", "254-712-345-678", "+254 (0)712 345 678", "(0712) 345678", "00254712345678", "071 234 5678",
        "%2B254712345678", "%20254712345678", "\\u00200712345678", "\\n0712345678", "phone0712345678",
        "0712\xa0345\xa0678",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "around", ["{}", "to {}, twice", "'{}'", '{{"phone": "{}"}}', "phone={}&plan=1", "KSh 20 {} 50", "\x1b[1m{}\x1b[0m"]
)
def test_a_kenyan_number_is_masked_however_it_is_written(written, around):
    shown = logs.mask(around.format(written))
    assert "2547…678" in shown and not re.search(r"[0-9][0-9 .\-\xa0()]{8,}", shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+447911123456", "4479…456"), ("+1 (555) 010-9999", "1555…999"), ("+49 151 1234 5678", "4915…678"),
        ("+47 12 34 56 78", "4712…678"), ("+255712345678 20 texts", "2557…678 20 texts"),
        ("0712 345 678 20 texts for 0722 000 111", "2547…678 20 texts for 2547…111"),
        ("PhoneNumber=712345678", "PhoneNumber=2547…678"), ('"MSISDN":447911123456', '"MSISDN":4479…456'),
        ("'PartyA': 254712345678, 'PartyB': '174379'", "'PartyA': 2547…678, 'PartyB': '174379'"),
        ("0110123456 and 0100000001", "2541…456 and 2541…001"),
        ("ws_CO_051120261430157700000001", "ws_CO_051120261430157…001"),
        ("ws_CO_0511202614301512712345678", "ws_CO_0511202614301512…678"),
        ('+CMT: "+254712345678",,"26/03/02,12:00:00+12"', '+CMT: "2547…678",,"26/03/02,12:00:00+12"'),
        ("07915274000000F0040C9152741032547600006230", "07915274000000F0040C91…00006230"),
    ],
)  # fmt: skip
def test_numbers_of_any_country_and_of_the_trade_are_masked(text, shown):
    assert logs.mask(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "UC25T00001", "SLE7X1ABCD", "QK07123456", "KSh 1,200.00", "1772442000", "1772442000.123", "1772442000123",
        "20260302090000", "2026-03-02T09:00:00.123456+03:00", "2026-01-17-093000", "edge-20260117-093000.db",
        "07-12-2026 10:30:00", "01.11.2026 09.30", "26/03/02,12:00:00+12", "ws_CO_191220191020363925", TRACE,
        "29115-34620561-1", "7a1c-4e0b-9f2d-3c5d7e9f1a2b418233", "0.0712345678", "took 12.0712345678 s",
        "a0712345678f0712345678a071234567", "3f0712ab-0712-3456-7812-a0712345678f", "192.168.88.1:8728", "10.5.50.1",
        "AA-BB-07-12-34-56", "AA:BB:07:12:34:56", "job 254712", "(0, 10, 20, 35, 60, 120)", "+CMS ERROR: 38",
        "07 of 12 jobs", "254 guests", "T+0300", "free 123456789 of 987654321 bytes", "01 of 17", "0x07123456",
        "the password is wrong", "no key for it", "the SIM refused its PIN", "+CPIN: READY", "/cb/", "tokens=5",
        "http://box.test:8080/admin/?page=2", "sqlite:///edge.db", "basic settings", "2547…678", "password=…",
    ],
)  # fmt: skip
def test_receipts_amounts_ids_and_moments_are_left_alone(text):
    assert logs.mask(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("POST /cb/0123456789abcdef0123456789abcdef 200", "POST /cb/012345… 200"),
        ("http%3A%2F%2Fbox%2Fcb%2F0123456789abcdef", "http%3A%2F%2Fbox%2Fcb%2F012345…"),
        ("Authorization: Basic dGVzdDp0ZXN0", "Authorization: …"), ("{'Cookie': 'a=b; c=d'}", "{'Cookie': '…'}"),
        ("{'Authorization': 'Bearer abc.def-123', 'x': 1}", "{'Authorization': '…', 'x': 1}"),
        ("sent Bearer eyJhbGciOi.JIUzI1NiJ9", "sent Bearer …"),
        ("password=hunter2&x=1", "password=…&x=1"), ("{'password': \"it's, mine\"}", "{'password': …}"),
        ('{"Password":"MTc0Mzc5","Timestamp":"20260302090000"}', '{"Password":…,"Timestamp":"20260302090000"}'),
        ('"{\\"passkey\\": \\"a b\\"}"', '"{\\"passkey\\": …}"'),
        ("b'=name=x', b'=password=s3cret'", "b'=name=x', b'=password=…'"),
        ("RouterSettings(radius_secret='a\\'b', port=1)", "RouterSettings(radius_secret=…, port=1)"),
        ("access_token=abc&consumerSecret: xyz", "access_token=…&consumerSecret: …"),
        ('AT+CPIN="1234"', 'AT+CPIN="…"'), ("Cookie: session=abc; csrf=def", "Cookie: …"),
        ("postgresql://edge:s3cret@db/edge", "postgresql://edge:…@db/edge"), ("redis://:pw@10.0.0.2", "redis://:…@10.0.0.2"),
        ("password='never closed", "password=…"), ("SecurityCredential=abc==", "SecurityCredential=…"),
    ],
)  # fmt: skip
def test_secrets_are_masked(text, shown):
    assert logs.mask(text) == shown


national = st.from_regex(r"[17][0-9]{8}", fullmatch=True)
prefix = st.sampled_from(["0", "254", "+254", "00254", "+254 ", "254-"])
# Whatever stands beside a number in our lines and other people's; never a digit, which would make it another number.
beside = st.sampled_from([*" '\",():=/\n\t&<>[];#xé@_-", "", "KSh ", "to ", " 20 ", "\\n", "%20"])


@settings(deadline=None)
@given(beside, prefix, national, beside)
@example("tel:", "0", "712345678", "@box")
@example("%20", "00254", "100000000", " ")
def test_no_number_survives_whatever_stands_beside_it(before, start, number, after):
    text = before + start + number + after
    shown = logs.mask(text)
    assert number not in shown and f"254{number[0]}…{number[-3:]}" in shown
    assert logs.mask(shown) == shown


@settings(deadline=None)
@given(prefix, national, st.lists(st.sampled_from(["", "", " ", "-", ".", "\xa0"]), min_size=8, max_size=8))
def test_no_number_survives_however_it_is_spaced(start, number, gaps):
    spaced = number[0] + "".join(gap + digit for gap, digit in zip(gaps, number[1:], strict=True))
    text = f"for {start}{spaced}!"
    if re.search(r"0[0-9][.\-][0-3][0-9][.\-](19|20)[0-9]{2}(?![0-9])", text):
        return  # reads as a day
    assert logs.mask(text) == f"for 254{number[0]}…{number[-3:]}!"


moments = st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31))
words = st.text(alphabet="abcdefghijklmnopqrstuvwxyzKSh .,:;()[]'\"=/-_#", max_size=20)
harmless = st.one_of(
    st.from_regex(r"[A-Z]{2}[A-Z0-9]{8}", fullmatch=True).filter(lambda receipt: not receipt.isdigit()),  # a receipt
    st.integers(0, 99_999_999).map(str),
    st.decimals(0, 999_999, places=2).map(str),
    st.floats(0, 1e6, allow_nan=False).map(repr).filter(lambda number: "e" not in number),
    moments.map(str), moments.map(lambda at: at.isoformat() + "Z"), moments.map("{:%Y%m%d%H%M%S}".format),
    *[moments.map(written.format) for written in ("{:%Y-%m-%d-%H%M%S}", "{:%d-%m-%Y %H:%M}", "{:%d.%m.%Y}")],
    st.integers(1_600_000_000, 2_000_000_000).map(str), st.integers(1_600_000_000_000, 2_000_000_000_000).map(str),
    st.uuids().map(str), st.binary(min_size=16, max_size=32).map(bytes.hex), st.ip_addresses().map(str),
    st.binary(min_size=6, max_size=6).map(lambda mac: mac.hex(":").upper()),
)  # fmt: skip


@settings(deadline=None)
@given(words.filter(lambda text: not re.search("[=:]|bearer|basic", text)), harmless)
def test_what_is_no_number_is_never_mangled(before, held):
    text = f"{before} {held}"
    assert logs.mask(text) == text


@settings(deadline=None)
@given(st.text(alphabet="0123456789 +-.()abcdefgpinwords=:\"'\\/%x2bcb…", max_size=80))
def test_masking_twice_changes_nothing_more(text):
    once = logs.mask(text)
    assert logs.mask(once) == once


def test_no_hostile_text_holds_a_line_up():
    hostile = [
        "password='" * 4000, "0" * 40_000, "+1 " * 20_000, "07 1" * 10_000, "\\" * 40_000 + "key", "token:" * 9000,
        "ws_CO_" * 8000 + "123456789", "a" * 40_000 + " 123456789 key", "://a:" * 9000, "password" + "\\" * 40_000,
        "password=" + "\\" * 40_000, "pin=" + " " * 40_000, "authorization:" + " " * 40_000, "cookie" * 7000,
        "token=\"" + "\\\"" * 20_000, "basic " * 7000, "password" + " " * 40_000 + "x", "0 " * 20_000,
    ]  # fmt: skip
    for text in hostile:
        assert measured_s(text) < 2.0, text[:20]


def measured_s(text):
    begun = os.times()
    logs.mask(text)
    ended = os.times()
    return ended.user - begun.user
