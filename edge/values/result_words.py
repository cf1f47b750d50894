"""What one result code is called."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """What one result code means to the guest who was asked to pay and to the owner of the shop."""

    guest: str
    owner: str
