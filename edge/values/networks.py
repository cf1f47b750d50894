"""Addresses and the networks they belong to."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=64)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def is_ipv4(text: str) -> bool:
    """A dotted IPv4 address, and neither a name nor a network."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def is_host(text: str) -> bool:
    """An IPv4 address by which other machines may reach this one: no loopback, and not 0.0.0.0."""
    if not is_ipv4(text):
        return False
    address = ipaddress.IPv4Address(text)
    return not (address.is_loopback or address.is_unspecified or address.is_multicast)


def contains(networks: Iterable[str], address: str) -> bool:
    """Is this address in one of these networks? What is no address is in none."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return any(ip in _network(text) for text in networks)


def client_behind(proxies: tuple[str, ...], peer: str, forwarded: str) -> str:
    """The caller's address: the nearest hop that is not one of our own proxies. The first hop is anybody's claim."""
    if not contains(proxies, peer):
        return peer
    for hop in reversed([part.strip() for part in forwarded.split(",") if part.strip()][-20:]):
        if not contains(proxies, hop):
            return hop if contains(("0.0.0.0/0", "::/0"), hop) else peer
    return peer
