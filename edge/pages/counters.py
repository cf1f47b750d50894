"""Counts since start, for /metrics."""

import threading
from collections import Counter

_lock = threading.Lock()
_counts: Counter[str] = Counter()


def count(name: str) -> None:
    """One more of these."""
    with _lock:
        _counts[name] += 1


def totals() -> dict[str, int]:
    """All counts so far."""
    with _lock:
        return dict(_counts)
