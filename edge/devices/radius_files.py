"""FreeRADIUS's configuration: the box's templates with its values put in, in words that FreeRADIUS can't mistake."""

import ipaddress
import os
import re
from pathlib import Path

from edge.errors import EdgeError

FILES = ("radiusd.conf", "queries.conf", "access_reject")


def write_configuration(folder: Path, templates: Path, values: dict[str, str]) -> None:
    """Fill the templates' @NAMES@ and write them for this user alone; what was spooled in run/ stays."""
    for place in (folder, folder / "run"):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.chmod(0o700)
    for name in FILES:
        text = (templates / name).read_text(encoding="utf-8")
        fresh = folder / f"{name}.new"
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(_fill(name, text, values))
        fresh.replace(folder / name)


def _fill(name: str, text: str, values: dict[str, str]) -> str:
    def look_up(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise EdgeError(f"data/radius/{name}: @{match[1]}@ is no value; known are {', '.join(sorted(values))}")
        return values[match[1]]

    return re.sub(r"@([A-Z_]+)@", look_up, text)


def plain(path: Path) -> str:
    """A path as it may stand between double quotes, where FreeRADIUS expands $ and %."""
    text = str(path)
    if not text.isprintable() or any(sign in text for sign in "\"'\\$%`{}"):
        raise EdgeError(f"{text!r}: FreeRADIUS can't use a folder with quotes, \\, $, %, ` or braces in its name")
    return text


def address(host: str) -> str:
    """An IPv4 address to listen on, as FreeRADIUS writes it."""
    try:
        found = ipaddress.IPv4Address(host)
    except ValueError:
        raise EdgeError(f"[radius] host: {host!r} is not an address like 0.0.0.0 or 192.168.88.2") from None
    return "*" if found.is_unspecified else str(found)


def port(number: int) -> int:
    if not 0 < number < 65536:
        raise EdgeError(f"[radius] auth_port, acct_port: {number} is not a port; 1812 and 1813 are usual")
    return number
