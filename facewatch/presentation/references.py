"""What became of reference pictures, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from facewatch.people.references import Use
from facewatch.text import plural, printable

if TYPE_CHECKING:
    from facewatch.people.references import Outcome


def reference_lines(outcomes: Sequence[Outcome], *, is_trial: bool) -> Iterator[str]:
    """Yield who is known now, or would be, and each picture that shows nobody."""
    taken = Counter(one.picture.name for one in outcomes if one.use is Use.TAKEN)
    n_known = sum(one.use is Use.KNOWN for one in outcomes)
    would = "would be" if is_trial else "is"
    for name, n in taken.items():
        yield f"{printable(name)} {would} known by {plural(n, 'picture')}"
    if n_known:
        yield f"{plural(n_known, 'picture')} known already"
    for one in outcomes:
        text = _text(one)
        if text:
            yield f"{printable(one.picture.path)}: {text}"
    if not outcomes:
        yield "no pictures there: a folder for each person is wanted (Anna/1.jpg), or a picture (Anna.jpg)"


def _text(one: Outcome) -> str:
    """What is to be said of a picture; "": nothing."""
    match one.use:
        case Use.TAKEN:
            return f"{one.detail} faces: the largest one is taken" if one.detail else ""
        case Use.KNOWN:
            return ""
        case Use.NO_FACE:
            return "left out: no face was found; take a picture that shows the face larger, or from the front"
        case Use.SEVERAL:
            return f"left out: {one.detail} faces, none of them clearly the largest; cut the picture to the one meant"
        case Use.POOR:
            return "left out: the face is too small, blurred or dark to recognise anybody by; take a better picture"
        case Use.DECIDED:
            who = f"is {one.detail}" if one.detail else "is not that person"
            return f"left out: you said that its face {who}; facewatch why {printable(one.picture.path)}"
        case Use.FAULTY | Use.NAME:
            return f"left out: {one.detail}"


def references_row(outcomes: Sequence[Outcome], *, is_trial: bool) -> dict[str, Any]:
    return {
        "is_dry_run": is_trial,
        "pictures": [
            {"path": one.picture.path, "name": one.picture.name, "use": str(one.use), "detail": one.detail}
            for one in outcomes
        ],
    }
