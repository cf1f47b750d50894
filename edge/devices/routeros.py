"""One conversation with a RouterOS API: a kept connection, deadlines, and errors that carry no secrets."""

import collections
import contextlib
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from routeros_api import RouterOsApiPool
from routeros_api.api_structure import StringField
from routeros_api.exceptions import RouterOsApiCommunicationError, RouterOsApiError, RouterOsApiParsingError
from routeros_api.query import IsEqualQuery, OrQuery

from edge.errors import DeviceError, Refused, Unconfirmed, Unreachable

log = logging.getLogger("edge.router")

ANSWER_LIMIT = 64 * 1024 * 1024
CHUNK = 64 * 1024
Row = dict[str, str]

# What the library lets through when a router misbehaves (measured on 0.21.0): beside its own errors, those of
# sockets and TLS, KeyError for a trap without a message, ValueError for text that is no UTF-8 or no hex.
_FAILURES = (RouterOsApiError, OSError, KeyError, ValueError)
_DENIED = ("not enough permissions", "invalid user name or password", "cannot log in", "not permitted")
_LATER = ("timed out", "timeout", "interrupted", "try again")


class Trap(Exception):
    """The router said no to one command, in these words."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words

    def says(self, *phrases: str) -> bool:
        """Are these its words? Spelling and category differ between releases, so parts are looked for."""
        return any(phrase in self.words.lower() for phrase in phrases)

    def as_error(self) -> DeviceError:
        """What the trap means to whoever asked."""
        if self.says("not enough permissions"):
            return Refused(
                f"the router's API user may not do this; its group needs read, write and api: {self.words}"
            )
        if self.says(*_LATER):
            return Unreachable(f"the router did not do it now: {self.words}")
        return Refused(f"the router said no: {self.words}")


class Conversation:
    """A kept connection to one router; one verb at a time, whoever else wants it waits a moment.

    With `tls` the router's certificate must be trusted: by this system, or by the certificates in `ca_file`. A
    router whose api-ssl has no certificate offers only anonymous Diffie-Hellman. That is taken too, with a warning in
    the log: it hides the password from listeners, but not from somebody who sits in between.
    """

    def __init__(
        self, host: str, port: int, username: str, password: str, *, tls: bool, ca_file: str, timeout_s: float
    ) -> None:
        self._address = (host, port)
        self._username, self._password = username, password
        self._tls, self._ca_file = tls, ca_file
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._pool: RouterOsApiPool | None = None
        self._line: _Line | None = None
        self._resources: dict[str, Any] = {}
        self._structure: Any = collections.defaultdict(_Text)
        self.life = 0  # grows with every new connection: what was known of the router may be old

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Have the router to oneself for one verb; Unreachable when others keep it busy."""
        if not self._lock.acquire(timeout=self._timeout_s):
            raise Unreachable("the router is busy with other work of ours")
        try:
            yield
        finally:
            self._lock.release()

    def ask(
        self,
        path: str,
        command: str = "print",
        arguments: dict[str, str] | None = None,
        *,
        where: dict[str, str] | None = None,
        any_of: dict[str, str] | None = None,
        repeatable: bool = True,
        whole_table: bool = False,
    ) -> list[Row]:
        """One command and its rows, within the time-out; Trap when the router says no.

        A whole table may take three times as long, as long as rows keep coming: small routers print slowly.
        A command that is not repeatable and whose answer was lost is Unconfirmed. Connections are dropped
        after any error that is not a trap. One that had died while nobody used it is replaced unnoticed.
        """
        question = _Question(path, command, arguments or {}, where or {}, any_of or {}, 3 if whole_table else 1)
        kept = self._pool is not None
        try:
            return self._ask(question)
        except _Lost as lost:
            words, stale = str(lost), kept and repeatable and lost.unheard
        if stale:
            try:
                return self._ask(question)
            except _Lost as lost:
                words = str(lost)
        raise Unreachable(words) if repeatable else Unconfirmed(f"the router may have done it, but {words}")

    def close(self) -> None:
        """Hang up, after the verb under way or the time-out."""
        if self._lock.acquire(timeout=self._timeout_s):
            try:
                self._drop()
            finally:
                self._lock.release()
        elif (line := self._line) is not None:
            line.close()  # whoever waits at the other end of it wakes up and drops the rest

    def _ask(self, asked: "_Question") -> list[Row]:
        resource = self._resource(asked.path)
        either = [IsEqualQuery(key, value) for key, value in asked.any_of.items()]
        line = self._line
        assert line is not None
        line.begin(self._timeout_s, self._timeout_s * asked.patience)
        failure: Exception
        try:
            rows = resource.call(asked.command, asked.arguments, asked.where, [OrQuery(*either)] if either else ())
            return [{key: value for key, value in row.items() if value is not None} for row in rows]
        except RouterOsApiCommunicationError as error:
            failure = Trap(self._clean(error.original_message))
        except _FAILURES as error:
            failure = self._explain(error, line)
        raise failure  # here, where the library's error, with the command and its passwords, is out of sight

    def _resource(self, path: str) -> Any:
        if self._pool is None:
            self._connect()
        assert self._pool is not None
        if path not in self._resources:
            self._resources[path] = self._pool.get_api().get_resource(path, self._structure)
        return self._resources[path]

    def _connect(self) -> None:
        if not self._tls:
            self._log_in(None)
            return
        try:
            self._log_in(self._trusting())
        except _NoCertificate:
            log.warning("router %s has no certificate: encrypted, but not proven to be it", self._address[0])
            self._log_in(_anonymous())

    def _trusting(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca_file or None)
        except OSError:
            raise Refused(f"the certificates in {self._ca_file} can't be read") from None

    def _log_in(self, context: ssl.SSLContext | None) -> None:
        """A new connection; the old kind of login, with a challenge, is answered by the library as well."""
        opening = _Opening(context, self._timeout_s)
        host, port = self._address
        pool = RouterOsApiPool(
            host, self._username, self._password, port, plaintext_login=True, ssl_context=opening
        )
        pool.set_timeout(self._timeout_s)
        failure: Exception
        try:
            pool.get_api()
            self._pool, self._line = pool, opening.line
            self.life += 1
            return
        except RouterOsApiCommunicationError as error:
            failure = _refusal_of_login(Trap(self._clean(error.original_message)))
        except _FAILURES as error:
            failure = self._explain_opening(error, opening)
        opening.close()
        raise failure

    def _explain_opening(self, error: Exception, opening: "_Opening") -> Exception:
        if isinstance(error, ssl.SSLCertVerificationError):
            return Refused(
                "the router's certificate is not trusted: give the box the certificate it was signed with, or "
                "check the router's address and clock"
            )
        if isinstance(error, ssl.SSLError) and "handshake failure" in str(error).lower():
            return _NoCertificate()
        if isinstance(error, ssl.SSLError):
            return Unreachable(f"no TLS on this port ({error.reason or 'handshake failed'}); api-ssl is usually 8729")
        if opening.line is not None:
            return Unreachable(f"the router did not log us in: {self._words(error, opening.line)}")
        return Unreachable(f"no answer at {self._address[0]}:{self._address[1]} ({_reason(error)})")

    def _explain(self, error: Exception, line: "_Line") -> "Exception":
        """Anything but a trap: this connection and all that hangs on it can't be used again."""
        words = self._words(error, line)
        self._drop()
        if isinstance(error, KeyError) and error.args == (b"message",):
            return Trap("(without a word)")
        return _Lost(words, unheard=not line.heard and not line.expired)

    def _words(self, error: Exception, line: "_Line") -> str:
        if line.expired:
            return f"it was silent for {self._timeout_s:g} s"
        reason = error.args[-1] if error.args else None
        if isinstance(error, RouterOsApiParsingError) and isinstance(reason, bytes):
            return f"it ended the conversation: {self._clean(reason)}"  # !fatal comes with a bare word
        if isinstance(error, RouterOsApiError | OSError):
            return "it hung up in the middle of an answer" if line.heard else "it hung up"
        return f"its answer could not be read ({type(error).__name__})"

    def _drop(self) -> None:
        """The pool and everything made from it: an old resource would close the next connection."""
        if self._line is not None:
            self._line.close()
        self._pool, self._line, self._resources = None, None, {}

    def _clean(self, said: bytes) -> str:
        """Its words, short and printable, without our password should it repeat that."""
        words = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", said[:2000].decode("utf-8", "replace"))
        if len(self._password) >= 3:
            words = words.replace(self._password, "***")
        return words.strip()[:200]


@dataclass(frozen=True)
class _Question:
    """One command, and how many times the time-out its whole answer may take."""

    path: str
    command: str
    arguments: dict[str, str] = field(repr=False)
    where: dict[str, str]
    any_of: dict[str, str]
    patience: int


class _Lost(Exception):
    """The answer did not come; `unheard` when not a byte of it did, and the router had not fallen silent."""

    def __init__(self, words: str, *, unheard: bool) -> None:
        super().__init__(words)
        self.unheard = unheard


class _NoCertificate(Exception):
    """TLS found nothing in common: the router has no certificate."""


class _Line:
    """A socket with one deadline for a whole exchange: a router that drips a byte now and then is silent too.

    What the library sends word by word leaves as one segment when it turns to listening.
    """

    def __init__(self, raw: socket.socket, timeout_s: float) -> None:
        self._raw = raw
        self._unsent = bytearray()
        self._unread, self._at = b"", 0
        self.begin(timeout_s, timeout_s)

    def begin(self, silence_s: float, whole_s: float) -> None:
        """A new exchange starts now: no silence longer than this, and all of it within that."""
        self._silence_s = silence_s
        self._until = time.monotonic() + whole_s
        self._allowed = ANSWER_LIMIT
        self.heard = self.expired = False
        self._unsent.clear()

    def sendall(self, data: bytes) -> None:
        self._unsent += data

    def recv(self, size: int) -> bytes:
        try:
            if self._unsent:
                self._raw.settimeout(self._left_s())
                self._raw.sendall(self._unsent)
                self._unsent.clear()
            if self._at >= len(self._unread):
                self._unread, self._at = self._receive(), 0
        except TimeoutError:
            self.expired = True
            raise
        taken = self._unread[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def _receive(self) -> bytes:
        self._raw.settimeout(self._left_s())
        data = self._raw.recv(CHUNK)
        self.heard = self.heard or bool(data)
        self._allowed -= len(data)
        if self._allowed < 0:
            raise ConnectionAbortedError("an answer without end")
        return data

    def _left_s(self) -> float:
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        return min(left_s, self._silence_s)

    def settimeout(self, timeout_s: float) -> None:
        """The deadline is set by `begin`."""

    def close(self) -> None:
        self._raw.close()


class _Opening:
    """Stands where the library wants a TLS context: its one seam between connecting and logging in."""

    def __init__(self, context: ssl.SSLContext | None, timeout_s: float) -> None:
        self._context, self._timeout_s = context, timeout_s
        self.line: _Line | None = None

    def wrap_socket(self, raw: socket.socket, server_hostname: str) -> _Line:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            try:
                raw = self._context.wrap_socket(raw, server_hostname=server_hostname)
            except OSError:
                raw.close()
                raise
        self.line = _Line(raw, self._timeout_s)
        return self.line

    def close(self) -> None:
        if self.line is not None:
            self.line.close()


class _Word(bytes):
    """Empty values are true as well: the library would send `=comment`, where RouterOS documents `=comment=`."""

    def __bool__(self) -> bool:
        return True


class _Text(StringField):  # type: ignore[misc]
    def get_mikrotik_value(self, string: str) -> bytes:
        return _Word(string.encode("utf-8"))


def _anonymous() -> ssl.SSLContext:
    """Anonymous Diffie-Hellman, which OpenSSL 3 gives only to who asks for it by name and up to TLS 1.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ADH:@SECLEVEL=0")
    return context


def _refusal_of_login(trap: Trap) -> DeviceError:
    if trap.says(*_DENIED):
        return Refused(f"the router does not know this API user and password: {trap.words}")
    return trap.as_error()


def _reason(error: Exception) -> str:
    """The plain reason why no connection came about; the library wraps it as an argument."""
    inner = error.args[0] if error.args and isinstance(error.args[0], OSError) else error
    if isinstance(inner, TimeoutError):
        return "timed out"
    return getattr(inner, "strerror", None) or type(inner).__name__
