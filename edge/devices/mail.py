"""E-mail by SMTP: one letter to one address, and a word for each way in which a relay can fail."""

import re
import smtplib
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from edge.errors import Away, BadInput, DeviceError, Refused, Unconfirmed, Unreachable
from edge.values.email_address import read_address

MOST_LETTERS, IDLE_S = 100, 60.0  # of one connection; a relay may cut it at any time
# The last answer may take longer, times so many: a relay may look for viruses first (RFC 5321, 4.5.3.2).
PATIENCE, LONGEST_PATIENCE_S = 3, 60.0
GOODBYE_S = 2.0
WORDS_KEPT = 200
# RFC 4954: what speaks of the account, not of this letter. 530 and 534: sign in first, or in another way.
ACCOUNT = (530, 534, 535, 538)
# RFC 3207, 5321: 421 is the relay's own end, whatever was asked.
CLOSING = 421


@dataclass(frozen=True)
class Letter:
    """One letter to one address. `message_id` with its angle brackets, the same at each try."""

    address: str
    subject: str
    body: str
    message_id: str
    at: datetime


@dataclass(frozen=True)
class Account:
    """Who posts for us. `tls`: starttls, tls (from the first byte) or none."""

    host: str
    port: int = 587
    tls: str = "starttls"
    username: str = ""
    password: str = ""
    sender: str = ""  # the address that letters come from
    name: str = ""  # the shop's, shown before the address


class _Line:
    """One open connection, and how much it was used."""

    def __init__(self, smtp: smtplib.SMTP) -> None:
        self.smtp = smtp
        self.letters = 0
        self.used_at = time.monotonic()

    def is_fresh(self) -> bool:
        return self.letters < MOST_LETTERS and time.monotonic() - self.used_at < IDLE_S


class Mail:
    """One mail account. Safe to use from several threads: each letter has a connection to itself, and they are kept."""

    def __init__(self, account: Account, *, timeout_s: float = 20.0, context: ssl.SSLContext | None = None) -> None:
        self.account = account
        self._timeout_s = timeout_s
        self._context = context or ssl.create_default_context()
        self._idle: list[_Line] = []
        self._lock = threading.Lock()

    def send(self, letter: Letter) -> str:
        """Hand over one letter; returns the relay's words when it took it.

        Away: the relay can't be reached or does not serve this account. Unreachable: not this time. Refused: it will
        not take this letter. Unconfirmed: the whole letter was handed over, and the answer was lost.
        """
        content = self._content(letter)  # first: what can't be written needs no connection
        with self._line() as line:
            line.letters += 1
            envelope = (self.account.sender, letter.address)
            return _converse(line.smtp, envelope, content, self._timeout_s)

    def check(self) -> str:
        """Does the relay open its door to this account? Sends nothing."""
        with self._line() as line:
            code, words = _ask(line.smtp, "NOOP")
        return _said(code, words)

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            lines, self._idle = self._idle, []
        for line in lines:
            _hang_up(line)

    def _content(self, letter: Letter) -> bytes:
        """The letter on the wire: CR LF, and each dot that begins a line doubled (RFC 5321, 4.5.2)."""
        try:
            sender = Address(_one_line(self.account.name), addr_spec=self.account.sender.encode("ascii").decode())
        except (IndexError, ValueError, MessageError) as reason:  # its parser's ways to say no
            raise Away("[email] sender is to be an address, like wifi@example.com") from reason
        try:
            message = EmailMessage(policy=SMTP)
            message["From"] = sender
            message["To"] = read_address(letter.address)
            message["Subject"] = _one_line(letter.subject)
            message["Date"] = format_datetime(letter.at)
            message["Message-ID"] = _one_line(letter.message_id)
            message["Auto-Submitted"] = "auto-generated"
            message.set_content(letter.body, cte="quoted-printable")
            return re.sub(rb"(?m)^\.", b"..", message.as_bytes())
        except (BadInput, ValueError, MessageError) as reason:
            raise Refused(f"the letter can't be written: {reason}") from reason

    @contextmanager
    def _line(self) -> Iterator[_Line]:
        """A connection that answers; given back when nothing went wrong on it, else hung up."""
        line = self._kept() or _Line(self._open())
        try:
            yield line
        except (Refused, Unreachable) as reason:
            still_open = line.smtp.sock is not None and not isinstance(reason, Away)
            self._give_back(line) if still_open else _hang_up(line)
            raise
        except BaseException:
            _hang_up(line)
            raise
        self._give_back(line)

    def _kept(self) -> _Line | None:
        while True:
            with self._lock:
                line = self._idle.pop() if self._idle else None
            if line is None:
                return None
            if line.is_fresh():
                with suppress(DeviceError):
                    if _ask(line.smtp, "RSET")[0] == 250:
                        return line
            _hang_up(line)

    def _give_back(self, line: _Line) -> None:
        line.used_at = time.monotonic()
        with self._lock:
            self._idle.append(line)

    def _open(self) -> smtplib.SMTP:
        """Greet, turn to TLS, sign in. Nothing of the letter is known there yet."""
        told = self.account
        try:
            smtp = self._connect()
            try:
                smtp.ehlo_or_helo_if_needed()
                if told.tls == "starttls":
                    smtp.starttls(context=self._context)
                    smtp.ehlo_or_helo_if_needed()
                if told.username:
                    smtp.login(told.username, told.password)
            except BaseException:
                smtp.close()
                raise
        except smtplib.SMTPAuthenticationError as reason:
            raise Away(_not_served(told.host, reason.smtp_code, reason.smtp_error)) from reason
        except smtplib.SMTPNotSupportedError as reason:
            raise Away(f"{told.host} does not offer what [email] asks for: {reason}") from reason
        except smtplib.SMTPResponseException as reason:
            raise Away(f"{told.host} says {_said(reason.smtp_code, reason.smtp_error)}") from reason
        except ssl.SSLCertVerificationError as reason:
            raise Away(f"{told.host}'s certificate is not valid for it: {reason.verify_message}") from reason
        except (OSError, smtplib.SMTPException, UnicodeError, ValueError) as reason:
            raise Away(f"{told.host}:{told.port} can't be reached: {_words_of(reason)}") from reason
        return smtp

    def _connect(self) -> smtplib.SMTP:
        told = self.account
        if told.tls == "tls":
            return smtplib.SMTP_SSL(told.host, told.port, timeout=self._timeout_s, context=self._context)
        return smtplib.SMTP(told.host, told.port, timeout=self._timeout_s)


def _converse(smtp: smtplib.SMTP, envelope: tuple[str, str], content: bytes, timeout_s: float) -> str:
    """MAIL, RCPT, DATA. Until the last dot has gone, nothing was taken (RFC 5321, 4.2.5)."""
    for command in (f"MAIL FROM:<{envelope[0]}>", f"RCPT TO:<{envelope[1]}>", "DATA"):
        code, words = _ask(smtp, command)
        if code // 100 != (3 if command == "DATA" else 2):
            raise _refusal(code, words)
    try:
        smtp.send(content.removesuffix(b"\r\n") + b"\r\n.\r\n")
    except (OSError, smtplib.SMTPException) as reason:
        smtp.close()
        raise Unreachable(f"the relay hung up in the middle of the letter: {_words_of(reason)}") from reason
    try:
        _wait_for(smtp, max(timeout_s, min(PATIENCE * timeout_s, LONGEST_PATIENCE_S)))
        code, words = smtp.getreply()
        _wait_for(smtp, timeout_s)
    except (OSError, smtplib.SMTPException) as reason:
        smtp.close()
        raise Unconfirmed(f"the relay has the whole letter and did not answer: {_words_of(reason)}") from reason
    if code // 100 != 2:
        raise _refusal(code, words)
    return _said(code, words)


def _ask(smtp: smtplib.SMTP, command: str) -> tuple[int, bytes]:
    try:
        code, words = smtp.docmd(command)
    except (OSError, smtplib.SMTPException) as reason:
        smtp.close()
        raise Unreachable(f"the relay hung up: {_words_of(reason)}") from reason
    if code == CLOSING:
        smtp.close()
    return code, words


def _wait_for(smtp: smtplib.SMTP, seconds: float) -> None:
    if smtp.sock is not None:
        smtp.sock.settimeout(seconds)


def _refusal(code: int, words: bytes) -> DeviceError:
    """The class of the reply decides: 5xx is for good, 4xx for now; of the account each letter would hear the same."""
    if code in ACCOUNT:
        return Away(_not_served("the relay", code, words))
    return Refused(_said(code, words)) if code // 100 == 5 else Unreachable(_said(code, words))


def _not_served(host: str, code: int, words: bytes | str) -> str:
    told = f"{host} does not serve this account: {_said(code, words)}"
    if "5.7.139" in told or "basic auth" in told.lower():
        told += " (Microsoft no longer takes passwords from programs: use another mail service)"
    elif "gmail" in host or "google" in told.lower():
        told += " (Google wants an app password, made at myaccount.google.com/apppasswords)"
    return told


def _said(code: int, words: bytes | str) -> str:
    """The relay's own words on one line; they are a stranger's."""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {_one_line(text)}"[:WORDS_KEPT].strip()


def _words_of(reason: BaseException) -> str:
    return _one_line(str(reason) or type(reason).__name__)[:WORDS_KEPT]


def _one_line(text: str) -> str:
    """A line break in a header would begin another header."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _hang_up(line: _Line) -> None:
    with suppress(OSError, smtplib.SMTPException):
        if line.smtp.sock is not None:
            _wait_for(line.smtp, GOODBYE_S)
            line.smtp.quit()
    line.smtp.close()
