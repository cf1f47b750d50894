"""One exchange with a provider on the internet: bounded in time and size, and honest about what may have arrived."""

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from urllib3.exceptions import NewConnectionError

from edge.errors import Unconfirmed, Unreachable

ANSWER_LIMIT = 256 * 1024

Authorise = Callable[[requests.PreparedRequest], requests.PreparedRequest]


@dataclass(frozen=True)
class Reply:
    """What came back; a body that is too long is empty."""

    status: int
    body: bytes


def as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No more authorisation than the headers say."""
    return request


def exchange(
    who: str, method: str, url: str, timeout_s: float, *, headers: Mapping[str, str] | None = None,
    auth: Authorise = as_it_is, body: dict[str, Any] | None = None, params: Mapping[str, str] | None = None,
) -> Reply:  # fmt: skip
    """Ask once. Unreachable when it can't have arrived, Unconfirmed when it may have; `who` is named in the words.

    Errors carry no cause: causes hold headers, and those hold keys.
    """
    deadline = time.monotonic() + timeout_s
    try:
        with _session() as session, session.request(
            method, url, headers=dict(headers or {}), json=body, params=params, auth=auth, timeout=timeout_s,
            allow_redirects=False, stream=True,
        ) as response:  # fmt: skip
            return Reply(response.status_code, _drain(response, deadline))
    except (requests.RequestException, ValueError) as error:
        failure = _explain(who, error)
    raise failure


def _session() -> requests.Session:
    """A connection for one exchange: a kept one dies behind mobile NAT, and what is lost on it looks like taken."""
    session = requests.Session()
    session.trust_env = False  # no proxy from the environment, and no .netrc in place of our Authorization
    session.headers.update({"Accept": "application/json", "Connection": "close"})
    return session


def _drain(response: requests.Response, deadline: float) -> bytes:
    """The body, as far as time and reason allow; `timeout` alone would let a server drip for ever."""
    body = b""
    for chunk in response.iter_content(4096):
        body += chunk
        if time.monotonic() > deadline:
            raise requests.ReadTimeout("slow body")
        if len(body) > ANSWER_LIMIT:
            return b""
    return body


def _explain(who: str, error: Exception) -> Unreachable | Unconfirmed:
    causes = _causes(error)
    if any(isinstance(cause, (NewConnectionError, requests.ConnectTimeout)) for cause in causes):
        return Unreachable(f"{who} could not be reached: no connection, or its name was not found")
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Unreachable(f"{who}'s certificate is not trusted: check the box's clock and the internet line")
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return Unreachable(f"{who}'s address cannot be used; check base_url")
    if isinstance(error, (requests.exceptions.InvalidHeader, UnicodeError)):
        return Unreachable(f"{who}'s key holds letters that no key has")
    return Unconfirmed(f"{who}'s answer was lost ({type(error).__name__})")


def _causes(error: BaseException) -> list[BaseException]:
    """Every error wrapped in this one; requests and urllib3 wrap by argument and by `reason`."""
    found: list[BaseException] = []
    ahead = [error]
    while ahead and len(found) < 20:
        current = ahead.pop()
        found.append(current)
        inner = [*current.args, getattr(current, "reason", None), current.__cause__]
        ahead += [cause for cause in inner if isinstance(cause, BaseException)]
    return found
