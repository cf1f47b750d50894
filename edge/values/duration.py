"""Lengths of time, in people's words."""


def show_duration(seconds: float, language: str = "en") -> str:
    """3600 → `1 hour`, 5400 → `1 hour 30 minutes`, 45 → `1 minute`; rounded up to whole minutes.

    In Kiswahili (`sw`): `saa 1`, `saa 1 dakika 30`, `dakika 1`.
    """
    minutes = max(0, -int(-seconds // 60))
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    if language == "sw":
        told = [f"{unit} {count}" for count, unit in ((days, "siku"), (hours, "saa"), (minutes, "dakika")) if count]
        return " ".join(told[:2]) or "dakika 0"
    parts = [(days, "day"), (hours, "hour"), (minutes, "minute")]
    words = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count]
    return " ".join(words[:2]) or "0 minutes"
