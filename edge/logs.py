"""Logs: one line an event, in a file that rotates and on standard error; phone numbers and secrets are masked.

Several processes may share one file: each line is one appending write, and only whoever holds the folder's lock
rotates. A disk that is full or a folder that is closed costs lines, never more.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import reprlib
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any

from edge import trace
from edge.settings_sections import Log

log = logging.getLogger("edge.logs")

RETRY_S = 60.0
LONGEST_TOLD = 8192  # characters; a hostile peer may say a megabyte
LONGEST_READ = 65536
# What others say is said by us in fewer words; waitress would tell of every burst, OpenTelemetry of every lost batch.
QUIETER = {
    "huey": logging.WARNING, "urllib3": logging.WARNING, "waitress.queue": logging.ERROR,
    "opentelemetry": logging.CRITICAL,
}  # fmt: skip

_job: ContextVar[tuple[int, str] | None] = ContextVar("job", default=None)


def configure(told: Log, state: Path | None = None, process: str = "edge") -> None:
    """Send every log line of this process to standard error and, with a `state` folder, to `[log] file` in it.

    `process` (web, worker, box) stands in each line. $EDGE_LOG, if set, is the level. May be called again with new
    settings. Never raises: a file that can't be written is told of once, and tried again every minute.
    """
    reset()
    formatter = JsonLine(process) if told.format == "json" else TextLine(process)
    level, is_known = _level(told)
    handlers: list[logging.Handler] = [StandardError()]
    if told.file and state is not None:
        handlers.append(SharedFile(state / told.file, told.max_mib * 1024 * 1024, told.keep, state))
    for handler in handlers:
        handler.setFormatter(formatter)
        logging.root.addHandler(handler)
    logging.root.setLevel(level)
    for name, least in QUIETER.items():
        logging.getLogger(name).setLevel(max(level, least))
    logging.captureWarnings(True)
    sys.excepthook, threading.excepthook = _process_died, _thread_died
    if not is_known:
        log.warning("EDGE_LOG: %r is no level; known are debug, info, warning, error", os.environ["EDGE_LOG"])


def reset() -> None:
    """Take back what `configure` did, and close the file."""
    for handler in [handler for handler in logging.root.handlers if isinstance(handler, StandardError | SharedFile)]:
        logging.root.removeHandler(handler)
        handler.close()
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__


@contextmanager
def job_context(id: int, name: str) -> Iterator[None]:
    """Whatever is logged in here names this job."""
    token = _job.set((id, name))
    try:
        yield
    finally:
        _job.reset(token)


def mask(text: str) -> str:
    """The text with phone numbers as 2547…678 and without secrets. Masking twice changes nothing more."""
    lowered = text.lower()
    if any(word in lowered for word in _SECRET_WORDS):
        for pattern, shown in _SECRETS:
            text = pattern.sub(shown, text)
    if _NINE_DIGITS.search(text):
        text = _PHONES.sub(_mask_phone, _SWAPPED.sub(r"\1…", text))
    return text


_SECRET_WORDS = (
    "pass", "secret", "token", "credential", "key", "pin", "authoriz", "bearer", "basic", "cookie",
    "://", "/cb", "%2fcb",
)  # fmt: skip
_IS = r"""\\*["']?\s*[=:]\s*"""
_QUOTED = r"""(?P<quote>\\*["'])(?:.*?(?<!\\)(?P=quote)|[^\n]*)"""
_BARE = r"""[^\s,;&)}\]"'\\]+"""
_SECRETS = [
    (re.compile(r"((?:/|%2f)cb(?:/|%2f)[0-9a-z]{6})[0-9a-z_-]+", re.I), r"\1…"),
    (re.compile(r"""(?<=://)([^\s/:@"']*):[^\s/@"']+@"""), r"\1:…@"),
    (re.compile(rf"""(authorization{_IS}(?:\\*["'])?)(?:[a-z]+\s+)?{_BARE}""", re.I), r"\1…"),
    (re.compile(r"((?<![a-z])(?:bearer|basic)\s+)[0-9a-z+/=._~-]{12,}", re.I), r"\1…"),
    (re.compile(rf"""((?<![a-z])(?:set-)?cookie{_IS}(?:\\*["'])?)[^\n"'\\]+""", re.I), r"\1…"),
    (re.compile(rf"""((?<![a-z])c?pin{_IS}(?:\\*["'])?)[0-9]{{4,8}}(?![0-9])""", re.I), r"\1…"),
    (
        re.compile(
            r"((?:passw(?:or)?d|passphrase|passkey|secret|token|credential|api[_-]?key|consumer[_-]?key|(?<![a-z])pass)"
            rf"{_IS})(?:{_QUOTED}|{_BARE})",
            re.I,
        ),
        r"\1…",
    ),
]

_NINE_DIGITS = re.compile(r"[0-9](?:[ ().\-\xa0]{0,2}[0-9]){8}")
_GAP = r"[ ().\-\xa0]{0,2}"
# A number may stand right behind an escape that ends in a digit: `%20`, `\x20`, `\u0020`.
_START = r"(?:(?<![0-9])(?<![0-9]\.)|(?<=%[0-9a-f]{2})|(?<=\\x[0-9a-f]{2})|(?<=\\u[0-9a-f]{4}))"
_SWAPPED = re.compile(r"(0C91)52[17]4[0-9]{8}", re.I)  # +2547… in a TPDU: type of number, then digits in swapped pairs
_PHONES = re.compile(
    "|".join([
        # Left alone: digests, trace ids and UUIDs, which may hold ten decimal digits in a row.
        r"(?<![0-9a-z%])(?:[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-z])",
        # M-Pesa's checkout ids end in the payer's number: day and time, one to three digits, nine of the phone.
        r"(?P<checkout>ws_CO_[0-9]{15,17})(?P<payer>[17][0-9]{8})(?![0-9])",
        rf"{_START}(?:\+|%2b|00)?(?P<kenyan>254{_GAP}0?{_GAP}[17](?:{_GAP}[0-9]){{8}})(?![0-9])",
        rf"{_START}(?P<local>0[17][0-9]{{8}})(?![0-9])",
        # Spelt with gaps; but 07-12-2026 10:30 is a moment, and so is 2026-01-17-093000.
        rf"{_START}(?<![0-9][.\-])(?![0-9]{{2}}[.\-][0-3][0-9][.\-](?:19|20)[0-9]{{2}}(?![0-9]))"
        rf"(?P<spelt>0[17](?:{_GAP}[0-9]){{8}})(?![0-9])",
        rf"(?:(?<![0-9])\+|%2b)(?P<foreign>[1-9](?:[0-9]{{7,14}}|(?:{_GAP}[0-9]){{7,14}}))(?![0-9])",
        rf"""(?P<key>(?:phone(?:_?number)?|msisdn|party_?[ab]){_IS}\\*["']?\+?)(?P<named>[0-9]{{9,15}})(?![0-9])""",
    ]),
    re.I,
)  # fmt: skip


def _mask_phone(found: re.Match[str]) -> str:
    kind = found.lastgroup
    if kind is None:
        return found[0]
    if kind == "payer":
        return f"{found['checkout']}…{found['payer'][-3:]}"
    digits = re.sub("[^0-9]", "", found[kind]).removeprefix("00")
    if re.fullmatch(r"(?:0|2540)?[17][0-9]{8}", digits):
        digits = "254" + digits[-9:]
    shown = f"{digits[:4]}…{digits[-3:]}" if len(digits) > 9 else f"{digits[:2]}…{digits[-2:]}"
    return (found["key"] or "") + shown


class TextLine(logging.Formatter):
    """`2026-03-02T09:00:00.123Z WARNING worker edge.tasks trace=… job=812/sms.send: words | Traceback …`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the record holds."""
        words, fault = _told(record)
        place, job = trace.current(), _job.get()
        head = f"{_moment(record.created)} {record.levelname} {self._process} {record.name}"
        head += f" trace={place}" if place else ""
        head += f" job={job[0]}/{job[1]}" if job else ""
        return f"{head}: {words}{' | ' if fault else ''}{fault}".replace("\n", " | ")


class JsonLine(TextLine):
    """The same as one JSON object; keys without a value are left out."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the record holds."""
        words, fault = _told(record)
        place, job = trace.current(), _job.get()
        line: dict[str, object] = {
            "time": _moment(record.created), "level": record.levelname, "process": self._process,
            "logger": record.name,
        }  # fmt: skip
        if place:
            line["trace"] = place
        if job:
            line["job"], line["job_name"] = job
        line["message"] = words
        if fault:
            line["exception"] = fault
        return json.dumps(line, ensure_ascii=False)


def _told(record: logging.LogRecord) -> tuple[str, str]:
    """The message and the traceback, masked and fit to print; made once for all handlers."""
    made: tuple[str, str] | None = getattr(record, "edge_told", None)
    if made is None:
        try:
            words = record.getMessage()
        except Exception as reason:  # a line with a slip in it is still worth having
            said = record.msg if isinstance(record.msg, str) else reprlib.repr(record.msg)
            words = f"{said} {reprlib.repr(record.args)} ({type(reason).__name__} while this line was made)"
        fault = logging.Formatter().formatException(record.exc_info) if record.exc_info else record.exc_text or ""
        made = record.edge_told = (_fit(words), _fit(f"{fault}\n{record.stack_info or ''}".strip()))
    return made


_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _fit(text: str) -> str:
    """Masked, no longer than a line may be (of a traceback the end tells most), nothing that moves a cursor."""
    text = mask(text[-LONGEST_READ:])
    if len(text) > LONGEST_TOLD:
        text = f"{text[: LONGEST_TOLD // 4]} … {text[-LONGEST_TOLD * 3 // 4 :]}"
    if text.isprintable():
        return text
    return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


_second = (0, "")


def _moment(at: float) -> str:
    """UTC with milliseconds; the part down to the second is kept, as lines come in bursts."""
    global _second
    whole, words = _second
    if whole != int(at):
        whole, words = _second = (int(at), time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)))
    return f"{words}.{int((at - whole) * 1000):03d}Z"


class StandardError(logging.Handler):
    """For the terminal or the journal; to the journal each line tells its priority (sd-daemon(3))."""

    def __init__(self) -> None:
        super().__init__()
        self._is_journal = _is_journal()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; nobody may be listening any more."""
        line = self.format(record) + "\n"
        if self._is_journal:
            line = f"<{_priority(record.levelno)}>{line}"
        if sys.stderr is not None:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(line)
                sys.stderr.flush()


def _is_journal() -> bool:
    """Does standard error lead to the journal? systemd tells that stream's device and inode (systemd.exec(5))."""
    try:
        stream = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stream.st_dev}:{stream.st_ino}"


def _priority(level: int) -> int:
    steps = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
    return next((priority for least, priority in steps if level >= least), 7)


class SharedFile(logging.Handler):
    """A file of at most `max_bytes` and `keep` older ones beside it, written by however many processes."""

    def __init__(self, path: Path, max_bytes: int, keep: int, state: Path) -> None:
        super().__init__()
        self._path, self._max_bytes, self._keep, self._state = path, max_bytes, keep, state
        self._file = -1
        self._inode = 0
        self._is_torn = False
        self._not_before = 0.0
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Append one line, or count it as lost."""
        if self._lost and time.monotonic() < self._not_before:
            self._lost += 1
            return
        try:
            self._append(self.format(record).encode("utf-8", "backslashreplace") + b"\n")
        except OSError as reason:
            self._give_up(reason)
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            log.warning("%s is written again; %d lines are missing from it", self._path, lost)

    def close(self) -> None:
        """Let go of the file."""
        self.acquire()
        self._let_go()
        self.release()
        super().close()

    def _append(self, line: bytes) -> None:
        try:
            now = os.stat(self._path)
        except FileNotFoundError:
            now = None
        if now is not None and self._file >= 0 and now.st_ino == self._inode and now.st_size >= self._max_bytes:
            self._rotate()
            now = None
        if self._file < 0 or now is None or now.st_ino != self._inode:  # another process has rotated it
            self._open()
        told = b"\n" + line if self._is_torn else line
        self._is_torn = os.write(self._file, told) < len(told)
        if self._is_torn:  # what comes next begins a line of its own
            raise OSError(errno.ENOSPC, "the disk took only a part of a line")

    def _open(self) -> None:
        self._let_go()
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder != self._state and folder.is_relative_to(self._state):
            folder.chmod(0o700)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(self._path, flags, 0o600)
        made = os.fstat(self._file)
        self._inode = made.st_ino
        if stat.S_ISREG(made.st_mode):
            os.fchmod(self._file, 0o600)

    def _rotate(self) -> None:
        """edge.log → edge.log.1 → … If another process is at it, that one does it for us."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(self._path).st_ino == self._inode:
                self._shift()
        except (BlockingIOError, FileNotFoundError):
            return  # that other process: the next line finds what it made
        finally:
            os.close(folder)

    def _shift(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
        os.replace(self._path, f"{self._path}.1")
        too_old = self._keep + 1  # there since `keep` was a larger number
        while (old := Path(f"{self._path}.{too_old}")).exists():
            old.unlink()
            too_old += 1

    def _give_up(self, reason: OSError) -> None:
        """For a minute. The first time it is told, by whichever handler still can."""
        is_news = not self._lost
        self._let_go()
        self._lost += 1
        self._not_before = time.monotonic() + RETRY_S
        if is_news:
            log.warning("%s can't be written: %s; tried again every minute", self._path, reason.strerror)

    def _let_go(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _level(told: Log) -> tuple[int, bool]:
    """The level that holds, and whether $EDGE_LOG is one or unset."""
    levels = logging.getLevelNamesMapping()
    wanted = os.environ.get("EDGE_LOG", "")
    return levels.get(wanted.upper(), levels[told.level.upper()]), not wanted or wanted.upper() in levels


def _process_died(kind: type[BaseException], reason: BaseException, where: TracebackType | None) -> None:
    """Python's own report of a fatal error would show what the lines hide."""
    if issubclass(kind, Exception):
        log.critical("ended by an error nobody expected", exc_info=(kind, reason, where))
    else:
        sys.__excepthook__(kind, reason, where)


def _thread_died(told: Any) -> None:
    if told.exc_type is not SystemExit:
        name = told.thread.name if told.thread is not None else "unknown"
        log.critical("thread %s ended by an error nobody expected", name,
                     exc_info=(told.exc_type, told.exc_value, told.exc_traceback))  # fmt: skip
