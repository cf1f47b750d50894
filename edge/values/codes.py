"""A guest's code as others may read it."""

LETTERS_SHOWN = 16  # of a name that may be none of our codes, and of any length


def mask_code(code: str) -> str:
    """Enough of a code for staff to recognise it."""
    return code[:2] + "•" * (len(code) - 2)
