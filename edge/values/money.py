"""Money in whole cents, shown as people say it."""


def whole_units(cents: int) -> int | float:
    """Cents as the API's currency units: 2000 → 20."""
    return cents // 100 if cents % 100 == 0 else cents / 100


def show_money(cents: int, currency: str = "KES") -> str:
    """2000 → `KSh 20`, 120050 → `KSh 1,200.50`."""
    sign = "KSh" if currency == "KES" else currency
    return f"{sign} {cents // 100:,}" if cents % 100 == 0 else f"{sign} {cents / 100:,.2f}"
