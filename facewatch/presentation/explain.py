"""Why a face is where it is, in sentences: made from the facts of `people.explain`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facewatch import ids
from facewatch.catalog import USER, Mark, display
from facewatch.catalog.assignments import Assignment, How
from facewatch.matching import Aggregation
from facewatch.people.explain import Bar, BarRule, Verdict, Why
from facewatch.people.lookup import handle_of
from facewatch.people.rematch import Likeness, Rematch
from facewatch.presentation import local_time
from facewatch.presentation.corrections import describe
from facewatch.quality import Lack, Shortfall
from facewatch.text import beside_strangers, distinguished, plural, printable
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Presence
    from facewatch.people.explain import Explained

_PROFILE = 0.7
"""`quality.pose_of`: from here on one cheek is hidden."""

NOBODY_LIKE_IT = "nobody whom it could be looks like it"


@dataclass(frozen=True, slots=True)
class Advice:
    """What would change where a face is."""

    command: str
    """To be typed; empty: nothing can be typed for it."""
    text: str


# --- why it is so ---

_MARKED = {
    Mark.NOBODY: "you took it out: it belongs to nobody until you say whose it is",
    Mark.NOT_A_FACE: "you said that it is no face",
    Mark.FORGOTTEN: "you had its person forgotten: it is compared with nobody",
}


def cause(why: Why) -> str:
    """Return how it came to where the face is."""
    if why.mark is not None:
        return _MARKED[why.mark]
    if why.assignment is not None:
        return _assigned_how(why.assignment, why.name or "")
    if why.tier is Tier.SHOW:
        return "too poor to be recognised: it is only shown"
    if why.rematch is None:
        return "nobody has been recognised"
    if why.rematch.person_id is not None:
        return "it has not been matched since it could be recognised: the next scan does that"
    return _refused_why(why, why.rematch)


_PLACED = {
    How.PLACED: "you assigned it to {name}",
    How.CONFIRMED: "you confirmed that it is {name}",
    How.RECOGNISED: "recognised: near enough to faces of {name}, and nobody else came as near",
    How.GROUPED: "grouped: it and other faces of {name} looked alike and like nobody else",
    How.IMPORTED: "imported with the name {name} ({source})",
    How.FOLDER: "found in a folder that bears the name {name}",
}


def _assigned_how(assignment: Assignment, name: str) -> str:
    said = _PLACED[assignment.how].format(name=name, source=assignment.came_from)
    if assignment.split_from is not None:
        said += f"; then split from {assignment.split_from} by you"
    if assignment.known_from is not None:
        said += f"; carried over from the engine {assignment.known_from}, which had recognised it"
    return said


_AS_A_WHOLE = frozenset({Aggregation.MEAN, Aggregation.CENTROID})


def _refused_why(why: Why, rematch: Rematch) -> str:
    """Say why it is nobody, from what the gallery said."""
    near = why.possible
    if not rematch.likenesses:
        return "nobody is known yet whom it could be"
    nearest = rematch.likenesses[0]
    bar = next((bar for bar in why.barred if bar.person_id == nearest.person_id), None)
    if bar is not None and nearest.distance <= nearest.limit:
        return f"it looks most like {nearest.name}, but {bar_text(bar)}"
    if near is None:
        return NOBODY_LIKE_IT
    whom = "whom it could be" if bar is not None else "who is known"
    if near.distance > near.limit + near.margin:
        return f"nobody {whom} looks like it; the nearest is {near.name}, who is too far off"
    if near.distance > near.limit:
        of_them = "of those whom it could be " if bar is not None else ""
        what = f"{near.name} as a whole" if near.aggregation in _AS_A_WHOLE else f"any face of {near.name}"
        return f"{of_them}it looks most like {near.name}, but is not near enough to {what}"
    if near.centroid_missing > 0:
        return f"it is near to one face of {near.name}, but not to {near.name} as a whole"
    if near.rival is not None and near.lead is not None and near.is_rivalled:
        more = "nearly as much" if near.lead >= 0 else "more"
        return f"it could be {near.name}, but looks {more} like {near.rival.name}"
    return f"it could be {near.name}, but {rematch.rule}"


# --- whom it cannot be, and what it lacks ---


def bar_text(bar: Bar) -> str:
    """Return why no run takes the face for somebody."""
    match bar.rule:
        case BarRule.REJECTED:
            return f"you said that it is not {bar.name}"
        case BarRule.IN_PHOTO:
            return f"{bar.name} is in this photo already, as face {bar.number} from the left"
        case BarRule.BORN_LATER:
            return f"{bar.name} was born in {bar.born}, and the photo was taken on {bar.taken_on}"


_LACKS = {
    Lack.SIZE: "too small",
    Lack.SHARPNESS: "too blurred",
    Lack.LIGHT: "too dark",
    Lack.SHADE: "too bright",
    Lack.CERTAINTY: "the detector is not sure that it is a face",
    Lack.DETAIL: "too little in it tells it from other faces",
    Lack.NOISE: "too noisy",
}


def shortfall_text(short: Shortfall) -> str:
    """Return what makes a face a poor one."""
    if short.lack is Lack.COVERED and short.covered is not None:
        return f"{short.covered.value} covered"
    turned = ", the way it is turned" if short.lack is Lack.CERTAINTY and short.is_turned else ""
    return _LACKS[short.lack] + turned


def notes(why: Why) -> list[str]:
    """Return what else is worth knowing about a face."""
    return list(_notes(why))


def _notes(why: Why) -> Iterator[str]:
    for bar in why.despite:
        yield f"it is {why.name}, although {bar_text(bar)}"
    if why.before is not None:
        where = f"now {display(why.before.path)}" if why.before.path else "which is gone"
        yield f"carried over from another version of this photo, {where}: what was said there holds here"
    if why.mark is None and why.rematch is None and why.can_compare:
        yield "the engine in use does not see this face, so that it cannot be compared now"
    if why.assignment and why.rematch and why.own is None:
        yield f"it is the only face of {why.name} that can be compared"
    if why.face["is_drawn"]:
        yield "you drew the box round it: no detector had found it in the photo"
    if turn := why.face["turn"]:
        lies = "upside down" if turn == 180 else "on its side"
        yield f"it lies {lies} in the photo: turned clockwise by {turn} degrees it is upright"
    if (pose := why.face["pose"] or 0.0) >= _PROFILE:
        yield f"the face is turned away ({pose:.1f} of 1): such faces are recognised less well"
    for two in why.cannot_link:
        yield f"you said that {two.name} and {two.other} are two people"


# --- what would change it ---


def advice(why: Why) -> list[Advice]:
    """Return what would change where a face is."""
    return list(_advice(why))


def _advice(why: Why) -> Iterator[Advice]:
    face = ids.face(why.face_id)
    if why.mark is not None:
        yield Advice(f"facewatch assign {face} NAME", "if it is somebody after all")
    elif why.assignment is not None:
        yield from _advice_assigned(why, why.assignment)
    else:
        yield from _advice_nobody(why)
    if why.decisions:
        yield Advice(f"facewatch undo {ids.decision(why.decisions[0])}", "takes back your last decision about it")


def _advice_assigned(why: Why, assignment: Assignment) -> Iterator[Advice]:
    face, name = ids.face(why.face_id), why.name
    rematch = why.rematch
    if (
        rematch
        and rematch.person_id not in (None, assignment.person_id)
        and (other := rematch.of(rematch.person_id)) is not None
    ):
        yield Advice(f"facewatch assign {face} {handle_of(other.person_id, other.name)}", f"if it is {other.name}")
    if assignment.source == USER:
        yield Advice(f"facewatch assign {face} NAME", "if it is somebody else")
        yield Advice(f"facewatch unassign {face}", "if you do not know whose it is")
        return
    yield Advice(f"facewatch reject {face}", f"if it is not {name}")
    yield Advice(f"facewatch assign {face} NAME", "if you know who it is")
    yield Advice(f"facewatch confirm {face}", f"if it is {name}: then no run ever moves it")


def _advice_nobody(why: Why) -> Iterator[Advice]:
    face, rematch, near = ids.face(why.face_id), why.rematch, why.possible
    if rematch and rematch.person_id is not None:
        yield Advice("facewatch scan", "assigns it")
    elif rematch and near is not None and why.tier is not Tier.SHOW and near.distance <= near.limit + near.margin:
        yield from _advice_near(why, near)
    for bar in why.barred:
        if bar.rule is BarRule.REJECTED:
            yield Advice(
                f"facewatch assign {face} {handle_of(bar.person_id, bar.name)}", f"if it is {bar.name} after all"
            )
        elif bar.face_id is not None and (own := rematch.of(bar.person_id) if rematch else None) and own.is_within:
            # Both, because what a run assigned beside a face that is assigned makes room for it.
            both = f"{ids.face(bar.face_id)} {face}"
            yield Advice(
                f"facewatch assign {both} {handle_of(bar.person_id, bar.name)}",
                f"if both are {bar.name}, as in a collage or a mirror: only you can say so, a run never does",
            )
    yield Advice(f"facewatch assign {face} NAME", "if you know who it is; with --new for somebody new")
    if why.tier is not Tier.SHOW:
        yield Advice(f"facewatch ignore {face}", "if it is no face")


def _advice_near(why: Why, near: Likeness) -> Iterator[Advice]:
    missing, rival = max(near.distance - near.limit, near.centroid_missing), near.rival
    text = f"if it is {near.name}"
    if missing > 0 and not near.is_rivalled:
        nearer, _ = distinguished(missing, 0.0)
        text += f"; {nearer} nearer would have done: more photos of {near.name} bring that about"
    yield Advice(f"facewatch assign {ids.face(why.face_id)} {handle_of(near.person_id, near.name)}", text)
    barred = {bar.person_id for bar in why.barred}
    if missing <= 0 and near.is_rivalled and rival is not None and rival.person_id not in barred:
        one, other = handle_of(near.person_id, near.name), handle_of(rival.person_id, rival.name)
        yield Advice(f"facewatch merge {one} {other}", f"if {near.name} and {rival.name} are one person")


# --- who is in it without a face ---


def present_text(present: Presence) -> str:
    """Return that somebody is in a photo by the user's word alone."""
    return f"{printable(present.name)} ({ids.person(present.person_id)}): in it without a face, as you said"


# --- of the photo as a whole ---


def photo_notes(explained: Explained) -> list[str]:
    """Return what holds for all faces of a photo."""
    found = [explained.stale_link] if explained.stale_link else []
    if explained.engine_fault is not None:
        found.append(f"how near the faces are to anybody cannot be computed now: {explained.engine_fault}")
    engine = explained.engine
    if engine is not None and engine.wanted is not None:
        found.append(
            f"the engine is being changed from {engine.info.name} to {engine.wanted}: until that is complete, what "
            f"{engine.info.name} found stands, and nobody new is recognised (facewatch status)"
        )
    return found


# --- at a terminal ---


def photo_lines(explained: Explained) -> Iterator[str]:
    """Yield what is said of a photo as a whole."""
    photo = explained.photo
    path = printable(str(photo["path"] or "a photo that is not in the library now"))
    if photo["faces"]:
        yield from photo_notes(explained)
    if photo["fault"]:
        yield f"{path}: {photo['fault']}"
    elif not photo["faces"] and photo["is_waiting"]:
        yield f"{path}: its faces are shown when the change of engine is complete: facewatch status"
    elif not photo["faces"]:
        yield f"{path}: no face found"
    else:
        yield f"{path}: {plural(explained.n_faces, 'face')}"
    for present in explained.present:
        yield present_text(present)


def face_lines(catalog: Catalog, one: Why) -> Iterator[str]:
    """Yield what is said of a face."""
    who = _VERDICTS.get(one.verdict) or f"{printable(one.name or '')} ({ids.person(one.person_id or 0)})"
    yield f"face {one.number} from the left ({_size(one.face)}, {ids.face(one.face_id)}): {who}"
    for title, paragraph in _sections(catalog, one):
        for i, line in enumerate(paragraph):
            yield f"  {'' if i else title:<{_TITLE_WIDTH}}{line}"


def others_line(explained: Explained) -> str:
    """Return how many faces of the photo nothing was said of; "": there are none."""
    n_others = explained.n_faces - len(explained.whys)
    return f"and {plural(n_others, 'other face')} of this photo: --all shows all" if n_others else ""


def compared_faces(one: Why) -> list[tuple[int, str]]:
    """Return the face and the nearest ones of those whom it looks like, each with what stands under it."""
    near = _likenesses_to_show(one, one.rematch) if one.rematch else []
    others = [(like.nearest.face_id, f"{display(like.name)}\n{like.distance:.2f}") for like in near]
    return [(one.face_id, f"face {one.number}\n"), *others]


_VERDICTS = {
    Verdict.NOBODY: "nobody",
    Verdict.NOBODY_BY_USER: "nobody, as you said",
    Verdict.NOT_A_FACE: "not a face, as you said",
    Verdict.FORGOTTEN: "forgotten",
}

_TITLE_WIDTH = 12


def _sections(catalog: Catalog, one: Why) -> Iterator[tuple[str, list[str]]]:
    yield "why", [cause(one), *_when_lines(catalog, one)]
    if one.rematch is not None:
        yield "looks like", list(rematch_lines(one, one.rematch))
    if one.barred:
        yield "cannot be", list(bar_lines(one))
    yield "picture", [f"{_TIERS[one.tier]}; quality {one.face['quality']:.2f} of 1", *_shortfall_lines(one)]
    if said := notes(one):
        yield "note", said
    yield "to change", _advice_lines(one)


def _size(face: Mapping[str, Any]) -> str:
    return f"{face['w']}x{face['h']} pixels at {face['x']},{face['y']}"


def _when_lines(catalog: Catalog, one: Why) -> Iterator[str]:
    if one.at is not None:
        run_kind, began = (one.assignment.run_kind, one.assignment.run_started_at) if one.assignment else (None, None)
        run = f", by the {run_kind} that began {local_time(began)}" if run_kind else ""
        yield f"since {local_time(one.at)}{run}"
    for entry_id in one.decisions:
        entry = catalog.journal.one(entry_id)
        if entry is not None:
            yield f"you decided {local_time(entry.at)}: {describe(entry)} ({ids.decision(entry.id)})"


def rematch_lines(one: Why, rematch: Rematch) -> Iterator[str]:
    if not rematch.likenesses:
        yield "nobody: no other face is known"
        return
    barred = {bar.person_id for bar in one.barred}
    for near in _likenesses_to_show(one, rematch):
        cannot = ", whom it cannot be" if near.person_id in barred else ""
        yield f"{near.name}{cannot}: {_distances(near)}"
        where = f" in {near.nearest.photo}" if near.nearest.photo else ""
        confirmed = ", which you confirmed" if near.nearest.is_confirmed else ""
        that = "the nearest" if near.aggregation in _AS_A_WHOLE else "that"
        yield f"    {that} is face {ids.face(near.nearest.face_id)}{where}{confirmed}"
        if near.evidence is not None:
            similarity = beside_strangers(near.evidence.similarity, near.evidence.strangers)
            yield f"    similarity to {near.name} as a whole {similarity}"
    judged = rematch.of(rematch.judged_id) or rematch.likenesses[0]
    if judged.rival is not None and judged.lead is not None:
        lead, margin = distinguished(judged.lead, judged.margin)
        if judged.lead >= 0:
            yield f"runner-up to {judged.name}: {judged.rival.name}, {lead} farther (clear from {margin} on)"
        else:
            yield f"nearer than {judged.name}: {judged.rival.name}, by {lead.removeprefix('-')}"
    yield _outcome(one, rematch)


def _distances(near: Likeness) -> str:
    """Say which distances `match.aggregation` compares, each with its limit."""
    words = {Aggregation.MEAN: "all faces on average", Aggregation.CENTROID: "the centroid of all"}.get(
        near.aggregation, "the nearest face"
    )
    distance, limit = distinguished(near.distance, near.limit)
    said = f"{distance} from {words} (limit {limit})"
    if near.centroid_limit is None:
        return said
    middle, middle_limit = distinguished(near.centroid_distance, near.centroid_limit)
    return f"{said}, {middle} from the centroid of all (limit {middle_limit})"


def _likenesses_to_show(one: Why, rematch: Rematch) -> list[Likeness]:
    """Return the one that it looks like most, the one that decides, and those that it is or would be."""
    wanted = (one.person_id, rematch.person_id, rematch.judged_id)
    return [near for i, near in enumerate(rematch.likenesses) if i == 0 or near.person_id in wanted]


def _outcome(one: Why, rematch: Rematch) -> str:
    compared = f"as a new face among {plural(rematch.n_known, 'known face')} it would be "
    if rematch.person_id is None:
        judged = rematch.of(rematch.judged_id)
        return f"{compared}nobody: {f'of {judged.name} the ' if judged else ''}{rematch.rule or NOBODY_LIKE_IT}"
    if rematch.person_id == one.person_id:
        return f"{compared}{one.name} again"
    return compared + (would.name if (would := rematch.of(rematch.person_id)) else "somebody else")


def bar_lines(one: Why) -> Iterator[str]:
    for bar in one.barred:
        if bar.rule is not BarRule.IN_PHOTO:
            yield bar_text(bar) + (f" ({local_time(bar.at)})" if bar.at else "")
    present = list(dict.fromkeys(bar.name for bar in one.barred if bar.rule is BarRule.IN_PHOTO))
    if present:
        places = "a run never assigns two faces of one photo to one person"
        yield f"{', '.join(present)}: already in this photo, and {places}"


_TIERS = {
    Tier.ENROLL: "good",
    Tier.MATCH: "fair: must be closer than a good one to be recognised, and cannot start a new person",
    Tier.SHOW: "too poor to be recognised",
}


def _shortfall_lines(one: Why) -> Iterator[str]:
    for short in one.shortfalls:
        if short.value is None or short.least is None:
            yield shortfall_text(short)
            continue
        value, least = distinguished(short.value, short.least, n_digits=2 if short.least < 1 else 0)
        yield f"{shortfall_text(short)}: {value}, at least {least} is needed"


def _advice_lines(one: Why) -> list[str]:
    found = advice(one)
    width = max(len(each.command) for each in found)
    return [f"{each.command:<{width}}  {each.text}" for each in found]
