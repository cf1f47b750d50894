"""A voucher's code as it is printed: in groups that an eye can hold."""

from itertools import pairwise


def show_code(code: str) -> str:
    """Groups of three and four: ABCDEFGHJ → `ABC DEF GHJ`, ABCDEFGH → `ABCD EFGH`; five letters stay together."""
    if len(code) < 6:
        return code
    groups = -(-len(code) // 4)
    size, longer = divmod(len(code), groups)
    cuts = [min(place, longer) + place * size for place in range(groups + 1)]
    return " ".join(code[first:last] for first, last in pairwise(cuts))
