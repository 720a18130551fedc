"""What was taken over from another catalog, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from facewatch import ids
from facewatch.people.carrying import Against
from facewatch.people.lookup import faces_at
from facewatch.text import plural, printable

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.people.carrier import WrittenPeople
    from facewatch.people.carrying import CarriedConflict, PersonPlan


def carried_lines(catalog: Catalog, plans: Sequence[PersonPlan], *, is_trial: bool) -> Iterator[str]:
    """Yield what is known of each person now, or would be, and what was not taken over, with what settles it."""
    n_same = 0
    for plan in plans:
        said = _said(plan)
        n_same += not said and not plan.conflicts
        if said:
            yield f"{printable(plan.carried.name)}: {', '.join(said)}" + (" would be taken over" if is_trial else "")
    if n_same:
        yield f"{plural(n_same, 'person', 'people')} of whom nothing is new"
    conflicts = [conflict for plan in plans for conflict in plan.conflicts]
    places = {at.id: at for at in faces_at(catalog, [one.face_id for one in conflicts if one.face_id is not None])}
    for conflict in conflicts:
        at = places.get(conflict.face_id or 0)
        where = f"{printable(at.file)}: " if at and at.file else ""
        yield f"{where}{_conflict(conflict)}"


def _said(plan: PersonPlan) -> list[str]:
    counts = (
        (plural(len(plan.faces), "face") + " of photos that are here", plan.faces),
        (plural(len(plan.references), "face") + " to know them by", plan.references),
        (plural(len(plan.rejected), "face") + " that they are not", plan.rejected),
        (plural(len(plan.photos), "photo") + " without a face", plan.photos),
        (f"born {plan.born}", plan.born),
    )
    return [text for text, is_there in counts if is_there]


def _conflict(one: CarriedConflict) -> str:
    """What was not taken over, and what settles it."""
    name, typed, face = printable(one.name), quote(printable(one.name)), ids.face(one.face_id or 0)
    match one.against:
        case Against.ASSIGNED:
            return (
                f"face {face} is {name} there; you said that it is {printable(one.detail)}, and so it stays. "
                f"facewatch assign {face} {typed}"
            )
        case Against.REJECTED | Against.IN_PHOTO:
            return f"face {face} is {name} there; you said otherwise, and so it stays. facewatch assign {face} {typed}"
        case Against.TAKEN_OUT:
            return f"face {face} is {name} there; you took it out, and so it stays. facewatch assign {face} {typed}"
        case Against.IS_PERSON:
            return f"face {face} is not {name} there; you said that it is. facewatch reject {face} {typed}"
        case Against.BORN:
            return f"{name} was born at another time there; here it stays {one.detail}. facewatch born {typed} DATE"
        case Against.UNLIKE:
            return (
                f"{name}: nothing taken over, because whoever has that name here looks like somebody else. Two people: "
                f"facewatch rename {typed} NEW, then again; one person: again with --same-names"
            )


def carried_row(plans: Sequence[PersonPlan], *, is_trial: bool) -> dict[str, Any]:
    return {
        "is_dry_run": is_trial,
        "people": [
            {
                "name": plan.carried.name,
                "is_new": plan.person_id is None,
                "faces": plan.faces,
                "n_references": len(plan.references),
                "n_known": plan.n_known,
                "rejected": plan.rejected,
                "n_photos": len(plan.photos),
                "born": plan.born,
                "conflicts": [
                    {"why": str(one.against), "face_id": one.face_id, "detail": one.detail} for one in plan.conflicts
                ],
            }
            for plan in plans
        ],
    }


def written_line(file: Path, written: WrittenPeople) -> str:
    return (
        f"{printable(str(file))}: {plural(written.n_people, 'person', 'people')} by {plural(written.n_faces, 'face')}"
    )
