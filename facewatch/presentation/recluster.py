"""What a recluster did, or would do: in numbers, person by person, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from facewatch.people.recluster_preview import Fate
from facewatch.text import plural

NO_PREVIEW = "this preview was dropped, or another one has taken its place; ask for a new one"
NOT_READY = "this preview is not worked out yet"
DROPPED = "dropped: nothing was changed"

if TYPE_CHECKING:
    from facewatch.people.identities import Reclustered
    from facewatch.people.recluster_preview import ChangedPerson, ReclusterPreview
    from facewatch.people.record import Decided


def reclustered(done: Reclustered, *, is_dry_run: bool) -> str:
    """Return the numbers in a sentence."""
    would = "would be " if is_dry_run else ""
    return (
        f"{plural(done.n_pool, 'face')} belonged to nobody: {done.n_matched} {would}matched to known people, "
        f"{done.n_grouped} {would}grouped; {plural(done.n_new_people, 'new person', 'new people')}, "
        f"{done.n_joined_people} {would}joined to another"
    )


def preview_lines(preview: ReclusterPreview) -> Iterator[str]:
    """Yield the numbers of a preview; `changed_cells` says whom it would change."""
    yield reclustered(preview.result, is_dry_run=True)
    if preview.is_empty:
        yield "nobody would change"
        return
    yield (
        f"faces of nobody: {preview.result.n_pool} -> {preview.n_pool_after}; people without a name: "
        f"{preview.n_unnamed} -> {preview.n_unnamed_after}"
    )


CHANGED_HEADER = ("who", "before", "after", "what becomes of it")


def changed_cells(preview: ReclusterPreview) -> list[tuple[object, ...]]:
    """Return a row for each person whom it would change."""
    names = names_of(preview)
    return [(names[one.number], len(one.before), len(one.after), fate(one, names)) for one in preview.people]


def names_of(preview: ReclusterPreview) -> dict[int, str]:
    """Return what each of them is called, by their numbers."""
    return {one.number: one.label or f"new person {one.number}" for one in preview.people}


def fate(one: ChangedPerson, names: Mapping[int, str]) -> str:
    """Return what becomes of somebody."""
    others = [names[number] for number in one.into]
    match one.fate:
        case Fate.NEW:
            return f"a new person: {plural(len(one.after), 'face')}"
        case Fate.GROWS:
            return f"gains {plural(one.n_coming, 'face')}"
        case Fate.JOINS:
            return f"becomes part of {_listed(others)}{_to_nobody(one)}"
        case Fate.VANISHES:
            return f"vanishes: its {plural(one.n_to_pool, 'face')} {_belong(one.n_to_pool)}"
        case Fate.SPLITS:
            return f"is split: {plural(one.n_leaving, 'face')} to {_listed(others)}{_to_nobody(one)}{_gained(one)}"
        case Fate.SHRINKS | Fate.CHANGES:
            lost = plural(one.n_leaving, "face")
            if not others:
                return f"loses {lost}, which {_belong(one.n_leaving)}{_gained(one)}"
            return f"loses {lost} to {_listed(others)}{_to_nobody(one)}{_gained(one)}"


_MOST_LISTED = 4
"""Others who are named in one sentence."""


def _listed(names: list[str]) -> str:
    n_more = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {n_more} more" if n_more > 0 else "")


def _to_nobody(one: ChangedPerson) -> str:
    if not one.n_to_pool:
        return ""
    return f", {plural(one.n_to_pool, 'face')} {_belong(one.n_to_pool)}"


def _belong(n: int) -> str:
    return f"{'belongs' if n == 1 else 'belong'} to nobody then"


def _gained(one: ChangedPerson) -> str:
    return f"; gains {plural(one.n_coming, 'face')}" if one.n_coming else ""


def preview_row(preview: ReclusterPreview) -> dict[str, Any]:
    """Return a preview as JSON has it; `into` names others by their `number`."""
    names = names_of(preview)
    settings = preview.settings
    return asdict(preview.result) | {
        "at": preview.at,
        "is_from_scratch": preview.is_from_scratch,
        "method": settings.method,
        "settings": asdict(settings),
        "n_pool_after": preview.n_pool_after,
        "n_unnamed": preview.n_unnamed,
        "n_unnamed_after": preview.n_unnamed_after,
        "people": [
            {
                "number": one.number,
                "person_id": one.person_id,
                "name": names[one.number],
                "is_named": one.is_named,
                "fate": one.fate.value,
                "text": fate(one, names),
                "before": list(one.before),
                "after": list(one.after),
                "into": list(one.into),
                "n_to_pool": one.n_to_pool,
            }
            for one in preview.people
        ],
    }


def applied_row(preview: ReclusterPreview, decided: Decided) -> dict[str, Any]:
    """Return what a recluster did as JSON has it; `entry_id` is the decision that undoes it, null when nothing was
    done."""
    return asdict(preview.result) | {"n_pool_after": preview.n_pool_after, "entry_id": decided.entry_id}


# --- on the page ---

METHODS = {
    "whispers": "Chinese whispers",
    "linkage": "connected neighbours",
    "hdbscan": "density",
    "dbscan": "near neighbours",
    "spectral": "normalised cuts",
    "infomap": "random walks",
}
"""How each method guesses, in two words."""

_FATES = {
    Fate.NEW: "new",
    Fate.GROWS: "grow",
    Fate.JOINS: "become part of another",
    Fate.SPLITS: "are split",
    Fate.CHANGES: "gain and lose faces",
    Fate.SHRINKS: "lose faces",
    Fate.VANISHES: "vanish",
}

MOST_FACES = 12
"""Faces of a person that are shown on each side."""


@dataclass(frozen=True, slots=True)
class ChangedFace:
    """A face before or after."""

    id: int
    state: str
    """"stays", "goes" or "comes"."""


@dataclass(frozen=True, slots=True)
class ChangeCard:
    """What becomes of one person, to be shown."""

    number: int
    name: str
    person_id: int | None
    is_named: bool
    text: str
    n_before: int
    n_after: int
    before: tuple[ChangedFace, ...]
    """Some of the faces, those that go first."""
    after: tuple[ChangedFace, ...]
    """Those that come first."""


@dataclass(frozen=True, slots=True)
class FateCount:
    """How many people have the same fate."""

    fate: str
    label: str
    n_people: int


def fate_counts(preview: ReclusterPreview) -> list[FateCount]:
    """Return the fates that somebody has, with how many do."""
    counts = [FateCount(fate.value, label, preview.n_of(fate)) for fate, label in _FATES.items()]
    return [one for one in counts if one.n_people]


def change_cards(preview: ReclusterPreview, people: Sequence[ChangedPerson]) -> list[ChangeCard]:
    """Return some of the people of a preview with faces of theirs."""
    names = names_of(preview)
    return [
        ChangeCard(
            number=one.number,
            name=names[one.number],
            person_id=one.person_id,
            is_named=one.is_named,
            text=fate(one, names),
            n_before=len(one.before),
            n_after=len(one.after),
            before=_shown(one.before, one.after, "goes"),
            after=_shown(one.after, one.before, "comes"),
        )
        for one in people
    ]


def _shown(faces: Sequence[int], others: Sequence[int], moved: str) -> tuple[ChangedFace, ...]:
    """Return some faces of one side, the moved ones first, with room for some that stay."""
    staying = set(others)
    stay = [ChangedFace(face, "stays") for face in faces if face in staying]
    move = [ChangedFace(face, moved) for face in faces if face not in staying]
    n_stay = max(MOST_FACES // 3, MOST_FACES - len(move))
    return tuple([*move[: MOST_FACES - min(n_stay, len(stay))], *stay[:n_stay]])


def chosen_settings(preview: ReclusterPreview, given: Mapping[str, Any]) -> str:
    """Return how it groups, in a sentence."""
    asked = [f"{name.replace('_', ' ')} {value}" for name, value in given.items() if name != "method"]
    by = ", ".join([preview.settings.method, *asked])
    return f"by {by}{'; groups about which nothing was decided are made again' if preview.is_from_scratch else ''}"
