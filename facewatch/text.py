"""Text for terminals, logs and tables: control characters made harmless, names shortened, numbers in words."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"
"""Persian words and many emoji are spelled with them."""


def is_harmless(character: str) -> bool:
    """Whether a character only shows itself: no terminal obeys it, and it turns no other text around."""
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"


def printable(text: str) -> str:
    """Return the text with what a terminal would obey, and bytes that are no text, replaced."""
    if text.isprintable():
        return text
    return "".join(c if is_harmless(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def whole_text(text: str) -> str:
    """Return text that every reader of UTF-8 takes: the bytes of a file name that are no text are replaced."""
    return "".join("\N{REPLACEMENT CHARACTER}" if "\ud800" <= c <= "\udfff" else c for c in text)


def shortened(text: str, width: int) -> str:
    """Return a text that takes no more than so many columns of a terminal: what is too much is cut out of its middle,
    because names begin and end with what tells them apart. Chinese characters and most emoji take two columns."""
    from rich.cells import cell_len, chop_cells

    if cell_len(text) <= width:
        return text
    if width < 2:
        return "…"[:width]
    head = chop_cells(text, width // 2)[0]
    tail = chop_cells(text[::-1], width - 1 - cell_len(head))[0][::-1] if width - 1 > cell_len(head) else ""
    return f"{head}…{tail}"


def distinguished(value: float, limit: float, *, n_digits: int = 2) -> tuple[str, str]:
    """Return both with as many digits as it takes to see which is larger, at least so many."""
    for n in range(n_digits, 9):
        texts = f"{value:.{n}f}", f"{limit:.{n}f}"
        if texts[0] != texts[1]:
            return texts
    return texts


def beside_strangers(similarity: float, strangers: float) -> str:
    """Say how alike two are, and what each of them has with strangers."""
    return f"{similarity:.2f}, where strangers of these two have {strangers:.2f} on average"


def plural(n: int, one: str, many: str | None = None) -> str:
    """Return "1 photo", "2 photos"."""
    return f"{n} {one if n == 1 else many or one + 's'}"
