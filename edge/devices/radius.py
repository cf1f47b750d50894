"""FreeRADIUS as a child of the box: its configuration written, its life watched, its health asked on the wire."""

import hashlib
import hmac
import ipaddress
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path

from edge.errors import EdgeError, Unreachable

log = logging.getLogger("edge.radius")

FILES = ("radiusd.conf", "queries.conf", "access_reject")
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The box asks its own daemon from here: 127.0.0.1 may be a pretend router with a secret of its own.
BOX_ADDRESS = "127.77.0.1"
LINES_KEPT = 200

START_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0
CHECK_WITHIN_S = 30.0
ANSWER_WITHIN_S = 1.0
ASK_TIMES = 3
SILENT_PROBES = 3  # alive, but that often without an answer: it hangs
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
LIVED_WELL_S = 60.0
STUCK_AFTER_S = 60.0

# What the log says of logins and routers (FreeRADIUS 3.2, `log { auth = yes }`), from the start of a line on: a
# guest may call himself "Login OK".
STAMP = r"\w{3} \w{3} [ \d]\d [\d:]{8} \d{4} : "
SIGNS = (
    ("accepted", re.compile(STAMP + r"Auth: \(\d+\) +Login OK")),
    ("rejected", re.compile(STAMP + r"Auth: \(\d+\) +(Login incorrect|Invalid user|Multiple logins)")),
    ("unknown", re.compile(STAMP + r"Error: Ignoring request .* from unknown client (?P<address>[0-9a-fA-F.:]+)")),
    ("locked", re.compile(STAMP + r"E[Rr]{2}[Oo][Rr]: .*database is locked")),
)
TROUBLE = re.compile(rf"({STAMP})?(Error|ERROR): ")
READY = "Ready to process requests"

ACCESS_ACCEPT, STATUS_SERVER = 2, 12  # RFC 5997
MESSAGE_AUTHENTICATOR = 80  # RFC 2869, 5.14


def installed() -> bool:
    """Is FreeRADIUS here? Debian keeps it in /usr/sbin, which is not on everybody's PATH."""
    return _find("freeradius") is not None


class FreeRadius:
    """The daemon, kept alive by one thread from `start` to `stop`; `probe` says how it is.

    Runs as whoever runs the box: root is never needed (1812 and 1813 are high ports) and never asked for; run by
    root, the daemon stays root. The thread that starts it also reads its log and so outlives it, because the
    kernel's parent-death signal follows the *thread* that forked (prctl(2), PR_SET_PDEATHSIG).
    """

    def __init__(
        self, folder: Path, database: Path, templates: Path, *, host: str, auth_port: int, acct_port: int
    ) -> None:
        self._folder = folder.absolute()
        self._database = database.absolute()
        self._templates = templates
        self._host = host
        self._ports = {"auth": auth_port, "acct": acct_port}
        self._secret = secrets.token_hex(16)
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._counts: Counter[str] = Counter()
        self._last_unknown = ""
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._hurry = threading.Event()  # an end that was asked for needs no pause
        self._ready = threading.Event()
        self._tried = threading.Event()  # the first attempt came to an end, good or bad
        self._fault = "RADIUS has not been started"
        self._file: tuple[int, int] | None = None
        self._silent = 0
        self._began_at = 0.0

    def start(self) -> None:
        """Begin, and wait until it is ready or the first attempt failed (10 s at most).

        Raises nothing: a box whose RADIUS can't start still sells by its other routers. `probe` tells the reason,
        and the attempts go on.
        """
        if self._thread is not None:
            return
        self._stopping.clear()
        self._tried.clear()
        self._thread = threading.Thread(target=self._keep_alive, name="freeradius", daemon=True)
        self._thread.start()
        self._tried.wait(START_WITHIN_S)

    def stop(self) -> None:
        """End the daemon: politely, after five seconds by force. What it spooled stays for the next start."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        self._hurry.set()
        patience = time.monotonic() + STOP_WITHIN_S
        while thread.is_alive():
            # Again and again: it may be just starting, and not have heard the first time.
            self._send(signal.SIGTERM if time.monotonic() < patience else signal.SIGKILL)
            thread.join(0.2)
        self._fault = "RADIUS was stopped"

    def probe(self) -> None:
        """Ask for life and a readable database (Status-Server); raises Unreachable with the reason in words.

        A database file that was replaced means a restart, because FreeRADIUS would go on reading the old one;
        so does silence at three probes in a row.
        """
        if self._ready.is_set() and _identify(self._database) != self._file:
            log.warning("the database file was replaced: RADIUS starts again with the new one")
            self._restart()
            self._ready.wait(START_WITHIN_S)
        if not self._ready.is_set():
            raise Unreachable(self._fault)
        code = self._ask()
        if code is not None:
            self._silent = 0
            if code != ACCESS_ACCEPT:
                raise Unreachable("RADIUS answers, but cannot read the database: " + _pick_error(self._lines))
            self._require_flow()
            return
        self._silent += 1
        if self._silent >= SILENT_PROBES:
            log.warning("RADIUS runs but is silent: it is started again")
            self._restart(signal.SIGKILL)
        raise Unreachable("RADIUS runs, but does not answer")

    def _require_flow(self) -> None:
        """What the spool's reader has in hand is acct-spool.work; it notes its progress there."""
        try:
            moved_at = (self._folder / "run" / "acct-spool.work").stat().st_mtime
        except OSError:
            return
        still_s = time.time() - max(moved_at, self._began_at)
        if still_s > STUCK_AFTER_S:
            raise Unreachable(
                f"RADIUS answers, but its accounting has stood still for {still_s:.0f} s: {_pick_error(self._lines)}"
            )

    @property
    def pid(self) -> int | None:
        """The daemon's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def counts(self) -> dict[str, int]:
        """Lines of the log since `start`: accepted, rejected, unknown (strangers; one line a second), locked."""
        return {name: self._counts[name] for name, _ in SIGNS}

    @property
    def last_unknown(self) -> str:
        """The last address that asked without being a router of ours; empty when there was none."""
        return self._last_unknown

    def log_lines(self) -> list[str]:
        """The daemon's last words, oldest first, 200 at most. They name codes, never PINs."""
        return list(self._lines)

    def _keep_alive(self) -> None:
        """Start it, read it to its end, and start it again, with a pause that grows while it keeps failing."""
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = time.monotonic()
            self._hurry.clear()
            try:
                self._prepare()
                self._run()
            except (EdgeError, OSError, subprocess.SubprocessError) as reason:
                if self._fault != str(reason):  # told once, not at every attempt
                    log.error("RADIUS does not run: %s", reason)
                self._fault = str(reason)
            self._tried.set()
            if self._hurry.is_set() or time.monotonic() - began > LIVED_WELL_S:
                pause_s = FIRST_PAUSE_S
            if not self._stopping.is_set() and not self._hurry.is_set():
                self._hurry.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _prepare(self) -> None:
        """The configuration on disk, found good by FreeRADIUS itself, and the ports free."""
        write_configuration(self._folder, self._templates, self._values())
        if not self._database.exists():
            raise Unreachable(f"RADIUS needs the database, and there is none at {self._database}: run `edge init`")
        for kind, port in self._ports.items():
            _require_free(self._host, port, kind)
        checked = subprocess.run(
            self._command("-C"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env={"PATH": SEARCH_PATH}, cwd=self._folder, timeout=CHECK_WITHIN_S, check=False,
        )  # fmt: skip
        if checked.returncode:
            raise Unreachable(f"FreeRADIUS refuses its configuration: {_pick_error(checked.stdout.splitlines())}")

    def _run(self) -> None:
        """One life of the daemon, from the fork to its last line. Only this thread waits for it."""
        self._file = _identify(self._database)
        # setpriv instead of a preexec_fn, which may deadlock in a process with threads. SIGKILL loses nothing:
        # the spool is read again from where it was.
        command = [_require("setpriv"), "--pdeathsig", "KILL", "--", *self._command("-f")]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", bufsize=1, env={"PATH": SEARCH_PATH}, cwd=self._folder,
            process_group=0,  # a Ctrl-C in the terminal is for the box, which then ends its child in order
        )  # fmt: skip
        self._process = process
        self._silent = 0
        self._began_at = time.time()
        self._fault = "RADIUS is starting"
        try:
            assert process.stdout is not None
            with process.stdout as lines:
                for line in lines:
                    self._read(line.strip())
        finally:
            self._ready.clear()
            process.wait()
        self._fault = "RADIUS is being started again"
        if not self._hurry.is_set() and not self._stopping.is_set():
            ended = process.returncode
            self._fault = f"RADIUS ended by itself: {f'signal {-ended}' if ended < 0 else _pick_error(self._lines)}"
            log.error("%s", self._fault)

    def _read(self, line: str) -> None:
        """One line of the daemon's log: kept, and counted where it says something."""
        self._lines.append(line)
        if READY in line:
            self._ready.set()
            self._tried.set()
        for name, sign in SIGNS:
            found = sign.match(line)
            if found:
                self._counts[name] += 1
                if name == "unknown":
                    self._last_unknown = found["address"]

    def _restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        self._ready.clear()
        self._hurry.set()
        self._send(how)

    def _send(self, how: signal.Signals) -> None:
        process = self._process
        if process is not None:
            process.send_signal(how)  # to a process that was waited for it does nothing

    def _ask(self) -> int | None:
        """A Status-Server to our own daemon: the code of its answer, None for silence."""
        target = "127.0.0.1" if self._host == "0.0.0.0" else self._host
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(ANSWER_WITHIN_S)
            try:
                asker.bind((BOX_ADDRESS, 0))
                asker.connect((target, self._ports["auth"]))
                for _ in range(ASK_TIMES):
                    packet = status_request(self._secret.encode())
                    asker.send(packet)
                    code = _receive(asker, packet, self._secret.encode())
                    if code is not None:
                        return code
            except OSError:
                return None
        return None

    def _command(self, mode: str) -> list[str]:
        return [_require("freeradius"), mode, "-l", "stdout", "-d", str(self._folder)]

    def _values(self) -> dict[str, str]:
        return {
            "FOLDER": _plain(self._folder),
            "DATABASE": _plain(self._database),
            "HOST": _address(self._host),
            "AUTH_PORT": str(_port(self._ports["auth"])),
            "ACCT_PORT": str(_port(self._ports["acct"])),
            "BOX_ADDRESS": BOX_ADDRESS,
            "BOX_SECRET": self._secret,
        }


def write_configuration(folder: Path, templates: Path, values: dict[str, str]) -> None:
    """Fill the templates' @NAMES@ and write them for this user alone; what was spooled in run/ stays."""
    for place in (folder, folder / "run"):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.chmod(0o700)
    for name in FILES:
        text = (templates / name).read_text(encoding="utf-8")
        fresh = folder / f"{name}.new"
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(_fill(name, text, values))
        fresh.replace(folder / name)


def status_request(secret: bytes) -> bytes:
    """A Status-Server packet with its Message-Authenticator (RFC 5997, 3; RFC 2869, 5.14)."""
    head = bytes([STATUS_SERVER, secrets.randbelow(256)]) + (38).to_bytes(2, "big") + secrets.token_bytes(16)
    attribute = bytes([MESSAGE_AUTHENTICATOR, 18])
    return head + attribute + hmac.digest(secret, head + attribute + bytes(16), "md5")


def _receive(asker: socket.socket, request: bytes, secret: bytes) -> int | None:
    """The code of the reply to this very request (RFC 2865, 3: Response Authenticator); None when none came."""
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while (left_s := deadline - time.monotonic()) > 0:
        asker.settimeout(left_s)
        try:
            reply = asker.recv(4096)
        except TimeoutError:
            return None
        if len(reply) < 20 or reply[1] != request[1] or int.from_bytes(reply[2:4], "big") != len(reply):
            continue
        proof = hashlib.md5(reply[:4] + request[4:20] + reply[20:] + secret, usedforsecurity=False).digest()
        if hmac.compare_digest(proof, reply[4:20]):
            return reply[0]
    return None


def _fill(name: str, text: str, values: dict[str, str]) -> str:
    def look_up(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise EdgeError(f"data/radius/{name}: @{match[1]}@ is no value; known are {', '.join(sorted(values))}")
        return values[match[1]]

    return re.sub(r"@([A-Z_]+)@", look_up, text)


def _plain(path: Path) -> str:
    """A path as it may stand between double quotes, where FreeRADIUS expands $ and %."""
    text = str(path)
    if not text.isprintable() or any(sign in text for sign in "\"'\\$%`{}"):
        raise EdgeError(f"{text!r}: FreeRADIUS can't use a folder with quotes, \\, $, %, ` or braces in its name")
    return text


def _address(host: str) -> str:
    """An IPv4 address to listen on, as FreeRADIUS writes it."""
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        raise EdgeError(f"[radius] host: {host!r} is not an address like 0.0.0.0 or 192.168.88.2") from None
    return "*" if address.is_unspecified else str(address)


def _port(number: int) -> int:
    if not 0 < number < 65536:
        raise EdgeError(f"[radius] auth_port, acct_port: {number} is not a port; 1812 and 1813 are usual")
    return number


def _require_free(host: str, port: int, kind: str) -> None:
    """Say whose the port probably is, before FreeRADIUS says it in its own words."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((host, port))
        except OSError as reason:
            raise Unreachable(
                f"RADIUS can't have {host}, UDP port {port} ({kind}): {reason.strerror}. "
                "If Debian's own service holds it: sudo systemctl disable --now freeradius"
            ) from None


def _identify(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _find(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + os.pathsep + SEARCH_PATH)


def _require(program: str) -> str:
    found = _find(program)
    if found is None:
        package = "freeradius" if program == "freeradius" else "util-linux"
        raise Unreachable(f"{program} is not installed: sudo apt-get install {package}")
    return found


def _pick_error(log_lines: Iterable[str]) -> str:
    """The newest lines that tell what went wrong, without their dates; else the last one."""
    lines = list(log_lines)
    told = [TROUBLE.sub("", line, count=1) for line in lines if TROUBLE.match(line)][-3:]
    return "; ".join(told or lines[-1:] or ["it left no word"])[:500]
