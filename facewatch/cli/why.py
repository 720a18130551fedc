"""The command `why`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from facewatch import ids
from facewatch.cli.output import echo, local_time, plural, print_json
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.people.explain import BarRule, Verdict
from facewatch.presentation.corrections import describe
from facewatch.presentation.explain import NOBODY_LIKE_IT, advice, bar_text, cause, notes, shortfall_text, why_row
from facewatch.text import beside_strangers, printable, told_apart
from facewatch.types import Tier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from facewatch.app import App
    from facewatch.people.explain import Likeness, Rematch, Why
    from facewatch.service.explaining import Explained


@command("why", "Explain why a face is where it is.")
@click.argument("what", metavar="PHOTO|FACE")
@click.option("--all", "is_complete", is_flag=True, help="Also the other faces of the photo, where one is meant.")
@json_option
@pass_state
def why(state: State, what: str, is_complete: bool, as_json: bool) -> None:
    """Explain for every face in PHOTO, or for one FACE, who it is, why, how sure that is, and what would change it.

    FACE is an id (f812), or a photo and which face from the left: holiday.jpg:2. Distances are Euclidean between unit
    vectors: 0 is the same picture, and the less, the more alike. Of a similarity (1 is the same picture) only what is
    more than strangers have says who it is. A link in somebody's folder means that person's face.

    \b
    Example:
      facewatch why ~/People/Anna/IMG_1234.jpg
      facewatch why holiday.jpg:2
      facewatch why f812 --json
    """
    from facewatch.service.explaining import explain

    with state.app() as app:
        explained = explain(app, what, is_complete=is_complete)
        if as_json:
            print_json(_why_json(explained))
        else:
            _print_why(app, explained)


def _why_json(explained: Explained) -> dict[str, Any]:
    """Return the facts; what `why` adds to a face never has the name of a column of the catalog but where it is the
    same."""
    faces = [{**one.face, **why_row(one)} for one in explained.whys]
    return {**explained.photo, "n_faces": explained.n_faces, "notes": list(explained.notes), "faces": faces}


def _print_why(app: App, explained: Explained) -> None:
    photo = explained.photo
    path = printable(str(photo["path"] or "a photo that is not in the library now"))
    for note in explained.notes if photo["faces"] else ():
        echo(note)
    if photo["fault"]:
        echo(f"{path}: {photo['fault']}")
    elif not photo["faces"] and photo["is_waiting"]:
        echo(f"{path}: its faces are shown when the change of engine is complete: facewatch status")
    elif not photo["faces"]:
        echo(f"{path}: no face found")
    else:
        echo(f"{path}: {plural(explained.n_faces, 'face')}")
    for one in explained.whys:
        click.echo()
        who = _VERDICTS.get(one.verdict) or f"{printable(one.name or '')} ({ids.person(one.person_id or 0)})"
        echo(f"face {one.number} from the left ({_size(one.face)}, {ids.face(one.face_id)}): {who}")
        for title, lines in _sections(app, one):
            _print_section(title, lines)
    n_others = explained.n_faces - len(explained.whys)
    if n_others:
        click.echo(f"\nand {plural(n_others, 'other face')} of this photo: --all tells of all")


_VERDICTS = {
    Verdict.NOBODY: "nobody",
    Verdict.NOBODY_BY_USER: "nobody, as you said",
    Verdict.NOT_A_FACE: "not a face, as you said",
    Verdict.FORGOTTEN: "forgotten",
}

_TITLE_WIDTH = 12


def _print_section(title: str, lines: Sequence[str]) -> None:
    for i, line in enumerate(lines):
        head = title if i == 0 else ""
        echo(f"  {head:<{_TITLE_WIDTH}}{line}")


def _sections(app: App, one: Why) -> Iterator[tuple[str, list[str]]]:
    """Yield the paragraphs about a face."""
    yield "why", [cause(one), *_when_lines(app, one)]
    if one.rematch is not None:
        yield "looks like", list(_look_lines(one, one.rematch))
    if one.barred:
        yield "cannot be", list(_bar_lines(one))
    yield "picture", [f"{_TIERS[one.tier]}; quality {one.face['quality']:.2f} of 1", *_shortfall_lines(one)]
    if said := notes(one):
        yield "note", said
    yield "to change", _advice_lines(one)


def _size(face: Mapping[str, Any]) -> str:
    return f"{face['w']}x{face['h']} pixels at {face['x']},{face['y']}"


def _when_lines(app: App, one: Why) -> Iterator[str]:
    if one.at is not None:
        run_kind, began = (one.placing.run_kind, one.placing.run_started_at) if one.placing else (None, None)
        run = f", by the {run_kind} that began {local_time(began)}" if run_kind else ""
        yield f"since {local_time(one.at)}{run}"
    for entry_id in one.decisions:
        entry = app.catalog.journal.one(entry_id)
        if entry is not None:
            yield f"you decided {local_time(entry.at)}: {describe(entry)} ({ids.decision(entry.id)})"


def _look_lines(one: Why, look: Rematch) -> Iterator[str]:
    if not look.likenesses:
        yield "nobody: no other face is known"
        return
    barred = {bar.person_id for bar in one.barred}
    for near in _told(one, look):
        cannot = ", whom it cannot be" if near.person_id in barred else ""
        yield f"{near.name}{cannot}: {_distances(near)}"
        where = f" in {near.nearest.photo}" if near.nearest.photo else ""
        confirmed = ", which you confirmed" if near.nearest.is_confirmed else ""
        that = "the nearest" if near.aggregation in ("mean", "centroid") else "that"
        yield f"    {that} is face {ids.face(near.nearest.face_id)}{where}{confirmed}"
        if near.evidence is not None:
            similarity = beside_strangers(near.evidence.similarity, near.evidence.strangers)
            yield f"    similarity to {near.name} as a whole {similarity}"
    judged = look.of(look.judged_id) or look.likenesses[0]
    if judged.rival is not None and judged.lead is not None:
        lead, margin = told_apart(judged.lead, judged.margin)
        if judged.lead >= 0:
            yield f"runner-up to {judged.name}: {judged.rival.name}, {lead} farther (clear from {margin} on)"
        else:
            yield f"nearer than {judged.name}: {judged.rival.name}, by {lead.removeprefix('-')}"
    yield _outcome(one, look)


def _distances(near: Likeness) -> str:
    """Say what `match.aggregation` looks at, each with its limit."""
    words = {"mean": "all faces on average", "centroid": "the centroid of all"}.get(
        near.aggregation, "the nearest face"
    )
    distance, limit = told_apart(near.distance, near.limit)
    said = f"{distance} from {words} (limit {limit})"
    if near.centroid_limit is None:
        return said
    middle, middle_limit = told_apart(near.centroid_distance, near.centroid_limit)
    return f"{said}, {middle} from the centroid of all (limit {middle_limit})"


def _told(one: Why, look: Rematch) -> list[Likeness]:
    """Return the one that it looks like most, the one that decides, and those that it is or would be."""
    wanted = (one.person_id, look.person_id, look.judged_id)
    return [near for i, near in enumerate(look.likenesses) if i == 0 or near.person_id in wanted]


def _outcome(one: Why, look: Rematch) -> str:
    compared = f"as a new face among {plural(look.n_known, 'known face')} it would be "
    if look.person_id is None:
        judged = look.of(look.judged_id)
        return f"{compared}nobody: {f'of {judged.name} the ' if judged else ''}{look.rule or NOBODY_LIKE_IT}"
    if look.person_id == one.person_id:
        return f"{compared}{one.name} again"
    return compared + (would.name if (would := look.of(look.person_id)) else "somebody else")


def _bar_lines(one: Why) -> Iterator[str]:
    for bar in one.barred:
        if bar.rule is not BarRule.IN_PHOTO:
            yield bar_text(bar) + (f" ({local_time(bar.at)})" if bar.at else "")
    present = list(dict.fromkeys(bar.name for bar in one.barred if bar.rule is BarRule.IN_PHOTO))
    if present:
        places = "a run never places two faces of one photo with one person"
        yield f"{', '.join(present)}: already in this photo, and {places}"


_TIERS = {
    Tier.FOUND: "good",
    Tier.MATCH: "fair: must be closer than a good one to be recognised, and cannot start a new person",
    Tier.SHOW: "too poor to be recognised",
}


def _shortfall_lines(one: Why) -> Iterator[str]:
    for short in one.shortfalls:
        if short.value is None or short.least is None:
            yield shortfall_text(short)
            continue
        value, least = told_apart(short.value, short.least, n_digits=2 if short.least < 1 else 0)
        yield f"{shortfall_text(short)}: {value}, at least {least} is needed"


def _advice_lines(one: Why) -> list[str]:
    found = advice(one)
    width = max(len(each.command) for each in found)
    return [f"{each.command:<{width}}  {each.text}" for each in found]
