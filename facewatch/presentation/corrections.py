"""What corrections did: when they are made, in the history, and when somebody is split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewatch import ids
from facewatch.people.lookup import faces_at
from facewatch.people.record import FROM_FOLDER, Renamed
from facewatch.presentation import local_time
from facewatch.presentation.copies import still_there, still_there_on_page
from facewatch.text import plural, printable

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Entry
    from facewatch.people.record import Decided
    from facewatch.people.split import Part, SplitPlan
    from facewatch.people.undo import Undone

NOT_FOLLOWED = "it is decided, but facewatch failed on what follows from it; the log says why"

_ABOUT_FACES = frozenset({"draw", "assign", "unassign", "reject", "confirm", "ignore", "cover"})
_HAVE_FOLDER = frozenset({"rename", "merge", "assign", "show", "draw", "present"})
_MOST_FACES = 10
"""Faces that are listed one by one."""
_FEW_NAMES = 3
"""People who are named in a line."""
_FEW_FACES = 3
"""Faces that are named by their ids in a line."""


# --- when it is made ---


def lines(catalog: Catalog, made: Decided | Renamed, people_folder: Path) -> Iterator[str]:
    """Yield what a correction did, and what followed from it."""
    decided = made.decided if isinstance(made, Renamed) else made
    if decided.entry_id is None:
        yield "nothing to do: that is already so"
        return
    yield (_renamed(catalog, made) if isinstance(made, Renamed) else _outcome(catalog, decided)) + _next_step(decided)
    if decided.action in _ABOUT_FACES:
        yield from _faces(catalog, decided, decided.faces)
    if decided.released:
        made_room = "that contradicted it belong" if len(decided.released) > 1 else "that contradicted it belongs"
        yield f"{plural(len(decided.released), 'face')} {made_room} to nobody now{_from_whom(decided.let_go)}"
        yield from _faces(catalog, decided, decided.released)
    if decided.action == "forget":
        yield from still_there(catalog.published.targets())
    person = catalog.people.one(decided.people[0]) if decided.people else None
    if person and decided.action in _HAVE_FOLDER:
        if person.is_hidden:
            yield f"{person.label} is hidden, and has no folder; `facewatch show {ids.person(person.id)}` makes one"
        elif person.folder:
            yield str(people_folder / person.folder)


def said_on_page(catalog: Catalog, made: Decided | Renamed) -> str:
    """Return what a correction did, for somebody who sees it and types no commands."""
    decided = made.decided if isinstance(made, Renamed) else made
    if decided.entry_id is None:
        return "Nothing to do: that is already so"
    said = _renamed(catalog, made) if isinstance(made, Renamed) else _outcome(catalog, decided, has_ids=False)
    if decided.action == "forget":
        said += still_there_on_page(catalog.published.targets())
    if not decided.released:
        return said
    n = plural(len(decided.released), "face")
    return f"{said}; {n} that contradicted it: nobody's now{_from_whom(decided.let_go)}"


def undone_on_page(undone: Undone, *, is_redone: bool = False) -> str:
    """Return what was taken back, or made again."""
    return f"{'Made again' if is_redone else 'Undone'}: {'; '.join(map(describe_on_page, undone.entries))}"


def _next_step(decided: Decided) -> str:
    """Return which command goes on from a decision, or nothing."""
    match decided.action:
        case "unassign":
            return "; `facewatch assign` says whose they are"
        case "hide":
            return f"; `facewatch show {ids.person(decided.people[0])}` takes that back"
        case "recluster":
            return f"; `facewatch undo {ids.decision(decided.entry_id or 0)}` takes that back"
        case _:
            return ""


def _renamed(catalog: Catalog, made: Renamed) -> str:
    # What followed has given them more photos.
    person = catalog.people.one(made.person.id) or made.person
    what = "is now part of" if made.merged else "is now called"
    return f"{made.old_label} {what} {person.label}: {plural(person.n_photos, 'photo')}"


def _outcome(catalog: Catalog, decided: Decided, *, has_ids: bool = True) -> str:
    faces, who = plural(len(decided.faces), "face"), _labels(catalog, decided)
    entry = catalog.journal.one(decided.entry_id or 0)
    data: Mapping[str, Any] = entry.details if entry else {}
    match decided.action:
        case "merge":
            return _merged(catalog, decided, data)
        case "apart":
            return f"{who[0]} and {who[1]} are different people"
        case "assign":
            return f"{faces} assigned to {who[0]}, for good{_from_whom(decided.taken)}"
        case "unassign":
            return f"{faces} taken out{_from_whom(decided.taken)}"
        case "reject":
            return f"{faces}: not {', '.join(who)}, for good"
        case "confirm":
            return f"{faces} confirmed as {', '.join(who)}"
        case "ignore":
            return f"{faces} ignored{_from_whom(decided.taken)}"
        case "hide":
            return f"{_several(who)} {'is' if len(who) == 1 else 'are'} hidden"
        case "show":
            return f"{_several(who)} {'is' if len(who) == 1 else 'are'} shown"
        case "cover":
            return f"{f'face {ids.face(decided.faces[0])}' if has_ids else 'This face'} stands for {who[0]}"
        case "born":
            return f"{who[0]} was born {data['born']}" if data.get("born") else f"{who[0]}: no date of birth any more"
        case "draw":
            return f"{faces} added" + (f", and assigned to {who[0]}, for good" if data.get("who") else "")
        case "present":
            return f"{who[0]} is in {plural(len(decided.photos), 'photo')} without a face, for good"
        case "absent":
            return f"{who[0]} is not in {plural(len(decided.photos), 'photo')} after all"
        case "forget":
            return f"{data.get('who')} is forgotten, with {faces}"
        case "recluster":
            return _regrouped(data)
        case action:
            return action


def _several(who: str | Sequence[str]) -> str:
    """Return "Anna", "Anna and Ben", or "Anna, Ben and 3 others"."""
    labels = [who] if isinstance(who, str) else who
    if len(labels) > _FEW_NAMES:
        labels = [*labels[: _FEW_NAMES - 1], plural(len(labels) - _FEW_NAMES + 1, "other")]
    return " and ".join(filter(None, (", ".join(labels[:-1]), labels[-1])))


def _merged(catalog: Catalog, decided: Decided, data: Mapping[str, Any]) -> str:
    person = catalog.people.one(decided.people[0])
    label, n_photos = (person.label, person.n_photos) if person else ("nobody", 0)
    merged = f"{plural(len(data['merged']), 'person', 'people')} merged into {label}: {plural(n_photos, 'photo')}"
    apart = ", ".join(data["were_apart"])
    return (
        f"{merged}\nyou had said that {apart} and {label} are different people; that no longer holds"
        if apart
        else merged
    )


def _labels(catalog: Catalog, decided: Decided) -> list[str]:
    people = map(catalog.people.one, decided.people)
    return [person.label if person else "nobody" for person in people]


def _faces(catalog: Catalog, decided: Decided, faces: Sequence[int]) -> Iterator[str]:
    """Yield which faces these are, and whose they were: a number is easily mistyped."""
    before = {lost.face_id: f", {lost.who} until now" for lost in decided.lost}
    for face in faces_at(catalog, faces[:_MOST_FACES]):
        where = f"{face.file}:{face.number}" if face.file else "of a photo that is not in the library now"
        yield f"  face {ids.face(face.id)}: {where}{before.get(face.id, '')}"
    if len(faces) > _MOST_FACES:
        yield f"  and {len(faces) - _MOST_FACES} more"


def _from_whom(losses: Mapping[str, int]) -> str:
    """Return ", from Ben", or ", 2 from Ben, 1 from Dora"; losses: how many faces who had before."""
    if len(losses) == 1:
        return f", from {next(iter(losses))}"
    return "".join(f", {n} from {who}" for who, n in losses.items())


# --- in the history ---


def history_row(entry: Entry) -> dict[str, Any]:
    """Return an entry of the journal as JSON has it."""
    return asdict(entry) | {"text": describe(entry)}


def history_cells(entry: Entry) -> tuple[str, ...]:
    """Return what a table says of an entry: its id, when, by whom, what, and by which entry it was undone."""
    undone_by = ids.decision(entry.undone_by) if entry.undone_by else ""
    return ids.decision(entry.id), local_time(entry.at), entry.actor, describe(entry), undone_by


def describe(entry: Entry) -> str:
    """Return what an entry of the journal did, in words, and whether it was done in the people folder."""
    return _done(entry, has_ids=True) + _where(entry)


def describe_on_page(entry: Entry, taken_up: Sequence[Entry] = ()) -> str:
    """Return the same for somebody who sees the faces and types no ids; `taken_up`: what an undo or a redo was of."""
    if taken_up:
        what = "; ".join(map(describe_on_page, taken_up[:_FEW_NAMES]))
        n_more = len(taken_up) - _FEW_NAMES
        return f"{'undone' if entry.action == 'undo' else 'made again'}: {what}" + (
            f"; and {n_more} more" if n_more > 0 else ""
        )
    return _done(entry, has_ids=False) + _where(entry)


def _where(entry: Entry) -> str:
    return ", in the people folder" if entry.details.get("source") == FROM_FOLDER else ""


def _done(entry: Entry, *, has_ids: bool) -> str:
    data: dict[str, Any] = {"who": "", "n_faces": 0, "not": [], **entry.details}
    n_faces, who = _faces_text(data) if has_ids else plural(data["n_faces"], "face"), data["who"] or ""
    n_photos = plural(data.get("n_photos", 0), "photo")
    taken, let_go = _losses_text(data, has_ids=has_ids)
    cover = f"face {ids.face(data.get('face', 0))} stands" if has_ids else "a face chosen that stands"
    if entry.action == "rename" and entry.parent_id is None and "exchanged" in data:
        return ", ".join(f"{before} named {name}" for before, name in data["exchanged"])
    if entry.action == "rename":
        return f"{data['before']} named {data['name']}" if "before" in data else f"named {data['name']}"
    if entry.action == "merge" and "merged" in data:
        return f"{', '.join(data['merged'])} merged into {data['into']}{let_go}"
    sentences = {
        "split": f"{data.get('before')} split into {len(data.get('people', ()))}",
        "apart": f"{data.get('one')} and {data.get('other')} kept apart",
        "assign": f"{n_faces} assigned to {who}{taken}{let_go}",
        "unassign": f"{n_faces} taken out{taken}",
        "ignore": f"{n_faces} ignored{taken}",
        "reject": f"{n_faces}: not {', '.join(data['not'])}",
        "confirm": f"{n_faces} of {', '.join(who) if isinstance(who, list) else who} confirmed",
        "hide": f"{_several(who)} hidden",
        "show": f"{_several(who)} shown",
        "cover": f"{cover} for {who}",
        "born": f"{who} born {data.get('born')}{let_go}" if data.get("born") else f"{who}: date of birth forgotten",
        "forget": f"{who} forgotten, with {n_faces}",
        "draw": f"{n_faces} added" + (f", of {who}" if who else ""),
        "present": f"{who} in {n_photos} without a face",
        "absent": f"{who} not in {n_photos} after all",
        "import": _imported(data, is_part=entry.parent_id is not None) + let_go,
        "audit": f"faults fixed, {n_faces} moved",
        "undo": f"undo of {', '.join(map(ids.decision, data.get('undone', ())))}",
        "redo": f"redo of {', '.join(map(ids.decision, data.get('redone', ())))}",
        "recluster": _regrouped(data),
    }
    return sentences.get(entry.action, entry.action)


def _imported(data: Mapping[str, Any], *, is_part: bool) -> str:
    """`is_part`: the entry is one of several of a decision, the first of which stands for all."""
    n, who = data.get("n_spoken", 0), data["who"]
    match data.get("source"):
        case "references":
            what = f"{who}: {_faces_text(data)}" if is_part else plural(n, "picture") + " of people"
            return f"{what} taken over"
        case "people":
            what = f"{who}: {_faces_text(data)}" if is_part and who else plural(n, "person", "people")
            return f"{what} taken over from another catalog"
    return f"names from files taken over, of {plural(n, 'photo')}"


def _regrouped(data: Mapping[str, Any]) -> str:
    counts = {
        "new": plural(data.get("new", 0), "new person", "new people"),
        "joined": plural(data.get("joined", 0), "person", "people") + " made part of another",
        "split": f"{data.get('split')} split",
        "vanished": f"{data.get('vanished')} vanished",
        "faces": f"{plural(data.get('faces', 0), 'face')} grouped",
    }
    said = [text for name, text in counts.items() if data.get(name)]
    how = "grouped again" if "method" in data else "grouped"
    return f"{how}: {', '.join(said) or plural(data.get('moved', 0), 'face') + ' moved'}"


def _faces_text(data: Mapping[str, Any]) -> str:
    faces = ", ".join(map(ids.face, data.get("face_ids", ())))
    return plural(data["n_faces"], "face") + (f" ({faces})" if faces and data["n_faces"] <= _FEW_FACES else "")


def _losses_text(data: Mapping[str, Any], *, has_ids: bool) -> tuple[str, str]:
    """Return from whom a decision took faces: those that it was about, and those that contradicted it."""
    losses = data.get("lost", [])
    meant = [lost["who"] for lost in losses if not lost.get("is_let_go")]
    released = [lost for lost in losses if lost.get("is_let_go")]
    if not has_ids:
        n = plural(data.get("n_released", len(released)), "face")
        return _from_whom(Counter(meant)), f"; {n} that contradicted it released" if released else ""
    let_go = [f"{ids.face(lost['face_id'])} of {lost['who']}" for lost in released]
    n_more = data.get("n_released", len(let_go)) - len(let_go[:_FEW_FACES])
    more = f" and {n_more} more" if n_more > 0 and let_go else ""
    return _from_whom(Counter(meant)), f"; released: {', '.join(let_go[:_FEW_FACES])}{more}" if let_go else ""


# --- when somebody is split ---


def split_notes(plan: SplitPlan) -> list[str]:
    """Return what is worth knowing before it is done, for somebody who types commands."""
    notes = list(split_facts(plan))
    if not plan.others:
        notes.insert(1, "to split anyway: --into 2" + ("" if plan.is_strict else ", or --strict"))
    if plan.n_loose:
        notes[-1] += "; `facewatch audit --fix` lets go of them"
    return notes


def split_facts(plan: SplitPlan) -> Iterator[str]:
    """Yield what is worth knowing before it is done; those that no settings of today would have assigned come last."""
    label = plan.person.label
    if not plan.others:
        yield (
            f"{label} looks like one person: none of the faces are clearly different"
            if not plan.is_strict
            else f"all of {label} is one person also by a stricter distance"
        )
    if plan.into is not None and len(plan.parts) != plan.into:
        yield f"{len(plan.parts)} parts instead of {plan.into}: two faces of one photo cannot stay together"
    if plan.others and plan.n_poor:
        yield f"{plural(plan.n_poor, 'face')} too small or too blurred to tell people apart went with the nearest part"
    if plan.others and plan.n_unseen:
        yield (
            f"{plural(plan.n_unseen, 'face')} that cannot be compared now (not in the library, or not seen by the "
            f"engine in use) stay with {label}"
        )
    if plan.n_loose:
        yield f"{plural(plan.n_loose, 'face')} would not have been assigned there by today's settings"


SPLIT_HEADER = ("part", "who", "faces", "photos", "spread", "distance to part 1")


def split_cells(plan: SplitPlan) -> list[tuple[object, ...]]:
    """Return a row of the table for each part."""
    return [
        (
            *(number, _part_name(plan, number), len(part.faces), len(part.photos)),
            *("-" if value is None else value for value in (part.spread, part.distance)),
        )
        for number, part in enumerate(plan.parts, 1)
    ]


def _part_name(plan: SplitPlan, number: int) -> str:
    n_assigned = plan.parts[number - 1].n_assigned
    who = plan.person.label if number == 1 else "somebody new"
    return f"{who}, {n_assigned} assigned by you" if n_assigned else who


def split_examples(catalog: Catalog, plan: SplitPlan) -> Iterator[str]:
    """Yield photos by which each part is recognised, and who keeps the name."""
    for number, examples in enumerate(_examples(catalog, plan.parts), 1):
        yield f"part {number}, for example:"
        yield from (f"  {printable(path)}" for path in examples or ["no photo that is in the library now"])
    if not plan.kept.n_assigned:
        yield "part 1 keeps the name; --keep 2 would give it to part 2"


def _examples(catalog: Catalog, parts: Sequence[Part]) -> list[list[str]]:
    """Return for each part paths of photos that stand for it."""
    sources = catalog.files.sources({photo for part in parts for photo in part.examples})
    return [[sources[photo][0] for photo in part.examples if sources.get(photo)] for part in parts]


def split_question(plan: SplitPlan) -> str:
    return f"Split {plan.person.label} into {plural(len(plan.parts), 'person', 'people')}?"


def split_lines(catalog: Catalog, plan: SplitPlan, decided: Decided, people_folder: Path) -> Iterator[str]:
    """Yield who there is now."""
    for person in filter(None, map(catalog.people.one, decided.people)):
        has = "keeps" if person.id == plan.person.id else "has"
        folder = f"  {people_folder / person.folder}" if person.folder else ""
        yield f"{person.label} {has} {plural(person.n_photos, 'photo')}{folder}"
    yield f"to undo this: facewatch undo {ids.decision(decided.entry_id or 0)}"


def split_row(catalog: Catalog, plan: SplitPlan, decided: Decided | None) -> dict[str, Any]:
    """Return the plan and what became of it; `person_id` of a part is null while it is nobody yet."""
    examples = _examples(catalog, plan.parts)
    people = decided.people if decided else (plan.person.id,)
    return {
        "person_id": plan.person.id,
        "name": plan.person.label,
        "is_done": decided is not None,
        "entry_id": decided.entry_id if decided else None,
        "parts": [
            asdict(part) | {"person_id": people[i] if i < len(people) else None, "examples": examples[i]}
            for i, part in enumerate(plan.parts)
        ],
        "notes": split_notes(plan),
    }
