"""A guest's code as others may read it, and M-Pesa's as people type it."""

import re

from edge.errors import BadInput

LETTERS_SHOWN = 16  # of a name that may be none of our codes, and of any length


def mask_code(code: str) -> str:
    """Enough of a code for staff to recognise it."""
    return code[:2] + "•" * (len(code) - 2)


def read_receipt(typed: str) -> str:
    """M-Pesa's receipt as a person types it, `uk5t 7abcd1` → `UK5T7ABCD1`; BadInput for what can't be one."""
    code = re.sub(r"[^A-Za-z0-9]", "", typed).upper()
    if not re.fullmatch(r"[A-Z][A-Z0-9]{8,11}", code):
        raise BadInput("An M-Pesa receipt looks like UK5T7ABCD1: it begins M-Pesa's text.", "receipt")
    return code
