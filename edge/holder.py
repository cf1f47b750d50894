"""Who works: a process, named so that a later one can tell whether it still lives."""

import os
from pathlib import Path


def own_name() -> str:
    """This process: its number, when it started, and in which life of the machine."""
    return _name(os.getpid())


def is_alive(name: str) -> bool:
    """True while the very process that had this name runs on this machine."""
    pid = name.split(":", 1)[0]
    return pid.isascii() and pid.isdecimal() and _name(int(pid)) == name


def is_here(name: str) -> bool:
    """True when this process ran, or runs, in this life of this machine."""
    return name.rpartition(":")[2] == own_name().rpartition(":")[2]


def is_gone(name: str) -> bool:
    """True when this process ran in this life of this machine, and does no more. Of others nothing is known."""
    return is_here(name) and not is_alive(name)


def _name(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    if fields[0] in ("Z", "X"):
        return ""  # dead, and only waiting to be collected
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    numbers = os.readlink("/proc/self/ns/pid").strip("pid:[]")  # containers of one machine count theirs apart
    return f"{pid}:{fields[19]}:{boot[:8]}-{numbers}"
