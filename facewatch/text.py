"""Text from outside, file names above all, made harmless for terminals, logs and tables."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"
"""Persian words and many emoji are spelled with them."""


def is_harmless(character: str) -> bool:
    """Whether a character only shows itself: no terminal obeys it, and it turns no other text around."""
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"


def printable(text: str) -> str:
    """Return the text with what a terminal would obey, and bytes that are no text, replaced."""
    return "".join(c if is_harmless(c) else "\N{REPLACEMENT CHARACTER}" for c in text)
