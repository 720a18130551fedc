"""Open questions and what answers to them did, in sentences and as JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from facewatch import ids
from facewatch.catalog import display
from facewatch.people.lookup import faces_at, find_person
from facewatch.people.review.answers import forms_of, verbs_for
from facewatch.text import plural
from facewatch.types import Box

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.indexing.engine import SwitchProgress, WantedEngine
    from facewatch.people.lookup import FaceAt
    from facewatch.people.record import Decided
    from facewatch.people.review.answers import Answer, Verb
    from facewatch.people.review.coverage import Coverage, Outlook
    from facewatch.people.review.question import Question
    from facewatch.people.review.session import ReviewProgress

_FEW = 3
"""Faces that are named in a line."""

NO_FACES = "no faces yet: facewatch scan PHOTOS finds them"


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """A key of the review."""

    word: str
    """What it does, in a word; it may begin with the key."""
    meaning: str
    verb: Verb | None = None
    """What it answers, if anything."""
    face_id: int | None = None
    """Of the answer "face"."""

    def prompt(self, key: str) -> str:
        """Return the word with the key in it: "[y]es", "[t] name"."""
        if self.word.startswith(key):
            return f"[{key}]{self.word.removeprefix(key)}"
        return f"[{key}] {self.word}".rstrip()


KEYS = {
    "y": AnswerKey("yes", "they are", "yes"),
    "n": AnswerKey("no", "they are not; you will not be asked again", "no"),
    "d": AnswerKey("divide", "some are: ask about the two halves separately", "divide"),
    "t": AnswerKey("name", "type who it is; Enter does the same", "name"),
    "s": AnswerKey("skip", "not now", "skip"),
    "x": AnswerKey("not a face", "a statue, a picture on a wall, a mistake", "not-a-face"),
    "h": AnswerKey("hide", "somebody you want no folder and no questions for", "hide"),
    "m": AnswerKey("more", "show more of the faces"),
    "u": AnswerKey("undo", "take the last answer back"),
}
"""The keys of the review in the order in which they are shown, in terminals and on the page."""

_NONE_OF_THESE = AnswerKey("none of them", "in the photo, but none of these faces", "no")
_ANY_FACE = AnswerKey("type a number", "of any of the faces; Enter does the same", "face")


def keys_for(question: Question, verbs: Collection[Verb | None]) -> dict[str, AnswerKey]:
    """Return the keys for these answers to a question, with numbers for more faces than there are keys for."""
    faces = {str(n): AnswerKey("", f"face {n}", "face", face) for n, face in enumerate(question.loose, 1)}
    keys = faces | KEYS | {"n": _NONE_OF_THESE} if question.kind == "which" else KEYS
    return {key: one for key, one in keys.items() if one.verb in verbs}


def terminal_keys_for(question: Question, verbs: Collection[Verb | None]) -> dict[str, AnswerKey]:
    """Return the same where one key is pressed: of many faces the number is typed."""
    keys = keys_for(question, verbs).items()
    return dict((key, one) if len(key) == 1 else ("t", _ANY_FACE) for key, one in keys)


TERMINAL_KEYS = {
    "q": AnswerKey("quit", "stop; your answers are kept"),
    "?": AnswerKey("", "show these keys and the photos that the faces are from"),
}
PAGE_KEYS = {"o": AnswerKey("open photo", "see the whole photo that a face is from")}


def obstacle(catalog: Catalog, engine: WantedEngine) -> str | None:
    """Return why there can be no question now, if so."""
    if catalog.engines.in_use_id() is None or not catalog.faces.newest():
        return NO_FACES
    switch = engine.switch_progress()
    return changing_engine(switch) if switch is not None else None


def changing_engine(switch: SwitchProgress) -> str:
    return (
        f"the engine is being changed from {switch.before} to {switch.wanted}: {switch.n_done} of "
        f"{plural(switch.n_photos, 'photo')} analysed; there are questions again when `facewatch scan` is through"
    )


# --- as JSON ---


def questions_row(
    obstacle: str | None, n_open: int, n_questions: int, coverage: Sequence[Coverage], rows: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return the open questions, best first, and how much answers to them resolve."""
    return {
        "obstacle": obstacle,
        "n_open": n_open,
        "n_questions": n_questions,
        "coverage": [asdict(one) for one in coverage],
        "questions": list(rows),
    }


def question_rows(catalog: Catalog, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Return questions, with what can be said to each; to divide one is for whoever is there to see the halves."""
    faces = {face.id: _face_row(face) for face in faces_at(catalog, chain(*(one.faces for one in questions)))}
    return [
        {
            "id": question.id,
            "kind": question.kind,
            "text": question.text,
            "people": [_person_row(*one) for one in zip(question.people, question.labels, strict=True)],
            "faces": [faces[face_id] for face_id in dict.fromkeys(question.faces) if face_id in faces],
            "n_faces": question.n_faces,
            "settles": question.settles,
            "chance": question.chance,
            "answers": list(forms_of(question, (verb for verb in verbs_for(catalog, question) if verb != "divide"))),
        }
        for question in questions
    ]


def _person_row(person_id: int, label: str) -> dict[str, Any]:
    return {"id": person_id, "label": label}


def _face_row(face: FaceAt) -> dict[str, Any]:
    # `asdict` copies every number: 2 of the seconds that 40,000 faces take.
    box = {name: getattr(face.box, name) for name in Box.__slots__}
    return {"id": face.id, "photo": face.file, "number": face.number or None, "box": box}


def answer_row(catalog: Catalog, question: Question, answer: Answer) -> dict[str, Any]:
    return {"id": question.id, "answer": str(answer), "outcome": outcome(catalog, question, answer)}


def decision_row(catalog: Catalog, decided: Decided) -> dict[str, Any]:
    people = [person for person in map(catalog.people.one, decided.people) if person]
    row = asdict(decided) | {"people": [_person_row(person.id, person.label) for person in people]}
    row["id"] = row.pop("entry_id")
    return row


# --- what an answer did ---


def outcome(catalog: Catalog, question: Question, answer: Answer) -> str:
    """Return what an answer did."""
    faces, belong = plural(question.n_faces, "face"), "belongs" if question.n_faces == 1 else "belong"
    match answer.verb:
        case "face":
            return f"face {ids.face(answer.face_id or 0)} is {_name_asked(question)} now"
        case "no" if question.dropped is not None:
            return f"none of these is {_name_asked(question)}, who is in the photo without a face"
        case "yes" if question.kind == "still":
            stay, label = "stays" if question.n_faces == 1 else "stay", _label_now(catalog, str(question.people[0]))
            return f"{faces} {stay} with {label}; you will not be asked again"
        case "yes":
            return f"{faces} {belong} to {_label_now(catalog, str(question.people[0]))} now"
        case "name":
            return f"{faces} {belong} to {_label_now(catalog, answer.name)} now"
        case "no" if question.kind == "one":
            return f"{question.labels[0]} and {question.labels[1]} are different people; you will not be asked again"
        case "no":
            return f"{faces}: not {question.labels[0]}; you will not be asked again"
        case "not-a-face":
            return f"{faces} ignored: never shown or asked about again"
        case "hide":
            return _hidden(question)
        case "divide":
            return "the two halves come as separate questions"
        case "skip":
            return "skipped; the next review asks again"


def _name_asked(question: Question) -> str:
    """Return who is asked about, also somebody new."""
    return question.labels[0] if question.labels else str(question.dropped.to if question.dropped else "")


def _label_now(catalog: Catalog, who: str) -> str:
    # Another answer may have made it one with somebody else.
    return find_person(catalog, who).label


def _hidden(question: Question) -> str:
    groups = question.labels[1:] if question.kind == "is" else question.labels
    said = [f"{' and '.join(groups)} {'is' if len(groups) == 1 else 'are'} hidden"] if groups else []
    if question.loose:
        n = len(question.loose)
        said.append(f"{plural(n, 'face')} {'stays' if n == 1 else 'stay'} with nobody")
    return "; ".join(said)


def released(decided: Iterable[Decided]) -> str:
    """Return what had to make room, if anything, and whose it was."""
    losses = [lost for one in decided for lost in one.lost if lost.is_let_go]
    if not losses:
        return ""
    named = ", ".join(f"{ids.face(lost.face_id)} of {lost.who}" for lost in losses[:_FEW])
    more = f" and {len(losses) - _FEW} more" if len(losses) > _FEW else ""
    belong = "belongs" if len(losses) == 1 else "belong"
    return f"; {plural(len(losses), 'face')} that contradicted it {belong} to nobody now: {named}{more}"


def what_all_did(decided: Iterable[Decided], n_settled: int, n_open: int) -> str:
    """Return what several answers did together."""
    return f"{plural(n_settled, 'face')} resolved{released(decided)}; {n_open} open"


# --- how far it is ---


def nothing_to_ask(n_open: int) -> str:
    if n_open:
        return f"nothing to ask: {plural(n_open, 'face')} cannot be recognised, all others are resolved"
    return "nothing to ask: every face that can be recognised belongs to somebody"


def nothing_else(n_skipped: int) -> str:
    return "nothing else to ask" + (f"; {plural(n_skipped, 'question')} skipped" if n_skipped else "")


def introduction(n_open: int, coverage: Sequence[Coverage]) -> str:
    """Say how many answers resolve how many faces."""
    first, *others = coverage
    more = "".join(f", {one.n_answers} {_share(one.share)}" for one in others)
    resolve = "resolves" if first.n_answers == 1 else "resolve"
    return (
        f"{plural(n_open, 'face is', 'faces are')} still open; {plural(first.n_answers, 'answer')} {resolve} "
        f"{_share(first.share)} of them{more}"
    )


def progress(done: ReviewProgress, covered: Coverage) -> str:
    return (
        f"{done.n_answered} answered, {plural(max(0, done.n_settled), 'face')} resolved; "
        f"{plural(covered.n_answers, 'more answer')} {'resolves' if covered.n_answers == 1 else 'resolve'} "
        f"{_share(covered.share)} of the {done.n_open} open"
    )


def outlook(found: Outlook) -> str:
    """Return how far a library is named, and what answers would bring."""
    named = f"{100 * found.share:.0f} % of faces named"
    if not found.n_answers:
        return named
    return f"{named}; about {plural(found.n_answers, 'answer')} to {100 * found.goal:.0f} %"


def heading(question: Question) -> str:
    """Return a question as a heading."""
    return question.text[:1].upper() + question.text[1:]


def passed_over(question: Question) -> str:
    return f"“{heading(question)}” is resolved meanwhile"


def not_open(question_id: str) -> str:
    return f"{question_id!r} is no open question: it was never asked, or is resolved meanwhile"


def answer_words(answer: Answer) -> str:
    """Return an answer in a word or two."""
    if answer.verb == "face":
        return f"face {ids.face(answer.face_id or 0)}"
    words = {one.verb: one.word for one in KEYS.values() if one.verb}
    return answer.name if answer.verb == "name" else words[answer.verb]


def summary(*, n_answers: int, n_skipped: int, n_settled: int, n_open: int) -> str:
    """Return what was done, at the end."""
    skipped = f", {plural(n_skipped, 'question')} skipped" if n_skipped else ""
    done = f"{plural(n_answers, 'answer')}{skipped}, {plural(n_settled, 'face')} resolved, {n_open} open"
    return done if n_answers else f"{done}\nnothing was changed"


def _share(share: float) -> str:
    return f"about {100 * share:.0f} %"


def place(face: FaceAt) -> str:
    """Return where a face is, as commands take it."""
    return f"{display(face.file)}:{face.number}" if face.file and face.number else f"face {ids.face(face.id)}"
