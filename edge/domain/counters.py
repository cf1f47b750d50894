"""A router's own counters of one user, read each minute: what was used since, over resets, reboots and lost answers."""

from dataclasses import dataclass

# What is kept of one name: its row's counters (sessions that have ended), row and running sessions together, and
# whether the sum fell at the last look.
Kept = list[int]


@dataclass(frozen=True)
class Reading:
    """One user at one look: what his row counts, and what his running sessions do on top."""

    row_s: int
    row_bytes: int
    running_s: int = 0
    running_bytes: int = 0


def used_since(kept: Kept | None, now: Reading) -> tuple[int, int, Kept]:
    """Seconds and bytes used since the look that left `kept`, and what to keep of this one.

    A row's own counters only ever grow; when they fell, the row is new or was reset, and all it counts is since then.
    The sum may fall for a moment, when a session ends between the two questions; when it stays down, a row was
    written anew before any session of the old one had ended, or a reboot lost the share of a session.
    """
    total_s, total_bytes = now.row_s + now.running_s, now.row_bytes + now.running_bytes
    fresh = [now.row_s, now.row_bytes, total_s, total_bytes, 0]
    row_s, row_bytes, sum_s, sum_bytes, fell = kept or [0, 0, 0, 0, 0]
    if now.row_s < row_s or now.row_bytes < row_bytes:
        return total_s, total_bytes, fresh
    if total_s >= sum_s and total_bytes >= sum_bytes:
        return total_s - sum_s, total_bytes - sum_bytes, fresh
    if not fell:
        return 0, 0, [now.row_s, now.row_bytes, sum_s, sum_bytes, 1]
    is_new_row = not now.row_s and not now.row_bytes
    return (total_s, total_bytes, fresh) if is_new_row else (0, 0, fresh)
