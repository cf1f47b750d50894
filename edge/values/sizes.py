"""Amounts of data, as people write them and read them: in thousands, as plans are sold."""

import re

from edge.errors import BadInput

_UNITS = {"": 1, "B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,3})?)\s*([KMGT]?)I?B?", re.ASCII)


def show_bytes(count: int) -> str:
    """1500000000 → `1.5 GB`, 20000000 → `20 MB`, 512 → `1 kB`; to three digits."""
    for size, unit in ((10**9, "GB"), (10**6, "MB")):
        if count >= size:
            shown = f"{count / size:.3g}"
            return f"{int(count / size) if 'e' in shown else shown} {unit}"
    return f"{-(-count // 1000)} kB"


def read_bytes(typed: str) -> int:
    """`2GB`, `1.5 G`, `500mb`, `20000000` → bytes; BadInput for everything else."""
    found = _SIZE.fullmatch(typed.strip().upper())
    count = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if count <= 0:
        raise BadInput(f"{typed} is not an amount of data. It looks like 500MB or 2GB.", "data")
    return count
