"""FreeRADIUS as a child of the box: its configuration written, its life watched, its health asked on the wire."""

import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter, deque
from pathlib import Path

from edge.devices.radius_files import address, plain, port, write_configuration
from edge.devices.radius_log import READY, SIGNS, SeenLogin, pick_error, read_login
from edge.devices.radius_wire import ACCESS_ACCEPT, receive, status_request
from edge.errors import EdgeError, Unreachable

log = logging.getLogger("edge.radius")

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The box asks its own daemon from here: 127.0.0.1 may be a pretend router with a secret of its own.
BOX_ADDRESS = "127.77.0.1"
LINES_KEPT = 200
LOGINS_KEPT = 5000  # between two takings

START_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0
CHECK_WITHIN_S = 30.0
ANSWER_WITHIN_S = 1.0
ASK_TIMES = 3
SILENT_PROBES = 3  # alive, but that often without an answer: it hangs
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
LIVED_WELL_S = 60.0
STUCK_AFTER_S = 60.0
STRANGER_KEPT_S = 3600.0


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
        self._logins: deque[SeenLogin] = deque(maxlen=LOGINS_KEPT)
        self._last_unknown = ("", 0.0)  # an address, and when it was heard
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
                raise Unreachable("RADIUS answers, but cannot read the database: " + pick_error(self._lines))
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
                f"RADIUS answers, but its accounting has stood still for {still_s:.0f} s: {pick_error(self._lines)}"
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
        """The last address that asked without being a router of ours; empty when there was none for an hour."""
        asker, heard_at = self._last_unknown
        return asker if time.monotonic() - heard_at < STRANGER_KEPT_S else ""

    def log_lines(self) -> list[str]:
        """The daemon's last words, oldest first, 200 at most. They name codes, never PINs."""
        return list(self._lines)

    def take_logins(self) -> list[SeenLogin]:
        """The logins since this was last asked, oldest first, 5,000 at most."""
        taken = []
        while self._logins:
            taken.append(self._logins.popleft())
        return taken

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
        for kind, number in self._ports.items():
            _require_free(self._host, number, kind)
        checked = subprocess.run(
            self._command("-C"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env={"PATH": SEARCH_PATH}, cwd=self._folder, timeout=CHECK_WITHIN_S, check=False,
        )  # fmt: skip
        if checked.returncode:
            raise Unreachable(f"FreeRADIUS refuses its configuration: {pick_error(checked.stdout.splitlines())}")

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
            self._fault = f"RADIUS ended by itself: {f'signal {-ended}' if ended < 0 else pick_error(self._lines)}"
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
                    self._last_unknown = (found["address"], time.monotonic())
        login = read_login(line, time.time())
        if login is not None:
            self._logins.append(login)

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
                    code = receive(asker, packet, self._secret.encode(), ANSWER_WITHIN_S)
                    if code is not None:
                        return code
            except OSError:
                return None
        return None

    def _command(self, mode: str) -> list[str]:
        return [_require("freeradius"), mode, "-l", "stdout", "-d", str(self._folder)]

    def _values(self) -> dict[str, str]:
        return {
            "FOLDER": plain(self._folder),
            "DATABASE": plain(self._database),
            "HOST": address(self._host),
            "AUTH_PORT": str(port(self._ports["auth"])),
            "ACCT_PORT": str(port(self._ports["acct"])),
            "BOX_ADDRESS": BOX_ADDRESS,
            "BOX_SECRET": self._secret,
        }


def _require_free(host: str, number: int, kind: str) -> None:
    """Say whose the port probably is, before FreeRADIUS says it in its own words."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((host, number))
        except OSError as reason:
            raise Unreachable(
                f"RADIUS can't have {host}, UDP port {number} ({kind}): {reason.strerror}. "
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
