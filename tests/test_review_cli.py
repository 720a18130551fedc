"""`facewatch review`: one key an answer at a terminal that is left as it was, and the same as JSON for programs."""

from __future__ import annotations

import base64
import io
import json
import re
import signal
import termios
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest
import terminals
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from terminals import Session

from facewatch.app import App
from facewatch.cli import main
from facewatch.cli.asking import completer, near_misses
from facewatch.cli.pictures import Protocol, Screen
from facewatch.cli.review import N_SHOWN, FaceDisplay, ask
from facewatch.engines import fake
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.people.corrections import Decisions
from facewatch.people.lookup import faces_at
from facewatch.people.review.answers import verbs_for
from facewatch.people.review.shown import rows_of
from facewatch.presentation import review as review_words
from facewatch.types import DetectedFace

STRICT = {"match.strictness": 0.1}
"""Leaves faces in the pool that are as near to somebody as those of `Changing`."""


class Changing(fake.FakeEngine):
    """People change: looks from 100 on, ten together, are 0.3 away from the young ones, each ten in another way."""

    def analyse(
        self, pixels: NDArray[np.uint8], *, closer: Callable[[], NDArray[np.uint8]] | None = None
    ) -> list[DetectedFace]:
        return [self._changed(face, *pixels[face.box[1], face.box[0], :2].tolist()) for face in super().analyse(pixels)]

    def _changed(self, face: DetectedFace, person: int, look: int) -> DetectedFace:
        if look < 100:
            return face
        young = fake.embedding_of(person, 0)
        way = np.random.default_rng(look // 10).standard_normal(fake.N_DIMS)
        way -= (way @ young) * young
        vector = young + 0.3 * way / np.linalg.norm(way)
        vector += 0.002 * np.random.default_rng(look).standard_normal(fake.N_DIMS)
        return replace(face, embedding=(vector / np.linalg.norm(vector)).astype(np.float32))


ANNA, BEN = 1, 3


@pytest.fixture
def family(library: Library) -> Iterator[App]:
    """Anna in four photos, a group of three and three single faces that are Anna, too; and Ben, unnamed, in two."""
    for name, person, looks in (("a", ANNA, range(4)), ("o", ANNA, range(100, 103)), ("b", BEN, range(2))):
        for look in looks:
            library.draw(f"{name}{look}.png", (person, look))
    for look in (120, 130, 200):
        library.draw(f"u{look}.png", (ANNA, look))
    with library.app(STRICT, engine=Changing()) as app:
        app.pipeline.scan()
        yield app


@pytest.fixture
def anna(family: App) -> App:
    """The same, and Anna has her name."""
    [who] = [person for person in family.catalog.people.all() if person.n_faces == 4]
    family.corrections.rename(str(who.id), "Anna")
    return family


class Script:
    """Somebody who presses these keys and types these lines, then is gone."""

    def __init__(self, keys: Sequence[str], lines: Sequence[str] = ()) -> None:
        self._keys, self._lines = list(keys), list(lines)
        self.prompts: list[str] = []
        self.completions: list[list[str]] = []

    def key(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return self._next(self._keys)

    def line(self, prompt: str, completions: Collection[str]) -> str:
        self.completions.append(list(completions))
        return self._next(self._lines)

    def _next(self, script: list[str]) -> str:
        if not script:
            raise EOFError
        if script[0] == "^C":
            raise KeyboardInterrupt
        return script.pop(0)


class Walked(NamedTuple):
    out: str
    script: Script

    @property
    def asked(self) -> list[str]:
        """What was asked, in this order."""
        return re.findall(r"^(?:is|are|who) .*\?$", self.out, re.MULTILINE)


@pytest.fixture
def walk(capsys: pytest.CaptureFixture[str]) -> Any:
    """Go through the questions of a service with these keys."""

    def call(
        app: App,
        *keys: str,
        lines: Sequence[str] = (),
        screen: Screen = Screen(Protocol.NONE),  # noqa: B008 - frozen
        n_lines: int = 60,
        most: int | None = None,
    ) -> Walked:
        script = Script(keys, lines)
        with app.face_crops(InlineWorkers(Recipe("fake"))) as crops:
            ask(app, script, FaceDisplay(app, crops, screen, n_lines=n_lines), most=most)
        return Walked(capsys.readouterr().out, script)

    return call


def people(app: App) -> dict[str, int]:
    """Return how many faces everybody has, by label."""
    return {person.label: person.n_faces for person in app.catalog.people.all() if person.n_faces}


def texts(app: App) -> list[str]:
    return [question.text for question in app.review().questions()]


def test_a_number_says_which_face_of_a_dropped_photo_it_is(anna: App, library: Library, walk: Any) -> None:
    library.draw("two.png", (7, 0), (8, 0))
    anna.pipeline.scan()
    (library.people / "Anna/two.png").symlink_to(library.photos / "two.png")
    anna.folder.sync()
    before = people(anna)["Anna"]
    walked = walk(anna, "2", "u", "n", "q")
    assert walked.script.prompts[0].startswith("[1] [2] [n]one of them [s]kip")
    assert re.search(r"face f\d+ is Anna now; undo with u", walked.out)
    assert "none of these is Anna, who is in the photo without a face; undo with u" in walked.out
    assert walked.out.count("which of these 2 faces is Anna?") == 3, "asked, taken back, and asked again"
    assert people(anna)["Anna"] == before
    assert len(anna.catalog.presences.of_person(anna.lookup.person("Anna").id)) == 1


def test_of_many_faces_on_a_dropped_photo_the_number_is_typed(anna: App, library: Library, walk: Any) -> None:
    library.draw("class.png", *((person, 0) for person in range(20, 31)))
    anna.pipeline.scan()
    (library.people / "Anna/class.png").symlink_to(library.photos / "class.png")
    anna.folder.sync()
    before = people(anna)["Anna"]
    walked = walk(anna, "t", "t", "\n", "u", "9", "q", lines=["12", "", "11"])
    assert walked.script.prompts[0].startswith("[1] [2] [3] [4] [5] [6] [7] [8] [9] [t]ype a number [n]one of them")
    assert "'12' is no face of these; there are 1 to 11" in walked.out
    assert len(re.findall(r"face f\d+ is Anna now; undo with u", walked.out)) == 2
    assert people(anna)["Anna"] == before + 1


# --- each key ---


def test_yes_gives_a_whole_group_to_the_person(anna: App, walk: Any, library: Library) -> None:
    walked = walk(anna, "y")
    assert walked.asked[0] == "are these 6 faces Anna?"
    assert "6 faces belong to Anna now; undo with u" in walked.out
    assert people(anna)["Anna"] == 10
    assert "Anna/u120.png" in library.tree()


def test_what_was_answered_with_no_is_never_asked_again(anna: App, walk: Any) -> None:
    walked = walk(anna, "n", "q")
    assert "6 faces: not Anna; you will not be asked again" in walked.out
    assert not [text for text in texts(anna) if "Anna" in text]
    assert people(anna)["Anna"] == 4
    assert "Anna" not in "".join(walk(anna, *"sssssss").asked)


def test_a_divided_group_is_asked_about_in_two_halves(anna: App, walk: Any) -> None:
    walked = walk(anna, "d", "y", "n")
    halves = [int(re.sub(r"\D", "", text) or 1) for text in walked.asked if text.endswith("Anna?")][1:3]
    assert sum(halves) == 6
    assert people(anna)["Anna"] == 4 + halves[0]
    assert "divide" in walked.out
    assert "the two halves come as separate questions" in walked.out


def test_a_group_that_is_one_cannot_be_divided(family: App, walk: Any) -> None:
    walked = walk(family, "d")
    assert "[d]ivide" not in walked.script.prompts[0]
    assert "not a key for this question; ? lists them" in walked.out


@pytest.mark.parametrize("key", ["t", "\n"])
def test_a_name_is_typed(family: App, walk: Any, library: Library, key: str) -> None:
    walked = walk(family, key, lines=["Clara"])
    assert walked.asked[0] == "who is this (4 photos)?"
    assert "4 faces belong to Clara now" in walked.out
    assert people(family)["Clara"] == 4
    assert "Clara/a0.png" in library.tree()


def test_an_empty_name_goes_back_to_the_question(family: App, walk: Any) -> None:
    walked = walk(family, "t", "t", lines=["", "Clara"])
    assert len(walked.script.prompts) == 3
    assert walked.asked[0] != walked.asked[1]
    assert people(family)["Clara"] == 4


def test_a_known_name_in_any_case_is_that_person(anna: App, walk: Any) -> None:
    walk(anna, "s", "t", lines=["aNNa"])
    assert people(anna)["Anna"] == 7
    assert "aNNa" not in people(anna)


def test_names_are_completed_to_those_of_the_catalog(anna: App, walk: Any) -> None:
    anna.corrections.rename(str(next(p.id for p in anna.catalog.people.all() if p.n_faces == 2)), "ben")
    assert walk(anna, "t").script.completions == [["Anna", "ben"]]


@pytest.mark.parametrize(
    ("typed", "keys", "expected"),
    [
        ("An", "y", {"Anna": 7}),
        ("Ana", "1", {"Anna": 7}),
        ("Ana", "n", {"Anna": 4, "Ana": 3}),
        ("Ana", "zn", {"Anna": 4, "Ana": 3}),
        ("Zoe", "", {"Anna": 4, "Zoe": 3}),
    ],
)
def test_a_near_miss_of_a_name_is_not_taken_for_a_new_one_unasked(
    anna: App, walk: Any, typed: str, keys: str, expected: dict[str, int]
) -> None:
    walked = walk(anna, "s", "t", *keys, "q", lines=[typed])
    assert expected.items() <= people(anna).items()
    assert any("did you mean [1] Anna, or is it [n]ew" in prompt for prompt in walked.script.prompts) == bool(keys)


def test_a_near_miss_can_be_taken_back(anna: App, walk: Any) -> None:
    before = people(anna)
    walked = walk(anna, "s", "t", "b", "q", lines=["Ana"])
    assert people(anna) == before
    assert "0 answers, 1 question skipped, 0 faces resolved" in walked.out


def test_what_cannot_be_a_name_is_said_and_asked_again(family: App, walk: Any) -> None:
    walked = walk(family, "t", "t", "q", lines=["12", "Clara"])
    assert "'12' would be taken for the id of a person" in walked.out
    assert people(family)["Clara"] == 4


def test_what_is_not_a_face_is_never_shown_again(anna: App, walk: Any) -> None:
    walked = walk(anna, "x")
    assert "6 faces ignored: never shown or asked about again" in walked.out
    assert anna.catalog.faces.counts()["faces"] == 6
    assert not [text for text in texts(anna) if "Anna" in text]


def test_hidden_groups_have_no_folder_and_single_faces_stay_with_nobody(anna: App, walk: Any, library: Library) -> None:
    walked = walk(anna, "h", "h")
    assert re.search(r"Person \d+ is hidden; 3 faces stay with nobody; undo with u", walked.out)
    assert {path.split("/")[0] for path in library.tree()} == {"Anna"}
    assert texts(anna) == []


def test_what_is_skipped_comes_up_in_the_next_review(anna: App, walk: Any) -> None:
    before, decided = texts(anna), anna.corrections.history()
    walked = walk(anna, *"ssss")
    assert len(set(walked.asked)) == len(walked.asked) >= 2
    assert f"nothing else to ask; {len(walked.asked)} questions skipped" in walked.out
    assert texts(anna) == before
    assert anna.corrections.history() == decided


def test_help_explains_every_key_that_does_something_now(anna: App, walk: Any) -> None:
    walked = walk(anna, "?", "y", "?")
    first, second = walked.out.split("6 faces belong")
    for word in walked.script.prompts[0].split(" "):
        assert word.strip() in first
    assert "[d]ivide " in first
    assert "[d]ivide" not in second
    assert "[u]ndo" not in walked.script.prompts[0]
    assert "take the last answer back" in second


@pytest.mark.parametrize("key", ["z", "", "é", "5", " ", "m", "\t"])
def test_any_other_key_decides_nothing_and_asks_again(anna: App, walk: Any, key: str) -> None:
    before = people(anna)
    walked = walk(anna, key, "q")
    assert "not a key for this question" in walked.out
    assert len(walked.asked) == 1
    assert people(anna) == before


def test_no_two_keys_clash() -> None:
    keys = review_words.KEYS | review_words.TERMINAL_KEYS
    assert [re.findall(r"\[(.)\]", one.prompt(key)) for key, one in keys.items()] == [[key] for key in keys]
    assert not keys.keys() & review_words.PAGE_KEYS.keys()


# --- are two people one? ---


def one_first(app: App) -> str:
    """Skip until the question whether two people are one; the keys."""
    return "s" * [question.kind for question in app.review().questions()].index("one")


def test_two_people_become_one(family: App, walk: Any) -> None:
    walked = walk(family, *one_first(family), "y", "q")
    assert re.match(r"are Person \d+ and Person \d+ the same person\?", walked.asked[-2])
    assert re.search(r"7 faces belong to Person \d+ now", walked.out)
    assert sorted(people(family).values()) == [2, 7]


def test_two_people_who_are_two_are_not_asked_about_again(family: App, walk: Any) -> None:
    walked = walk(family, *one_first(family), "n", "q")
    assert re.search(r"Person \d+ and Person \d+ are different people; you will not be asked again", walked.out)
    assert not [text for text in texts(family) if text.endswith("the same person?")]
    assert len(family.catalog.rejections.cannot_links()) == 2


def test_both_of_two_people_are_shown_apart(family: App, walk: Any) -> None:
    walked = walk(family, *one_first(family))
    shown = walked.out.split(walked.asked[-1])[1]
    titles = re.findall(r"^(Person \d+):$", shown, re.MULTILINE)
    assert f"are {titles[0]} and {titles[1]} the same person?" == walked.asked[-1]
    first, second = shown.split(f"{titles[1]}:")
    assert re.search(r"/a\d.png:1", first)
    assert re.search(r"/o10\d.png:1", second)


# --- undo and the end ---


# --- is it still who it was? ---


@pytest.fixture
def mixed(library: Library) -> Iterator[App]:
    """Anna in five photos, and two of Ben that a run has taken for her."""
    for name, person, looks in (("a", ANNA, range(5)), ("b", BEN, range(2))):
        for look in looks:
            library.draw(f"{name}{look}.png", (person, look))
    with library.app() as app:
        app.pipeline.scan()
        ben, anna = sorted(app.catalog.people.all(), key=lambda person: person.n_faces)
        app.catalog.assignments.reassign_all(ben.id, anna.id)
        app.catalog.people.retire(ben.id, anna.id)
        app.corrections.rename(str(anna.id), "Anna")
        yield app


def test_faces_of_somebody_else_leave_the_person_and_are_named(mixed: App, walk: Any, library: Library) -> None:
    assert "Anna/b0.png" in library.tree()
    walked = walk(mixed, "n", "t", lines=["Ben"])
    assert walked.asked == ["are these 2 faces of Anna really Anna?", "who is this (2 photos)?"]
    assert "2 faces: not Anna; you will not be asked again; undo with u" in walked.out
    assert people(mixed) == {"Anna": 5, "Ben": 2}
    assert {path for path in library.tree() if path.startswith("Ben/")} == {"Ben/b0.png", "Ben/b1.png"}


def test_faces_that_are_the_person_stay_and_are_not_asked_about_again(mixed: App, walk: Any) -> None:
    walked = walk(mixed, "y")
    assert "2 faces stay with Anna; you will not be asked again; undo with u" in walked.out
    assert "nothing else to ask" in walked.out
    assert people(mixed) == {"Anna": 7}
    assert "still Anna" not in " ".join(texts(mixed))


def test_faces_in_doubt_are_not_compared_with_themselves(mixed: App, walk: Any) -> None:
    [question] = mixed.review().questions()
    compared = walk(mixed, "q").out.partition("Anna:\n")[2]
    assert len(re.findall(r"a\d.png", compared)) == 2
    assert not re.findall(r"b\d.png", compared)
    asked, known = rows_of(mixed.catalog, question, n_compared=9)
    assert set(asked.faces) == set(question.loose)
    assert known.faces
    assert set(known.faces).isdisjoint(question.loose)


def test_faces_of_somebody_are_not_offered_to_be_hidden(mixed: App, walk: Any) -> None:
    [question] = mixed.review().questions()
    assert verbs_for(mixed.catalog, question) == ["yes", "no", "name", "not-a-face", "divide", "skip"]
    assert "[h]ide" not in walk(mixed, "h").script.prompts[0]
    assert people(mixed) == {"Anna": 7}


def test_faces_given_to_somebody_new_are_counted_once(mixed: App, walk: Any) -> None:
    walked = walk(mixed, "t", "q", lines=["Ben"])
    assert "2 faces belong to Ben now; undo with u" in walked.out
    assert people(mixed) == {"Anna": 5, "Ben": 2}


def test_faces_in_doubt_can_be_answered_by_another_program(mixed: App, run: Any) -> None:
    [question] = run("--json").json["questions"]
    assert (question["kind"], question["n_faces"], question["settles"]) == ("still", 2, 0)
    assert [face["id"] for face in question["faces"]] == [face["id"] for face in question["faces"] if face["photo"]]
    assert question["people"][0]["label"] == "Anna"
    assert question["answers"] == ["yes", "no", "name:NAME", "not-a-face", "skip"]
    answer = run("--answer", f"{question['id']}=no", "--json").json
    assert [(one["id"], one["outcome"]) for one in answer["answers"]] == [
        (question["id"], "2 faces: not Anna; you will not be asked again")
    ]
    assert (answer["n_settled"], answer["n_open"]) == (0, 2)
    assert people(mixed) == {"Anna": 5}


def test_undo_takes_the_last_answer_back_and_asks_again(anna: App, walk: Any) -> None:
    before = people(anna)
    walked = walk(anna, "y", "u", "q")
    assert walked.asked[0] == walked.asked[-1] == "are these 6 faces Anna?"
    assert "taken back: are these 6 faces Anna?" in walked.out
    assert "0 answers, 0 faces resolved" in walked.out
    assert people(anna) == before


def test_undo_goes_back_answer_by_answer_also_over_what_decided_nothing(anna: App, walk: Any) -> None:
    before, asked = people(anna), texts(anna)
    walked = walk(anna, "d", "s", "n", "u", "u", "u", "u", "q")
    assert people(anna) == before
    assert texts(anna) == asked
    assert walked.asked[-1] == walked.asked[0]
    assert "nothing was answered yet; `facewatch undo` takes back" in walked.out


def test_undo_without_an_answer_leaves_what_was_decided_before(anna: App, walk: Any) -> None:
    walk(anna, "u", "q")
    assert people(anna)["Anna"] == 4


@pytest.mark.parametrize("end", ["q", "", "^C"])
def test_whoever_quits_in_the_middle_keeps_what_was_answered(anna: App, walk: Any, end: str) -> None:
    walked = walk(anna, "y", *([end] if end else []))
    assert walked.out.splitlines()[-1] == "1 answer, 6 faces resolved, 2 open"
    assert len(walked.asked) == 2
    assert people(anna)["Anna"] == 10


@pytest.mark.parametrize("line", ["", "^C"])
def test_whoever_is_gone_in_the_middle_of_a_name_has_named_nobody(family: App, walk: Any, line: str) -> None:
    walked = walk(family, "t", lines=[line] if line else [])
    assert "0 answers, 0 faces resolved" in walked.out
    assert family.catalog.people.names() == {}


def test_it_says_how_many_answers_settle_how_many_faces(anna: App, walk: Any) -> None:
    walked = walk(anna, "y", "t", lines=["Ben"])
    assert re.search(r"^8 faces are still open; \d answers resolve about 100 % of them$", walked.out, re.MULTILINE)
    assert "0 answered, " not in walked.out, "what was just said"
    assert "1 answered, 6 faces resolved; 1 more answer resolves about 100 % of the 2 open" in walked.out
    assert walked.out.splitlines()[-2:] == ["nothing else to ask", "2 answers, 8 faces resolved, 0 open"]


def test_no_more_is_asked_than_was_wanted(anna: App, walk: Any) -> None:
    assert len(walk(anna, "s", "s", "s", most=1).asked) == 1


def test_faces_that_a_new_name_explains_are_told(library: Library, walk: Any) -> None:
    library.draw_looks(ANNA, 3, "a")
    with library.app() as app:
        app.pipeline.scan()
        [person] = app.catalog.people.all()
        face = app.catalog.faces.of_person(person.id)[0]
        # A run that saw only two photos would have left the third to be found when somebody says who they are.
        app.catalog.assignments.release([face.id])
        walked = walk(app, "t", "q", lines=["Anna"])
    assert "2 faces belong to Anna now; 1 more found; undo with u" in walked.out


def walk_with(app: App, script: Script, capsys: pytest.CaptureFixture[str]) -> Walked:
    with app.face_crops() as crops:
        ask(app, script, FaceDisplay(app, crops, Screen(Protocol.NONE), n_lines=60))
    return Walked(capsys.readouterr().out, script)


def test_an_answer_against_what_was_said_before_is_refused_and_asked_again(
    family: App, capsys: pytest.CaptureFixture[str]
) -> None:
    skips, before = one_first(family), people(family)
    [question] = [question for question in family.review().questions() if question.kind == "one"]

    class Meddling(Script):
        """Somebody else decides while the question is being looked at."""

        def key(self, prompt: str) -> str:
            if len(self.prompts) == len(skips):
                face = str(family.catalog.faces.of_person(question.people[0])[0].id)
                decisions = Decisions(family.catalog)
                decisions.confirm([face])
                decisions.reject([face], str(question.people[1]))
            return super().key(prompt)

    walked = walk_with(family, Meddling([*skips, "y", "s", "q"]), capsys)
    assert "cannot be one: you assigned face" in walked.out
    assert walked.script.prompts[len(skips)].startswith("[y]es")
    assert people(family) == before


def test_what_another_program_settles_meanwhile_is_not_asked_again(
    anna: App, capsys: pytest.CaptureFixture[str]
) -> None:
    [question] = [question for question in anna.review().questions() if question.kind == "is"]

    class Meddling(Script):
        def key(self, prompt: str) -> str:
            if not self.prompts:
                Decisions(anna.catalog).assign([str(question.loose[0])], "Zoe", is_new=True)
            return super().key(prompt)

    walked = walk_with(anna, Meddling(["y", "q"]), capsys)
    assert "is resolved meanwhile" in walked.out
    assert walked.asked[0] == question.text
    assert walked.asked[1] != question.text
    assert people(anna)["Anna"] == 4
    assert people(anna)["Zoe"] == 1


def test_it_works_while_another_process_watches(anna: App, walk: Any, library: Library) -> None:
    with library.app(STRICT, engine=Changing()) as watcher, watcher.pipeline.running("watch"):
        walked = walk(anna, "y", "u", "y", "q")
    assert "6 faces belong to Anna now; undo with u" in walked.out
    assert people(anna)["Anna"] == 10


# --- nothing to ask ---


def test_when_everything_is_settled_it_says_so(library: Library, walk: Any) -> None:
    library.draw("a.png", (1, 0))
    library.draw("b.png", (1, 1))
    library.scan()
    with library.app() as app:
        app.corrections.rename("1", "Anna")
        assert walk(app).out == "nothing to ask: every face that can be recognised belongs to somebody\n"


# --- what is seen ---


def paths_in(out: str) -> list[Path]:
    return [Path(line.strip()) for line in re.findall(r"/\S+\.jpg$", out, re.MULTILINE)]


def test_without_pictures_there_are_crops_to_open_and_their_photos(anna: App, walk: Any, library: Library) -> None:
    out = walk(anna).out
    crops = paths_in(out)
    assert len(crops) == 8  # six that are asked about, two of Anna
    for path in crops:
        with Image.open(path) as crop:
            assert crop.size == (192, 192)
            red = crop.getpixel((96, 96))
        assert abs(red[0] - ANNA) < 12
    assert f"    {library.photos / 'u120.png'}:1" in out.splitlines()
    assert re.search(r"^  1 /", out, re.MULTILINE)


def test_a_photo_that_was_changed_is_not_taken_for_the_one_on_record(anna: App, walk: Any, library: Library) -> None:
    library.draw("u120.png", (BEN, 0), shade=10)
    out = walk(anna).out
    assert out.count("(cannot be shown: the photo is away or cannot be read)") == 1
    assert len(paths_in(out)) == 7


def test_a_photo_of_a_library_that_is_forgotten_meanwhile_is_not_opened(anna: App, library: Library) -> None:
    faces = faces_at(anna.catalog, [1])
    with anna.catalog.write():
        anna.catalog._db.execute("DELETE FROM files")
    with anna.face_crops(InlineWorkers(Recipe("fake"))) as crops:
        crops.prepare(faces)
        assert crops.paths(faces) == [None]


def test_a_photo_that_is_away_is_named_all_the_same(anna: App, walk: Any, library: Library) -> None:
    (library.photos / "u120.png").unlink()
    out = walk(anna).out
    assert "(cannot be shown: the photo is away or cannot be read)" in out
    assert f"{library.photos / 'u120.png'}:1" in out


def pictures_in(out: str) -> list[Image.Image]:
    """Return the rows of faces that kitty was sent."""
    found = []
    for data in re.findall(r"(?:\x1b_G(?:a=T|q=2)[^;]*;[^\x1b]*\x1b\\)+", out):
        chunks = re.findall(r"\x1b_G[^;]*;([^\x1b]*)\x1b\\", data)
        found.append(Image.open(io.BytesIO(base64.b64decode("".join(chunks)))))
    return found


def test_where_the_terminal_can_faces_are_drawn_with_those_of_the_person_below(anna: App, walk: Any) -> None:
    walked = walk(anna, "?", screen=Screen(Protocol.KITTY))
    rows = pictures_in(walked.out)
    assert [round(row.width / 104) for row in rows] == [6, 4]
    assert all(abs(row.getpixel((48, 48))[0] - ANNA) < 12 for row in rows)
    assert not paths_in(walked.out)
    assert "\nAnna:\n" in walked.out
    assert re.search(r"1 +2 +3 +4 +5 +6\n", walked.out)
    # Which photos they are from is told on demand.
    assert len(re.findall(r"\.png:1$", walked.out, re.MULTILINE)) == 10


def test_a_small_terminal_shows_fewer_faces_and_the_rest_when_asked(library: Library, walk: Any) -> None:
    library.draw_looks(ANNA, 9, "a")
    library.scan()
    with library.app() as app:
        walked = walk(app, "m", "m", screen=Screen(Protocol.KITTY, n_columns=60), n_lines=24)
    assert [round(row.width / 104) for row in pictures_in(walked.out)] == [4, 4, 1] or len(pictures_in(walked.out)) == 3
    assert "[m]ore" in walked.script.prompts[0]


def test_after_the_last_faces_more_begins_with_the_first(library: Library, walk: Any) -> None:
    library.draw_looks(ANNA, N_SHOWN + 2, "a")
    library.scan()
    with library.app() as app:
        # A person without a name is shown by no more than these; a group of single faces would be shown by all.
        [question] = app.review().questions()
        assert len(question.faces) == N_SHOWN
        walked = walk(app, "m", "m", screen=Screen(Protocol.KITTY, n_columns=80), n_lines=20)
    first, second, third = (row.tobytes() for row in pictures_in(walked.out))
    assert first != second
    assert first == third


def test_the_face_that_stands_for_a_person_comes_first(anna: App) -> None:
    [who] = [person.id for person in anna.catalog.people.all() if person.name]
    for row in anna.catalog.faces.of_person(who):
        with anna.corrections.deciding() as decisions:
            decisions.cover(str(who), str(row.id))
        best = anna.catalog.faces.best_of([who], 3)[who]
        assert best[0] == row.id
        assert len(set(best)) == 3


def test_faces_are_where_their_photos_say(library: Library) -> None:
    library.draw("two.png", (1, 0), (2, 0))
    library.scan()
    with library.app() as app:
        faces = faces_at(app.catalog, [2, 1, 2, 99])
        assert [(face.id, face.number, face.box.x) for face in faces] == [(2, 2, 192), (1, 1, 64)]
        assert {face.file for face in faces} == {str(library.photos / "two.png")}
        (library.photos / "two.png").rename(library.base / "gone.png")
        library.draw("other.png", (5, 0))
        app.pipeline.scan()
        assert faces_at(app.catalog, [1])[0].file is None


def test_what_cannot_be_answered_is_not_offered(family: App) -> None:
    one = next(question for question in family.review().questions() if question.kind == "one")
    assert verbs_for(family.catalog, one) == ["yes", "no", "name", "skip"]
    family.corrections.rename(str(one.people[0]), "Anna")
    assert verbs_for(family.catalog, one) == ["yes", "no", "skip"]
    who = next(question for question in family.review().questions() if question.kind == "who")
    assert verbs_for(family.catalog, who) == ["name", "not-a-face", "hide", "skip"]


# --- names ---


@given(st.lists(st.text(max_size=8)), st.text(max_size=3))
def test_completion_offers_each_name_that_begins_so_and_no_other(names: list[str], text: str) -> None:
    complete = completer(names)
    offered = [complete(text, n) for n in range(len(names) + 1)]
    found = [name for name in offered if name is not None]
    assert found == [name for name in names if name.casefold().startswith(text.casefold())]
    assert offered[len(found) :] == [None] * (len(names) + 1 - len(found))


def test_near_misses_are_beginnings_first_and_at_most_three() -> None:
    names = ["Johann", "Johanna", "Hanna", "Joh B", "Jo", "Zoe"]
    assert near_misses("Joh", names) == ["Johann", "Johanna", "Joh B"]
    assert near_misses("Hannah", names)[0] == "Hanna"
    assert near_misses("Wilhelm", names) == []


# --- for other programs ---


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(library: Library, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command on the library's catalog and return its exit code and output."""

    def call(*arguments: str) -> Answer:
        settings = ["--catalog", str(library.catalog), "--people", str(library.people)]
        return Answer(main(["review", *arguments, *settings]), *capsys.readouterr())

    return call


@pytest.fixture
def listed(anna: App, run: Any) -> list[dict[str, Any]]:
    return list(run("--json").json["questions"])


def test_where_nobody_can_be_asked_it_says_how_programs_do_it(anna: App, run: Any) -> None:
    answer = run()
    assert answer.code == 2
    assert "facewatch review --json" in answer.err
    assert "--answer ID=ANSWER" in answer.err


def test_the_list_says_all_that_another_program_needs(anna: App, run: Any, library: Library) -> None:
    found = run("--json").json
    assert found["obstacle"] is None
    assert found["n_open"] == 8
    assert found["n_questions"] == len(found["questions"])
    assert found["coverage"][-1]["n_faces"] == pytest.approx(8, abs=0.1)
    first = found["questions"][0]
    assert {key: first[key] for key in ("kind", "text", "n_faces")} == {
        "kind": "is",
        "text": "are these 6 faces Anna?",
        "n_faces": 6,
    }
    assert first["people"][0]["label"] == "Anna"
    assert first["answers"] == ["yes", "no", "name:NAME", "not-a-face", "hide", "skip"]
    assert {Path(face["photo"]).parent for face in first["faces"]} == {library.photos}
    assert {tuple(face["box"].values()) for face in first["faces"]} == {(64, 32, 64, 64, 0)}
    assert {face["number"] for face in first["faces"]} == {1}
    assert 0 < first["settles"] <= 6
    assert 0 < first["chance"] <= 1


def test_the_list_can_be_limited_to_the_best(anna: App, run: Any, listed: list[dict[str, Any]]) -> None:
    found = run("--json", "--most", "1").json
    assert found["questions"] == listed[:1]
    assert found["n_questions"] == len(listed)


def test_a_question_is_a_line_of_the_list(anna: App, run: Any, listed: list[dict[str, Any]]) -> None:
    lines = [line.strip().rstrip(",") for line in run("--json").out.splitlines()]
    assert [json.loads(line) for line in lines if line.startswith('{"id":')] == listed


def test_answers_are_taken_and_on_record(anna: App, run: Any, listed: list[dict[str, Any]]) -> None:
    decided = {entry.id for entry in anna.corrections.history()}
    who = next(question["id"] for question in listed if question["kind"] == "who" and question["n_faces"] == 2)
    answer = run("--answer", f"{listed[0]['id']}=yes", "--answer", f"{who}=name:Ben", "--json")
    assert answer.code == 0
    assert [(one["answer"], one["outcome"]) for one in answer.json["answers"]] == [
        ("yes", "6 faces belong to Anna now"),
        ("name:Ben", "2 faces belong to Ben now"),
    ]
    assert (answer.json["n_settled"], answer.json["n_open"]) == (8, 0)
    assert [decision["id"] for decision in answer.json["decisions"]] == [
        entry.parent_id or entry.id for entry in reversed(anna.corrections.history()) if entry.id not in decided
    ]
    assert people(anna) == {"Anna": 10, "Ben": 2}
    assert run("--json").json["questions"] == []


def test_answers_are_told_in_words_and_quietly_not_at_all(anna: App, run: Any, listed: list[dict[str, Any]]) -> None:
    first, second = listed[0]["id"], listed[-1]["id"]
    assert run("--answer", f"{first}=skip").out.splitlines() == [
        f"{first}: skipped; the next review asks again",
        "0 faces resolved; 8 open",
    ]
    assert run("--answer", f"{second}=hide", "--quiet").out == ""


@pytest.mark.parametrize(
    ("code", "answers"),
    [
        (9, ["who:999=yes"]),
        (9, ["{is}=perhaps"]),
        (9, ["{is}"]),
        (9, ["{who}=yes"]),
        (9, ["{who}=name:Ben", "nobody=no"]),
        (10, ["{is}=yes", "{is}=no"]),
        (10, ["{who}=name:Ben", "{who}=name:Clara"]),
    ],
)
def test_answers_that_cannot_be_have_documented_exit_codes_and_decide_nothing(
    anna: App, run: Any, listed: list[dict[str, Any]], code: int, answers: list[str]
) -> None:
    before = people(anna)
    ids = {question["kind"]: question["id"] for question in listed}
    given = [part for text in answers for part in ("--answer", text.format_map(ids))]
    answer = run(*given)
    assert answer.code == code, answer
    assert answer.err.startswith("facewatch: ")
    assert people(anna) == before


def test_a_name_stands_in_the_outcome_as_it_is_written_in_the_catalog(
    anna: App, run: Any, listed: list[dict[str, Any]]
) -> None:
    who = next(question["id"] for question in listed if question["kind"] == "who")
    assert "belong to Anna now" in run("--answer", f"{who}=name:ANNA").out


def test_most_questions_and_an_answer_make_no_sense_together(anna: App, run: Any) -> None:
    assert run("--answer", "who:1=skip", "--most", "3").code == 2


def test_without_faces_there_is_an_empty_list_that_says_why(library: Library, run: Any) -> None:
    (library.photos / "empty.txt").write_text("no photo")
    library.scan()
    answer = run("--json")
    assert answer.code == 0
    assert answer.json == {
        "obstacle": "no faces yet: facewatch scan PHOTOS finds them",
        "n_open": 0,
        "n_questions": 0,
        "coverage": [],
        "questions": [],
    }


def test_while_the_engine_changes_nothing_is_asked_and_it_says_why(anna: App, run: Any) -> None:
    with anna.catalog.write():
        anna.catalog.settings.set("engine", "face_recognition")
    answer = run("--json")
    assert answer.code == 0
    assert answer.json["questions"] == []
    assert (
        "the engine is being changed from fake to face_recognition: 0 of 12 photos analysed" in answer.json["obstacle"]
    )


# --- a real terminal ---


def session(library: Library, *arguments: str, pictures: str = "none") -> AbstractContextManager[Session]:
    return terminals.session(library, "review", *arguments, pictures=pictures)


@pytest.fixture
def seen(library: Library) -> Library:
    """Two people in two photos each, without names."""
    for name, look in (("a.png", 0), ("b.png", 1)):
        library.draw(name, (ANNA, look), (BEN, look))
    library.scan()
    return library


def names_in(library: Library) -> set[str]:
    with library.app() as app:
        return set(app.catalog.people.names().values())


def test_a_question_is_answered_at_a_terminal(seen: Library) -> None:
    with session(seen) as at:
        before = at.modes()
        at.expect("who is this (2 photos)?")
        at.expect("[q]uit [?] ")
        at.press("t")
        at.expect("who? ")
        at.press("Anna Maria\r")
        at.expect("2 faces belong to Anna Maria now")
        at.expect("[q]uit [?] ")
        at.press("\r")
        at.expect("who? ")
        # Completed, although in another case, with the space in it.
        at.press("anna m\t")
        at.expect("Anna Maria")
        at.press("\x15Ben\r")
        at.expect("2 faces belong to Ben now")
        at.expect("2 answers, 4 faces resolved, 0 open")
        assert at.end() == 0
        assert at.modes() == before
    assert names_in(seen) == {"Anna Maria", "Ben"}
    assert "Anna Maria/a.png" in seen.tree()


def test_keys_need_no_enter_and_are_not_echoed(seen: Library) -> None:
    with session(seen) as at:
        at.expect("[q]uit [?] ")
        at.press("h")
        at.expect("hide\n")
        at.expect("is hidden; undo with u")
        at.expect("[u]ndo [q]uit [?] ")
        assert not at.modes()[3] & (termios.ECHO | termios.ICANON)
        at.press("u")
        at.expect("taken back: who is this (2 photos)?")
        at.expect("[?] ")
        at.press("\x1b[A")
        at.expect("not a key for this question")
        at.expect("[?] ")
        at.press("q")
        at.expect("0 answers, 0 faces resolved, 4 open")
        assert at.end() == 0


@pytest.mark.parametrize("where", ["[?] ", "who? "])
@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_the_terminal_is_as_it_was_after_whoever_breaks_off(seen: Library, key: str, where: str) -> None:
    with session(seen) as at:
        before = at.modes()
        at.expect("[?] ")
        if where == "who? ":
            at.press("t")
            at.expect("who? ")
        # Enter, because a signal that comes just before Python waits for input is noticed when there is some.
        at.press(key + "\r")
        at.expect("0 answers, 0 faces resolved, 4 open")
        assert at.end() == 0
        assert at.modes() == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_the_terminal_is_as_it_was_after_a_signal(seen: Library, number: int, code: int) -> None:
    with session(seen) as at:
        before = at.modes()
        at.expect("[?] ")
        assert at.modes() != before
        at.process.send_signal(number)
        at.press("?")
        assert at.end() == code
        assert at.modes() == before


@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "Ctrl-C"])
def test_the_worker_that_cuts_faces_out_ends_with_the_review_and_says_nothing(seen: Library, key: str) -> None:
    for is_kept in (False, True):  # with all crops there the worker is still starting when the question is asked
        with session(seen) as at:
            at.expect("[?] ")
            children = psutil.Process(at.process.pid).children(recursive=True)
            assert children
            at.press(key + "\r")
            at.expect("0 answers, 0 faces resolved, 4 open")
            assert at.end() == 0, is_kept
            assert not psutil.wait_procs(children, 60)[1]
            assert "Traceback" not in at.seen


def test_pictures_are_sent_to_a_terminal_that_shows_them(seen: Library) -> None:
    with session(seen, pictures="kitty") as at:
        at.expect("[?] ")
        at.press("q")
        at.expect("4 open")
    [row] = pictures_in(at.seen)
    assert row.getpixel((48, 48))[0] in (ANNA, BEN)


def test_with_nothing_to_ask_a_terminal_is_told_so(seen: Library) -> None:
    with session(seen) as at:
        at.expect("[?] ")
        at.press("h")
        at.expect("[u]ndo")
        at.expect("[?] ")
        at.press("h")
        at.expect("nothing else to ask")
        assert at.end() == 0
    with session(seen) as at:
        at.expect("nothing to ask: every face that can be recognised belongs to somebody")
        assert at.end() == 0


def test_while_the_engine_changes_a_terminal_is_told_so(seen: Library) -> None:
    with seen.app() as app, app.catalog.write():
        app.catalog.settings.set("engine", "face_recognition")
    with session(seen) as at:
        at.expect("the engine is being changed from fake to face_recognition")
        assert at.end() == 0
