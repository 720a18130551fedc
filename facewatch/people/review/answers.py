"""What users say to questions, and the decisions that come of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from facewatch import ids
from facewatch.catalog import USER, Catalog
from facewatch.errors import DecisionError, NotKnownError
from facewatch.folders.asked import Asked, asked_in
from facewatch.people.corrections import Decisions
from facewatch.people.dropped import is_open as is_still_asked
from facewatch.people.lookup import clean_name, find_person, name_key
from facewatch.people.review.question import Question

Verb = Literal["face", "yes", "no", "name", "not-a-face", "hide", "divide", "skip"]

_VERBS: dict[str, tuple[Verb, ...]] = {
    "which": ("face", "no", "skip"),
    "is": ("yes", "no", "name", "not-a-face", "hide", "skip"),
    "one": ("yes", "no", "name", "skip"),
    "still": ("yes", "no", "name", "not-a-face", "skip"),
    "who": ("name", "not-a-face", "hide", "skip"),
    "strangers": ("hide", "not-a-face", "skip"),
}
"""What can be said to each kind of question. To divide one is for whoever is there to see the halves."""


@dataclass(frozen=True, slots=True)
class Answer:
    verb: Verb
    name: str = ""
    """Of verb "name"."""
    face_id: int | None = None
    """Of verb "face"."""

    def __str__(self) -> str:
        if self.verb == "face" and self.face_id is not None:
            return f"face:{ids.face(self.face_id)}"
        return f"name:{self.name}" if self.verb == "name" else self.verb


def parse_answer(text: str) -> tuple[str, Answer]:
    """Return the question's id and what is said to it: "is:p5:3fa9c1=yes", "who:p12=name:Anna".

    Raises:
        NotKnownError: it says something else.
    """
    question_id, equals, said = (part.strip() for part in text.partition("="))
    verb, _, name = said.partition(":")
    if not equals or not question_id:
        raise NotKnownError(f"{text!r} is no answer; write QUESTION=ANSWER, for example who:p12=name:Anna")
    if verb == "name":
        return question_id, Answer("name", clean_name(name))
    if verb == "face" and (face := ids.read_id(name)) is not None and face.kind != ids.PERSON:
        return question_id, Answer("face", face_id=face.number)
    for known in get_args(Verb):
        if said == known and known not in ("divide", "face"):
            return question_id, Answer(known)
    raise NotKnownError(
        f"{text!r}: {said!r} is no answer; there is yes, no, name:NAME, face:ID, not-a-face, hide and skip"
    )


def check_answers(
    catalog: Catalog, questions: Iterable[Question], texts: Sequence[str]
) -> list[tuple[Question, Answer]]:
    """Return what is answered; nothing is decided yet.

    Args:
        questions: those that are open.

    Raises:
        NotKnownError: an answer is none, or fits no open question.
        DecisionError: two answers contradict each other; the message says which.
    """
    by_id = {question.id: question for question in questions}
    said: dict[str, Answer] = {}
    checked: list[tuple[Question, Answer]] = []
    for text in texts:
        question_id, answer = parse_answer(text)
        question_id = written_out(question_id)
        if question_id not in by_id:
            raise NotKnownError(
                f"{question_id!r} is no open question: it was never asked, or is resolved meanwhile; "
                "`facewatch review --json` lists those that are open"
            )
        check_answer(by_id[question_id], answer)
        if said.setdefault(question_id, answer) != answer:
            raise DecisionError(f"{question_id} is answered twice: {said[question_id]} and {answer}; answer it once")
        if (by_id[question_id], answer) not in checked:
            checked.append((by_id[question_id], answer))
    _check_together(catalog, checked)
    return checked


def written_out(question_id: str) -> str:
    """Return the id of a question with the letters that say what its numbers are: they were not always there."""
    kind, *parts = question_id.lower().split(":")
    if kind == "who" and parts[:1] == ["face"]:
        parts = ["+".join(f"{ids.FACE}{face}" for face in ":".join(parts[1:]).split("+"))]
    n_people = {"is": 1, "one": 2, "still": 1, "who": 1}.get(kind, 0)
    people = (f"{ids.PERSON}{part}" if part.isdecimal() else part for part in parts[:n_people])
    return ":".join((kind, *people, *parts[n_people:]))


def check_answer(question: Question, answer: Answer) -> None:
    """Raises:
    NotKnownError: this cannot be said to that question.
    """
    is_other_face = answer.verb == "face" and answer.face_id not in question.loose
    if answer.verb not in _verbs_of(question) or is_other_face:
        possible = ", ".join(forms_of(question, _VERBS[question.kind]))
        raise NotKnownError(f"{question.id} ({question.text}) cannot be answered with {answer}; there is {possible}")


def _verbs_of(question: Question) -> tuple[Verb, ...]:
    is_divisible = question.kind in ("is", "still")
    return (*_VERBS[question.kind], "divide") if is_divisible else _VERBS[question.kind]


def forms_of(question: Question, verbs: Iterable[Verb]) -> Iterator[str]:
    """Yield how these answers to a question are written."""
    for verb in verbs:
        if verb == "face":
            yield from (f"face:{face}" for face in _texts(question.loose))
        else:
            yield "name:NAME" if verb == "name" else verb


def verbs_for(catalog: Catalog, question: Question) -> list[Verb]:
    """Return what can be said to a question; to divide it only where it is about several faces or groups."""
    left_out = {
        "divide": len(question.loose) + len(question.groups) < 2,
        "name": question.kind == "one" and not catalog.people.names().keys().isdisjoint(question.people),
    }
    possible = _verbs_of(question)
    return [verb for verb in get_args(Verb) if verb in possible and not left_out.get(verb, False)]


# --- answers that contradict each other ---

_Node = tuple[str, int | str]
"""A face, a person without a name, a name, or what is no face at all."""


@dataclass(frozen=True, slots=True)
class _Same:
    """What is one by some answers."""

    nodes: frozenset[_Node]
    answers: frozenset[str]

    @property
    def ends(self) -> list[str]:
        """Who or what all of it is; two cannot be."""
        return sorted(str(value) for kind, value in self.nodes if kind == "end")


def _check_together(catalog: Catalog, answers: Sequence[tuple[Question, Answer]]) -> None:
    """Raises:
    DecisionError: by one answer somebody is the one, by another somebody else.
    """
    names = {person_id: name_key(name) for person_id, name in catalog.people.names().items()}
    same: list[_Same] = []
    for question, answer in answers:
        nodes = _made_one(question, answer, names)
        joining = [one for one in same if one.nodes & nodes]
        said = frozenset({f"{question.id}={answer}"}.union(*(one.answers for one in joining)))
        joined = _Same(nodes.union(*(one.nodes for one in joining)), said)
        same = [one for one in same if one not in joining] + [joined]
        if len(joined.ends) > 1:
            raise _contradiction(said, " and ".join(joined.ends) + " would be one")
    for question, answer in answers:
        for pair in _cannot_links(question, answer, names):
            for one in same:
                if pair <= one.nodes:
                    raise _contradiction(one.answers | {f"{question.id}={answer}"}, "two are one and are not")


def _contradiction(answers: Collection[str], why: str) -> DecisionError:
    return DecisionError(
        f"these answers contradict each other: {', '.join(sorted(answers))}: {why}; give some of them, then see what "
        "is still open"
    )


def _made_one(question: Question, answer: Answer, names: Mapping[int, str]) -> frozenset[_Node]:
    """Return what is one by an answer."""
    if question.kind == "which":
        return frozenset({_who(question, names), ("face", answer.face_id or 0)} if answer.verb == "face" else ())
    nodes = {_person(person_id, names) for person_id in question.people} | {("face", f) for f in question.loose}
    others = nodes - {_person(question.people[0], names)} if question.kind in ("is", "still") else nodes
    if answer.verb == "yes":
        return frozenset(nodes)
    if answer.verb == "name":
        return frozenset({*others, ("end", name_key(answer.name))})
    if answer.verb == "not-a-face":
        return frozenset({*others, ("end", "what is not a face")})
    return frozenset()


def _cannot_links(question: Question, answer: Answer, names: Mapping[int, str]) -> Iterator[frozenset[_Node]]:
    """Yield pairs that are two by an answer."""
    if answer.verb == "no":
        first = _who(question, names)
        for person_id in question.people[1:]:
            yield frozenset({first, _person(person_id, names)})
        for face_id in question.loose:
            yield frozenset({first, ("face", face_id)})


def _who(question: Question, names: Mapping[int, str]) -> _Node:
    """Return who is asked about."""
    if question.people or question.dropped is None:
        return _person(question.people[0], names)
    return ("end", name_key(str(question.dropped.to)))


def _person(person_id: int, names: Mapping[int, str]) -> _Node:
    return ("end", names[person_id]) if person_id in names else ("person", person_id)


# --- decisions ---


def decide(catalog: Catalog, decisions: Decisions, question: Question, answer: Answer) -> None:
    """Make the decisions that an answer means, all of them or none; none for skip.

    Raises:
        NotKnownError: this cannot be said to that question.
        DecisionError: the question is no longer open, or the answer contradicts what a user said.
    """
    check_answer(question, answer)
    with catalog.write():
        if not is_open(catalog, question):
            raise DecisionError(f"{question.id} ({question.text}) is resolved meanwhile; `facewatch review` asks again")
        decide_all(catalog, decisions, [(question, answer)])


def decide_all(catalog: Catalog, decisions: Decisions, answers: Sequence[tuple[Question, Answer]]) -> None:
    """Make the decisions of several answers that were checked together: all of them, or none.

    Raises:
        DecisionError: an answer contradicts what a user said.
    """
    with decisions.all_or_none():
        for question, answer in answers:
            with decisions.as_one(answer=_record_of(question, answer)):
                _decide(catalog, decisions, question, answer)


def _record_of(question: Question, answer: Answer) -> dict[str, str]:
    """Return what the journal says of an answer, see `past`."""
    return {"question": question.id, "text": question.text, "said": str(answer)}


def _decide(catalog: Catalog, decisions: Decisions, question: Question, answer: Answer) -> None:
    if question.dropped is not None:
        _choose(decisions, question, question.dropped, answer)
    elif answer.verb == "yes":
        _yes(catalog, decisions, question)
    elif answer.verb == "no":
        _no(catalog, decisions, question)
    elif answer.verb == "name":
        _name(catalog, decisions, question, answer.name)
    elif answer.verb == "not-a-face":
        decisions.ignore(_texts(_all_faces(catalog, question)))
    elif answer.verb == "hide":
        _hide(decisions, question)


def is_open(catalog: Catalog, question: Question) -> bool:
    """Whether everything that a question is about is still as it was when it was made; quick."""
    if question.dropped is not None:
        return question.dropped in asked_in(catalog) and is_still_asked(catalog, question.dropped)
    rows = catalog.faces.rows(question.loose)
    whose = question.people[0] if question.kind == "still" else None
    if len(rows) < len(question.loose) or any(row.person_id != whose or row.mark is not None for row in rows):
        return False
    if question.kind == "still" and any(row.source == USER for row in rows):
        return False
    people = {person.id: person for person in catalog.tiles.living(question.people)}
    labels = tuple(people[person_id].label if person_id in people else "" for person_id in question.people)
    asked = question.people[1:] if question.kind in ("is", "one") else question.people
    return labels == question.labels and not any(people[person_id].is_hidden for person_id in asked)


def _choose(decisions: Decisions, question: Question, dropped: Asked, answer: Answer) -> None:
    """One of the faces is the person; or none, and they are on the photo without a face."""
    who = ids.person(question.people[0]) if question.people else str(dropped.to)
    if answer.face_id is not None:
        decisions.assign([ids.face(answer.face_id)], who, is_new=not question.people)
    elif answer.verb == "no":
        decisions.present(who, [dropped.photo_id], is_new=not question.people)
        decisions.reject(_texts(question.loose), who)


def _yes(catalog: Catalog, decisions: Decisions, question: Question) -> None:
    if question.kind == "still":
        decisions.confirm(_texts(question.loose))
        return
    first = str(question.people[0])
    # Another answer given together with this one may have made two of them one already.
    now = {find_person(catalog, str(person_id)).id for person_id in question.people[1:]}
    if others := sorted(now - {find_person(catalog, first).id}):
        decisions.merge(first, [str(person_id) for person_id in others])
    if question.loose:
        decisions.assign(_texts(question.loose), first)


def _no(catalog: Catalog, decisions: Decisions, question: Question) -> None:
    first = str(question.people[0])
    if question.kind == "one":
        decisions.cannot_link(first, str(question.people[1]))
    else:
        decisions.reject(_texts(_all_faces(catalog, question)), first)


def _name(catalog: Catalog, decisions: Decisions, question: Question, name: str) -> None:
    """Give what the question is about to whoever has this name, or is given it now."""
    groups = _groups(question)
    if question.kind == "one" and (named := [p for p in map(catalog.people.one, groups) if p and p.name]):
        raise NotKnownError(
            f"{question.id}: {named[0].label} has a name already; answer yes or no, or: facewatch rename "
            f"{ids.person(named[0].id)} NEW"
        )
    for group in groups:
        decisions.rename(str(group), name, may_merge=_is_taken(catalog, name))
    if question.loose:
        decisions.assign(_texts(question.loose), name, is_new=not _is_taken(catalog, name))


def _is_taken(catalog: Catalog, name: str) -> bool:
    return name_key(name) in map(name_key, catalog.people.names().values())


def _hide(decisions: Decisions, question: Question) -> None:
    """A hidden group has no folder; single faces stay with nobody."""
    for group in _groups(question):
        decisions.hide(str(group))
    if question.loose:
        decisions.unassign(_texts(question.loose))


def _all_faces(catalog: Catalog, question: Question) -> list[int]:
    """Return every face that is asked about, also those that were not shown."""
    return [*question.loose, *(row.id for group in _groups(question) for row in catalog.faces.of_person(group))]


def _groups(question: Question) -> tuple[int, ...]:
    """Return the people all of whose faces it is about."""
    return question.groups if question.kind in ("is", "still") else question.people


def _texts(faces: Iterable[int]) -> list[str]:
    return [ids.face(face_id) for face_id in faces]
