"""Every sentence, JSON row and page that users see, made from codes and values; commands and pages only print them."""

from __future__ import annotations

from datetime import datetime


def local_time(at: str | None) -> str:
    """Return a time of the catalog as the clock on the wall has it."""
    if at is None:
        return "at a time that nobody knows"
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return at
