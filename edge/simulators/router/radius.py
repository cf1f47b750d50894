"""What the pretend hotspot needs of a RADIUS client; edge/simulators/router/radius_client.py is one."""

from typing import Literal, Protocol, runtime_checkable

Chap = tuple[int, bytes, bytes]  # id, challenge, response


class Accepted(Protocol):
    """What an Access-Accept allows for the session that starts; None where it is silent."""

    @property
    def session_timeout_s(self) -> int | None: ...
    @property
    def rate(self) -> str: ...
    @property
    def total_limit(self) -> int | None: ...
    @property
    def port_limit(self) -> int | None: ...
    @property
    def class_(self) -> bytes: ...
    @property
    def interim_s(self) -> int | None: ...
    @property
    def idle_s(self) -> int | None: ...
    @property
    def group(self) -> str: ...
    @property
    def recv_limit(self) -> int | None: ...
    @property
    def xmit_limit(self) -> int | None: ...


@runtime_checkable
class Rejected(Protocol):
    """An Access-Reject and its Reply-Message, which the guest gets to read."""

    @property
    def words(self) -> str: ...


class Radius(Protocol):
    """Asks a RADIUS server and tells it how sessions go; TimeoutError when nobody answers."""

    def log_in(
        self, username: str, password: str, *, mac: str, ip: str, chap: Chap | None = None, session_id: str
    ) -> Accepted | Rejected: ...

    def account(
        self,
        kind: Literal["start", "interim", "stop"],
        *,
        username: str,
        mac: str,
        ip: str,
        session_id: str,
        class_: bytes,
        seconds: int,
        bytes_in: int,
        bytes_out: int,
        cause: int,
    ) -> None: ...
