"""The command `review`: the open questions, best first, one key each; or as JSON, for another program to answer.

QuestionLoop  asks, and says what became of it
FaceDisplay   shows the faces: drawn in the terminal where it can, else as paths
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from facewatch.cli.asking import Keys, Terminal, ask_face, ask_name
from facewatch.cli.output import echo, print_json
from facewatch.cli.program import State, command, json_option, pass_state

if TYPE_CHECKING:
    from pathlib import Path

    from facewatch.app import App
    from facewatch.cli.pictures import Screen
    from facewatch.people.lookup import FaceAt
    from facewatch.people.portraits import FaceCrops
    from facewatch.people.record import Decided
    from facewatch.people.review.answers import Answer, Verb
    from facewatch.people.review.question import Question
    from facewatch.people.review.session import Review
    from facewatch.presentation.review import AnswerKey

N_SHOWN = 12
"""Faces that are shown at a time of what is asked about."""
N_COMPARED = 6
"""Faces that are shown of the person that they may be."""
N_COMPARED_PATHS = 2
"""The same where they cannot be drawn."""
COVERED = (10, 50, 250)
"""Numbers of answers of which it is said how much they resolve."""


@command("review", "Answer questions about who is who.")
@click.option(
    "--answer",
    "answers",
    multiple=True,
    metavar="ID=ANSWER",
    help="Answer the question ID: yes, no, name:NAME, face:ID, not-a-face, hide or skip.",
)
@click.option("-n", "--most", type=click.IntRange(min=1), metavar="N", help="Ask at most N questions.")
@json_option
@pass_state
def review(state: State, answers: tuple[str, ...], most: int | None, as_json: bool) -> None:
    """Ask who people are, the most useful question first. Each question is about a whole group; one key answers it.

    The faces are drawn if the terminal can (kitty, iTerm2 or sixel pictures, else coloured blocks; set
    FACEWATCH_PICTURES to kitty, iterm, sixel, blocks or none if it guesses wrong), otherwise their paths are listed. It
    also asks about faces of a named person that may be somebody else's. A "no" is remembered and not asked again. Every
    answer is a decision that undo takes back.

    --json lists the questions for another program and, with --answer, what was decided. Answers are checked together:
    either all of them are accepted or none.

    \b
    Example:
      facewatch review
      facewatch review --json --most 20
      facewatch review --answer is:p5:3fa9c1=yes --answer who:p12=name:Anna

    \b
    Exit codes:
      0 done, also when nothing is open; 2 command line, also when nobody is
      there to ask; 5 catalog; 7 engine; 8 people folder; 9 not an answer, or
      the question is not open; 10 answers that contradict each other, or
      earlier ones
    """
    if answers and most is not None:
        raise click.UsageError("--answer and --most contradict each other: an answer names its question")
    if not (answers or as_json or (sys.stdin.isatty() and sys.stdout.isatty())):
        raise click.UsageError(
            "review asks at a terminal, and this is none; `facewatch review --json` lists the questions, and "
            "`facewatch review --answer ID=ANSWER` takes answers"
        )
    with state.app() as app:
        if answers:
            _take(state, app, answers, as_json)
        elif as_json:
            print_json(_list(app, most), rows="questions")
        else:
            _ask_user(app, most)


# --- for programs ---


def _list(app: App, most: int | None) -> dict[str, Any]:
    """Return the open questions, best first, and how much answers to them resolve."""
    from facewatch.people.review.coverage import coverage
    from facewatch.presentation import review as words

    catalog, obstacle = app.catalog, words.obstacle(app.catalog, app.engine)
    n_open = catalog.faces.n_open()
    questions = () if obstacle else app.questions(n_open=n_open).questions
    covered = [] if obstacle else coverage(questions, n_open, COVERED)
    rows = words.question_rows(catalog, questions[:most])
    return words.questions_row(obstacle, n_open, len(questions), covered, rows)


def _take(state: State, app: App, texts: Sequence[str], as_json: bool) -> None:
    """Make the decisions that these answers mean, and say what they did."""
    from facewatch.presentation import review as words

    catalog = app.catalog
    n_before = catalog.faces.n_open()
    taken = app.review().take(texts)
    n_open = catalog.faces.n_open()
    n_settled = max(0, n_before - n_open)
    if as_json:
        print_json(
            {
                "answers": [words.answer_row(catalog, *one) for one in taken.answers],
                "decisions": [words.decision_row(catalog, one) for one in taken.decided],
                "n_settled": n_settled,
                "n_open": n_open,
            }
        )
    elif not state.is_quiet:
        for question, answer in taken.answers:
            echo(f"{question.id}: {words.outcome(catalog, question, answer)}")
        echo(words.what_all_did(taken.decided, n_settled, n_open))


# --- for people ---


def _ask_user(app: App, most: int | None) -> None:
    from facewatch.cli.pictures import screen_of
    from facewatch.presentation.review import obstacle as obstacle_of

    if (obstacle := obstacle_of(app.catalog, app.engine)) is not None:
        echo(obstacle)
        return
    # Before all that takes its time: a worker process has to be started.
    with app.face_crops() as crops:
        screen, n_lines = screen_of(os.environ, sys.stdin, sys.stdout), shutil.get_terminal_size().lines
        with Terminal(sys.stdin.fileno()) as keys:
            ask(app, keys, FaceDisplay(app, crops, screen, n_lines=n_lines), most=most)


def ask(app: App, keys: Keys, display: FaceDisplay, *, most: int | None = None) -> None:
    """Ask, at most so many questions, until nothing is open or somebody quits; then say how far it is.

    Raises:
        EngineError: the engine is being changed.
        FolderError: it is decided, but the people folder cannot be written.
    """
    QuestionLoop(app, keys, display).run(most)


class _Quit(Exception):
    """Somebody has had enough."""


_NAME_KEY = "t"


class QuestionLoop:
    """Asks one question after the other and applies the answers."""

    def __init__(self, app: App, keys: Keys, display: FaceDisplay) -> None:
        from facewatch.presentation import review

        self._words = review
        self._catalog = app.catalog
        self._keys = keys
        self._display = display
        self._review: Review = app.review()
        self._n_open_before = self._catalog.faces.n_open()
        self._given: list[Verb] = []
        """What was answered and not taken back."""

    def run(self, most: int | None) -> None:
        if self._review.next() is None:
            echo(self._words.nothing_to_ask(self._catalog.faces.n_open()))
            return
        try:
            self._run(most)
        except (_Quit, EOFError, KeyboardInterrupt):
            click.echo()
        self._summarise()

    def _run(self, most: int | None) -> None:
        question = self._review.next()
        self._introduce()
        while question is not None and len(self._given) != most:
            question = self._ask(question)
        if question is None:
            echo(self._words.nothing_else(self._given.count("skip")))

    def _introduce(self) -> None:
        echo(self._words.introduction(self._catalog.faces.n_open(), self._review.coverage(COVERED)))

    def _progress(self) -> str:
        progress = self._review.progress()
        # Before the first answer the introduction stands above, and says the same.
        if not progress.n_answered:
            return ""
        [covered] = self._review.coverage((10,))
        return f"{self._words.progress(progress, covered)}\n"

    def _summarise(self) -> None:
        from facewatch.people.review.session import NO_ANSWERS

        n_open = self._catalog.faces.n_open()
        echo(
            self._words.summary(
                n_answers=sum(verb not in NO_ANSWERS for verb in self._given),
                n_skipped=self._given.count("skip"),
                n_settled=max(0, self._n_open_before - n_open),
                n_open=n_open,
            )
        )

    # --- one question ---

    def _ask(self, question: Question) -> Question | None:
        """Return what is to be asked next; None: nothing is open."""
        echo(f"\n{self._progress()}{question.text}")
        self._display.show(question)
        self._display.prepare([other for other in self._review.questions() if other.id != question.id][:1])
        while True:
            key = self._keys.key(self._prompt(question)).replace("\n", _NAME_KEY)
            pressed = self._possible(question).get(key)
            echo((pressed.verb if pressed and not pressed.face_id else None) or key.strip())
            match key:
                case "q":
                    raise _Quit
                case "u":
                    if (again := self._undo()) is not None:
                        return again
                case "m" if self._display.has_more(question):
                    self._display.show_more(question)
                case "?":
                    self._help(question)
                case _ if (one := self._possible(question).get(key)) and one.verb:
                    if self._answer(question, one.verb, one.face_id):
                        return self._review.next()
                case _:
                    echo("not a key for this question; ? lists them")

    def _possible(self, question: Question) -> dict[str, AnswerKey]:
        """Return the keys that do something now."""
        from facewatch.people.review.answers import verbs_for

        verbs = [None, *verbs_for(self._catalog, question)]
        left_out = {"m": not self._display.has_more(question), "u": not self._given}
        keys = self._words.terminal_keys_for(question, verbs) | self._words.TERMINAL_KEYS
        return {key: one for key, one in keys.items() if not left_out.get(key, False)}

    def _prompt(self, question: Question) -> str:
        return " ".join(one.prompt(key) for key, one in self._possible(question).items()) + " "

    def _help(self, question: Question) -> None:
        for key, one in self._possible(question).items():
            echo(f"  {one.prompt(key):<15} {one.meaning}")
        self._display.list_photos(question)

    # --- answers ---

    def _answer(self, question: Question, verb: Verb, face_id: int | None) -> bool:
        """Return whether the question is answered."""
        from facewatch.errors import BusyError, DecisionError, NotKnownError
        from facewatch.people.review.answers import Answer, is_open

        try:
            name = ask_name(self._keys, self._catalog.people.names().values()) if verb == "name" else ""
            if verb == "face" and face_id is None:
                face_id = ask_face(self._keys, question.loose)
            answer = Answer(verb, name, face_id)
            if (verb == "name" and not name) or (verb == "face" and face_id is None):
                return False
            n_before = self._n_together(question, answer)
            made = self._review.answer(question, answer)
        except (BusyError, DecisionError, NotKnownError) as error:
            echo(str(error))
            return not is_open(self._catalog, question)
        self._given.append(verb)
        echo(self._said(question, answer, made, n_before))
        return True

    def _said(self, question: Question, answer: Answer, made: Sequence[Decided], n_before: int) -> str:
        said = self._words.outcome(self._catalog, question, answer) + self._words.released(made)
        if answer.verb in ("yes", "name") and made:
            winner = self._catalog.people.one(made[-1].people[0])
            n_released = sum(len(one.released) for one in made)
            n_more = (winner.n_faces if winner else 0) + n_released - n_before
            said += f"; {n_more} more found" if n_more > 0 else ""
        return said if answer.verb in ("skip", "divide") else f"{said}; undo with u"

    def _n_together(self, question: Question, answer: Answer) -> int:
        """Return how many faces those will have together who are one by this answer."""
        from facewatch.people.lookup import name_key

        people = set(question.people)
        if answer.verb == "name":
            names = self._catalog.people.names()
            people -= set(question.people[:1] if question.kind in ("is", "still") else ())
            people |= {p for p, name in names.items() if name_key(name) == name_key(answer.name)}
        # Those that the person has already are not counted twice.
        n_new = 0 if question.kind == "still" and question.people[0] in people else len(question.loose)
        return n_new + sum(p.n_faces for p in map(self._catalog.people.one, people) if p)

    def _undo(self) -> Question | None:
        """Take the last answer back and return its question, if it is open again."""
        from facewatch.errors import BusyError, DecisionError
        from facewatch.people.review.answers import is_open

        try:
            question = self._review.undo()
        except (BusyError, DecisionError) as error:
            echo(str(error))
            return None
        if question is None:
            echo("nothing was answered yet; `facewatch undo` takes back what was decided before")
            return None
        self._given.pop()
        echo(f"taken back: {question.text}")
        return question if is_open(self._catalog, question) else self._review.next()


# --- faces ---


@dataclass(frozen=True, slots=True)
class _Row:
    """Faces that stand together."""

    title: str
    faces: tuple[FaceAt, ...]
    labels: tuple[str, ...]
    """One a face; "" for those that are there to compare with."""


class FaceDisplay:
    """Shows the faces of questions: drawn in the terminal where it can, else as paths of crops."""

    def __init__(self, app: App, crops: FaceCrops, screen: Screen, *, n_lines: int) -> None:
        """`n_lines`: of the terminal."""
        from facewatch.cli.pictures import Protocol, positions

        self._app = app
        self._crops = crops
        self._screen = screen
        self._is_drawing = screen.protocol is not Protocol.NONE
        lines = screen.face_lines
        n_across = len(positions(N_SHOWN, screen.protocol, screen.n_columns, cell=screen.cell, lines=lines)[0])
        # What is said beside them takes six lines.
        n_rows = max(1, (n_lines - 6) // (lines + 1) - 1)
        self._n_shown = min(N_SHOWN, n_rows * n_across) if self._is_drawing else N_SHOWN
        self._n_compared = min(N_COMPARED, n_across) if self._is_drawing else N_COMPARED_PATHS
        self._start = 0

    def show(self, question: Question) -> None:
        """Show the first faces of a question, and those of the person to compare with."""
        self._start = 0
        self._show(self._rows(question, 0))

    def show_more(self, question: Question) -> None:
        """Show the next ones; after the last the first."""
        self._start += self._n_shown
        if self._start >= len(question.faces):
            self._start = 0
        self._show(self._rows(question, self._start)[:1])

    def has_more(self, question: Question) -> bool:
        return question.kind != "one" and len(question.faces) > self._n_shown

    def prepare(self, questions: Iterable[Question]) -> None:
        """Have the faces of what will probably be asked next cut out meanwhile."""
        rows = [row for question in questions for row in self._rows(question, 0)]
        self._crops.prepare([face for row in rows for face in row.faces])

    def list_photos(self, question: Question) -> None:
        """Say which photos the faces that were shown are from."""
        from facewatch.presentation.review import place

        for row in self._rows(question, self._start):
            if row.title:
                echo(f"{row.title}:")
            for face, label in zip(row.faces, row.labels, strict=True):
                echo(f"  {label:>3} {place(face)}")

    def _rows(self, question: Question, start: int) -> list[_Row]:
        from facewatch.people.lookup import faces_at
        from facewatch.people.review.shown import rows_of

        catalog = self._app.catalog
        rows = []
        for row in rows_of(catalog, question, n_compared=self._n_compared):
            first = start if row.is_asked_about and not row.title else 0
            shown = faces_at(catalog, row.faces[first : first + self._n_shown])
            rows.append(_numbered(row.title, shown, 1 + first) if row.is_asked_about else _unnumbered(row.title, shown))
        return rows

    def _show(self, rows: Sequence[_Row]) -> None:
        paths = iter(self._crops.paths([face for row in rows for face in row.faces]))
        for row in rows:
            if row.title and row.faces:
                echo(f"{row.title}:")
            crops = [next(paths) for _ in row.faces]
            if self._is_drawing:
                click.echo(self._drawn(row, crops), nl=False)
            else:
                click.echo("".join(_paths(*one) for one in zip(row.labels, row.faces, crops, strict=True)), nl=False)

    def _drawn(self, row: _Row, crops: Sequence[Path | None]) -> str:
        from facewatch.cli.pictures import draw_on
        from facewatch.indexing.crops import picture_of

        return draw_on(self._screen, list(map(picture_of, crops)), row.labels if any(row.labels) else ())


def _numbered(title: str, faces: Sequence[FaceAt], first: int) -> _Row:
    return _Row(title, tuple(faces), tuple(map(str, range(first, first + len(faces)))))


def _unnumbered(title: str, faces: Sequence[FaceAt]) -> _Row:
    return _Row(title, tuple(faces), ("",) * len(faces))


def _paths(label: str, face: FaceAt, crop: Path | None) -> str:
    """Return the path of a crop, and of the photo that it is from, each on a line of its own."""
    from facewatch.presentation.review import place

    shown = str(crop) if crop else "(cannot be shown: the photo is away or cannot be read)"
    return f"{label:>3} {shown}\n{'':>3} {place(face)}\n"
