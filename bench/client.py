"""Many phones (or M-Pesas) at once: a small HTTP client that costs the measured machine little."""

import asyncio
import socket
import time
from collections.abc import Sequence


async def _one(port: int, request: bytes, gate: asyncio.Event) -> tuple[float, int, int]:
    """Seconds from sending until the whole answer is there, its status and its size; a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await gate.wait()
    began = time.perf_counter()
    writer.write(request)
    answer = await reader.read(-1)
    took = time.perf_counter() - began
    writer.close()
    return took, int(answer.split(b" ", 2)[1]), len(answer)


async def _burst(port: int, requests: Sequence[bytes]) -> list[tuple[float, int, int]]:
    gate = asyncio.Event()
    tasks = [asyncio.create_task(_one(port, request, gate)) for request in requests]
    await asyncio.sleep(0.05)
    gate.set()
    return await asyncio.gather(*tasks)


def burst(port: int, requests: Sequence[bytes]) -> list[tuple[float, int, int]]:
    """All requests at the same moment, each on a connection that is already open."""
    return asyncio.run(_burst(port, requests))


async def _paced(port: int, requests: Sequence[bytes], a_second: float) -> list[tuple[float, int, int]]:
    gate = asyncio.Event()
    gate.set()
    began, tasks = time.perf_counter(), []
    for number, request in enumerate(requests):
        await asyncio.sleep(max(0.0, began + number / a_second - time.perf_counter()))
        tasks.append(asyncio.create_task(_one(port, request, gate)))
    return await asyncio.gather(*tasks)


def paced(port: int, requests: Sequence[bytes], a_second: float) -> list[tuple[float, int, int]]:
    """So many requests a second, whether those before were answered or not, each on a new connection."""
    return asyncio.run(_paced(port, requests, a_second))


def once(port: int, request: bytes) -> int:
    """One request on a connection of its own; its status."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(request)
        answer = b""
        while part := line.recv(65536):
            answer += part
    return int(answer.split(b" ", 2)[1])


def post(path: str, body: bytes, kind: str = "application/json") -> bytes:
    """A POST as M-Pesa sends it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: box\r\nContent-Type: {kind}\r\nBusinessShortCode: 174379\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def get(path: str) -> bytes:
    """A GET as a phone's mini-browser sends it."""
    return f"GET {path} HTTP/1.1\r\nHost: box\r\nAccept: text/html\r\nConnection: close\r\n\r\n".encode()


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the others lies, in the values' own unit."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
