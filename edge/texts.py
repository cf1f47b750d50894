"""Every word the box says to people, from catalogues that an owner may change (`data/texts/<language>.toml`)."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent


def data_folder() -> Path:
    """`data/` as installed beside the package, else as it stands in a checkout."""
    installed = _PACKAGE / "data"
    return installed if installed.is_dir() else _PACKAGE.parent / "data"


class Catalogue:
    """One language; what it lacks is said in English."""

    def __init__(self) -> None:
        self.language = "en"
        self.shop = "WiFi"

    def configure(self, language: str, shop: str) -> None:
        self.language, self.shop = language, shop

    def say(self, name: str, **values: Any) -> str:
        """The text of this name with its values put in; a missing name is an error, never an empty page."""
        words = _read(self.language).get(name) or _read("en")[name]
        return words.format(shop=self.shop, **values)


@cache
def _read(language: str) -> dict[str, str]:
    document = tomllib.loads((data_folder() / "texts" / f"{language}.toml").read_text(encoding="utf-8"))
    return {f"{area}.{name}": words for area, entries in document.items() for name, words in entries.items()}


def languages() -> list[str]:
    """The catalogues there are."""
    return sorted(path.stem for path in (data_folder() / "texts").glob("*.toml"))


catalogue = Catalogue()
say = catalogue.say
