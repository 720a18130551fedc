"""What lists of people on the page say of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facewatch.presentation.reports import queue
from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.heartbeat import Heartbeat
    from facewatch.people.merging import MergePreview
    from facewatch.people.overview import PersonTile


def person_note(person: PersonTile) -> str:
    """Return what tells this person apart from others of a similar name."""
    return plural(person.n_photos, "photo") + (", hidden" if person.is_hidden else "")


def merge_question(preview: MergePreview) -> str:
    """Return what is asked before people are merged."""
    people, named = preview.people, [one for one in preview.people if one.name]
    if len(people) == 1:
        return f"Who else is {people[0].label}?"
    if len(people) > 2:
        return f"Are these {len(people)} one person?"
    if len(named) == 1:
        return f"Is this {named[0].label}?"
    return f"Are {people[0].label} and {people[1].label} one person?"


def merge_notes(preview: MergePreview) -> list[str]:
    """Return what speaks against it."""
    notes = []
    if preview.is_apart:
        notes.append("You said before that two of these are different people.")
    if preview.n_together:
        photos = plural(preview.n_together, "photo")
        notes.append(f"In {photos} two of these are seen side by side; there only one face will stay.")
    return notes


@dataclass(frozen=True, slots=True)
class Nobody:
    """What is said where there is nobody to show yet."""

    title: str
    text: str
    next_path: str
    """The page that goes on from there, and"""
    next_label: str
    """what its link says."""


def nobody_yet(*, n_photos: int, n_faces: int, is_running: bool, live: Heartbeat | None) -> Nobody:
    """Return why nobody is there, and what to do about it.

    Args:
        is_running: a scan or a watcher is.
        live: what it says of itself.
    """
    if is_running:
        waiting = queue(live) if live else ""
        far = f"{waiting[:1].upper()}{waiting[1:]}." if waiting else ""
        return Nobody(
            "Your photos are being analysed",
            " ".join(filter(None, (far, "Who is in several photos appears here by itself."))),
            "/status",
            "See how far it is",
        )
    if not n_photos:
        text = "Tell facewatch where your photos are, and let it scan them; it never changes them."
        return Nobody("No photos yet", text, "/status", "Start a scan")
    seen = f"{plural(n_photos, 'photo')} with {plural(n_faces, 'face')}"
    if n_faces:
        return Nobody("Nobody yet", f"{seen}, but nobody is surely on two of them.", "/pool", "See the faces")
    return Nobody("No faces yet", f"{seen}: facewatch found none.", "/status", "See what was found")
