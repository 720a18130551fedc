"""README and the documents beside it, as tests read them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

READ_FIRST = ("README.md", "docs/commands.md", "docs/correcting.md", "docs/service.md", "docs/settings.md")
"""What a new user reads one after the other: each takes for granted what was typed in those before it."""


def names() -> list[str]:
    """Return all documents, in the order of reading."""
    others = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
    return [*READ_FIRST, *(name for name in others if name not in READ_FIRST)]


def text_of(name: str) -> str:
    """Return one document."""
    return (ROOT / name).read_text(encoding="utf-8")


def everything() -> str:
    """Return all documents, one after the other."""
    return "\n".join(map(text_of, names()))
