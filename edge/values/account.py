"""The account a guest types when he pays by hand: the payment's number, with a letter that catches a mistyped digit."""

import re

LETTERS = "ABCDEFGHJKLMNPQRSTVWXYZ"  # 23, a prime: no digit can be mistyped, no two swapped, unnoticed
_ACCOUNT = re.compile(r"(?:W[I1L]F[I1L])?0*([1-9][0-9]{0,9})([A-Z])")


def account_of(payment_id: int) -> str:
    """`12` → `WIFI12S`: at most 12 characters up to number 9,999,999, as M-Pesa allows."""
    return f"WIFI{payment_id}{_letter(str(payment_id))}"


def read_account(typed: str) -> int | None:
    """The payment this account stands for, however it was typed; None for any other text, or a wrong letter."""
    match = _ACCOUNT.fullmatch(re.sub(r"[^A-Z0-9]", "", typed.upper()))
    if match is None or match[2] != _letter(match[1]):
        return None
    return int(match[1])


def _letter(digits: str) -> str:
    # Weights from the right, all different below 23.
    return LETTERS[sum(int(digit) * weight for weight, digit in enumerate(reversed(digits), 2)) % len(LETTERS)]
