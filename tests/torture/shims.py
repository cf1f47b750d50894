"""Builds the small libraries that stand between the box and the kernel: power cuts, wrong clocks, slow flushes."""

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SOURCES = {
    "power_loss": HERE / "power_loss.c",
    "clock": HERE / "clock.c",
    "slow_flush": HERE.parent.parent / "bench" / "slow_flush.c",
}
has_compiler = shutil.which("cc") is not None
needs_compiler = pytest.mark.skipif(not has_compiler, reason="a C compiler (cc) is missing: apt-get install gcc")


@cache
def built(name: str) -> Path:
    """The library of this name, compiled once; its folder goes with the process."""
    place = _folder() / f"{name}.so"
    line = ["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o", str(place), str(SOURCES[name]), "-ldl"]
    subprocess.run(line, check=True)
    return place


def preload(*names: str) -> str:
    """What LD_PRELOAD is to say."""
    return ":".join(str(built(name)) for name in names)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="edge-shims-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
