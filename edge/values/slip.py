"""A voucher as it is printed, and the papers there are for it."""

from dataclasses import dataclass

PAPERS = ("a4", "58", "80")  # a sheet to cut; receipt rolls by their width in millimetres
COLUMNS, ROWS = 3, 8
SHEET = COLUMNS * ROWS  # vouchers on one A4 page


@dataclass(frozen=True)
class Slip:
    """What one voucher says: `url` is what its QR code opens, the rest what is sold, until when, and how it works."""

    code: str
    plan: str
    price: str
    url: str
    what: str = ""  # 1 hour, 500 MB
    expires: str = ""
    how: str = ""
