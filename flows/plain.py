"""Text from elsewhere, like names of files, on a terminal: shown, never obeyed."""

import unicodedata
from typing import Any

from rich.console import Console
from rich.text import Text
from typing_extensions import override

OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of Unicode: what moves the cursor, turns the direction of reading, hides, ends a line, or cannot be written."""


def plain(text: str, kept: str = "\n") -> str:
    r"""`text` with what a terminal would obey as escapes like `\x1b`, but for the characters `kept`."""
    return "".join(
        letter
        if letter in kept or unicodedata.category(letter) not in OBEYED
        else letter.encode("unicode_escape", "surrogatepass").decode()
        for letter in text
    )


class PlainConsole(Console):
    """A console to which all text is plain: neither markup in brackets nor escapes for a terminal."""

    @override
    def render_str(self, text: str, **options: Any) -> Text:
        """The text as it is shown."""
        return super().render_str(plain(text), **options | {"markup": False, "emoji": False})
