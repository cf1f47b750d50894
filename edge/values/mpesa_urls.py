"""Which addresses M-Pesa takes to call back, and what it says no to."""

import ipaddress
import re
from urllib.parse import urlsplit

# Daraja portal, Register URL: these words "or variants, in upper or lower case". Matched inside other words as well:
# whether `executive` passes, nobody has recorded.
FORBIDDEN = (
    ("mpesa", re.compile(r"m[-_. ]?pesa", re.I)),
    ("safaricom", re.compile(r"safaricom", re.I)),
    ("exe", re.compile(r"exe", re.I)),  # and exec
    ("cmd", re.compile(r"cmd", re.I)),
    ("sql", re.compile(r"sql", re.I)),
    ("query", re.compile(r"query", re.I)),
)
TUNNELS = ("ngrok", "mockbin", "requestbin")
PRIVATE_ENDINGS = (".local", ".lan", ".home", ".internal", ".localhost", ".test", ".invalid", ".example", ".arpa")


def url_faults(url: str, live: bool) -> list[str]:
    """Why M-Pesa would refuse to register, or could not reach, this address: in words, none when it is fine.

    `live`: in production only https is taken (Daraja portal, Register URL).
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return ["this is no address: write it like https://wifi.example.co.ke"]
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ["this is no address: write it like https://wifi.example.co.ke"]
    faults = [f'it contains "{word}", which M-Pesa does not allow' for word, shape in FORBIDDEN if shape.search(url)]
    faults += [f'it contains "{word}", a service that M-Pesa does not allow' for word in TUNNELS if word in url.lower()]
    if live and parts.scheme != "https":
        faults.append("it begins with http: for real money M-Pesa takes https alone")
    if not is_public_host(parts.hostname):
        faults.append(f"{parts.hostname} can't be reached from the internet")
    if parts.hostname != parts.netloc.partition(":")[0] and not parts.netloc.startswith("["):
        faults.append("write the host in small letters, without a name or password")
    if re.search(r"[<>\s]|[^\x21-\x7e]", url):
        faults.append("it contains a space, an angle bracket or a letter that addresses do not have")
    return faults


def is_public_host(host: str) -> bool:
    """Could somebody on the internet reach it: no private address, and no name that only this house knows?"""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host.strip(".") and not host.lower().endswith(PRIVATE_ENDINGS)
