"""Phone numbers in text that somebody else wrote: shown to be recognised, not to be called."""

import re

from edge.values.msisdn import mask_msisdn

# Kenyan numbers in full; and M-Pesa's CheckoutRequestID, which ends with the payer's last nine digits.
_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?:\+?254|0)([17][0-9]{8})(?![0-9])")
_CHECKOUT = re.compile(r"\b(ws_CO_[0-9]*)([17][0-9]{8})(?![0-9])")


def mask_numbers(text: str) -> str:
    """`254712345678`, `+254712345678` and `0712345678` all become `0712•••678`."""
    text = _CHECKOUT.sub(lambda found: found[1] + "•••" + found[2][-3:], text)
    return _NUMBER.sub(lambda found: mask_msisdn("254" + found[1]), text)
