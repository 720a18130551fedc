"""Pictures of people, in a folder or a file for each, show who they are before a library names anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drawn import Library, make_library
from PIL import Image
from test_names_taken import decide, face_at, who_is_on

from facewatch.engines import fake
from facewatch.engines.fake import SIDE
from facewatch.errors import LibraryError
from facewatch.people.references import Use
from facewatch.presentation.references import reference_lines


def picture(library: Library, name: str, *faces: tuple[int, int]) -> Path:
    """Draw a picture outside the library."""
    path = library.base / "Portraits" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(fake.draw(faces)).save(path, format="PNG")
    return path


def uses(library: Library, **arguments: Any) -> dict[str, Use]:
    with library.app() as app:
        outcomes = app.references().take_over(library.base / "Portraits", **arguments)
    return {one.picture.path: one.use for one in outcomes}


def test_who_is_on_pictures_is_recognised_in_photos_that_come_later(library: Library) -> None:
    picture(library, "Anna/1.png", (1, 0))
    picture(library, "Anna/more/2.png", (1, 1))
    picture(library, "Ben.png", (2, 0))
    assert uses(library) == {"Anna/1.png": Use.TAKEN, "Anna/more/2.png": Use.TAKEN, "Ben.png": Use.TAKEN}
    library.draw("a.png", (1, 2), (2, 1), (3, 0))
    library.scan()
    assert who_is_on(library, "a.png") == ["Anna", "Ben", None]
    assert {"Anna/a.png", "Ben/a.png"} <= library.tree().keys()


def test_faces_that_are_there_already_are_recognised_at_once(library: Library) -> None:
    library.draw("a.png", (1, 1), (7, 0))
    library.scan()
    picture(library, "Anna.png", (1, 0))
    uses(library)
    assert who_is_on(library, "a.png") == ["Anna", None]


def test_pictures_may_be_deleted_and_no_scan_forgets_them(library: Library) -> None:
    path = picture(library, "Anna.png", (1, 0))
    uses(library)
    path.unlink()
    library.draw("z.png", (8, 0))
    library.scan()
    library.draw("a.png", (1, 1))
    library.scan()
    assert who_is_on(library, "a.png") == ["Anna"]


def test_pictures_are_no_photos_of_the_library(library: Library, run: Any) -> None:
    picture(
        library,
        "Anna.png",
        (1, 0),
    )
    uses(library)
    library.draw("a.png", (7, 0))
    library.scan()
    status = json.loads(run("status", "--json").out)
    assert status["n_photos"] == 1
    assert json.loads(run("photos", "--json").out)["n_photos"] == 1
    assert "delete" not in run("photos").out
    assert "Anna" not in " ".join(library.tree())
    assert run("audit").code == 0


def test_all_of_it_is_one_decision_and_doing_it_again_is_none(library: Library, run: Any) -> None:
    picture(library, "Anna/1.png", (1, 0))
    picture(library, "Ben/1.png", (2, 0))
    uses(library)
    assert uses(library) == {"Anna/1.png": Use.KNOWN, "Ben/1.png": Use.KNOWN}
    told = run("history").out
    assert "2 pictures of people taken over" in told
    assert "Ben: 1 face (f2) taken over" in told
    library.draw("a.png", (1, 1))
    library.scan()
    with library.app() as app:
        app.corrections.undo()
        assert app.catalog.people.names() == {}
    assert who_is_on(library, "a.png") == [None]
    library.draw("b.png", (1, 2))
    library.scan()
    assert who_is_on(library, "b.png") == ["Person 0003"]
    assert uses(library) == {"Anna/1.png": Use.TAKEN, "Ben/1.png": Use.TAKEN}
    assert who_is_on(library, "b.png") == ["Anna"]


def test_a_group_without_a_name_is_whom_the_pictures_show(library: Library) -> None:
    library.draw_looks(1, 3)
    library.draw_looks(2, 2, "kept")
    library.draw_looks(3, 2, "other")
    library.scan()
    group = who_is_on(library, "kept0.png")[0]
    decide(library, "hide", group)
    for name, person in (("Anna", 1), ("Ben", 2)):
        picture(library, f"{name}.png", (person, 9))
    uses(library)
    assert [who_is_on(library, f"{look}.png") for look in range(3)] == [["Anna"]] * 3
    assert who_is_on(library, "kept0.png") == [group]
    assert who_is_on(library, "other0.png") not in (["Anna"], ["Ben"], [None])
    with library.app() as app:
        app.corrections.undo()
    assert who_is_on(library, "0.png") == ["Person 0001"]


def test_a_trial_says_the_same_and_changes_nothing(library: Library) -> None:
    picture(library, "Anna/1.png", (1, 0))
    picture(library, "Anna/2.png", (3, 0), (4, 0))
    assert uses(library, is_trial=True) == {"Anna/1.png": Use.TAKEN, "Anna/2.png": Use.SEVERAL}
    with library.app() as app:
        assert app.catalog.people.names() == {}
        assert app.corrections.history() == []
    assert uses(library)["Anna/1.png"] is Use.TAKEN


def test_the_largest_face_counts_only_where_it_is_clearly_the_largest(library: Library) -> None:
    large = Image.fromarray(fake.draw([(1, 0)])).resize((9 * SIDE, 6 * SIDE), Image.Resampling.NEAREST)
    small = Image.fromarray(fake.draw([(2, 0)]))
    both = Image.new("RGB", (large.width + small.width, large.height), (200, 200, 200))
    both.paste(large, (0, 0))
    both.paste(small, (large.width, 0))
    (library.base / "Portraits").mkdir()
    both.save(library.base / "Portraits/Anna.png")
    picture(library, "Carla.png", (5, 0), (6, 0))
    assert uses(library) == {"Anna.png": Use.TAKEN, "Carla.png": Use.SEVERAL}
    library.draw("a.png", (1, 1), (2, 1))
    library.scan()
    assert who_is_on(library, "a.png") == ["Anna", None]


def test_what_shows_nobody_is_said_with_what_to_do(library: Library) -> None:
    picture(library, "Anna/none.png")
    picture(library, "Anna/two.png", (1, 0), (2, 0))
    picture(library, "p12/a.png", (3, 0))
    picture(library, "Ben.png", (4, 0))
    (library.base / "Portraits/Anna/bad.jpg").write_bytes(b"\xff\xd8\xff" + b"x" * 100)
    (library.base / "Portraits/Anna/notes.txt").write_text("hello")
    picture(library, ".hidden/Carla.png", (5, 0))
    with library.app() as app:
        outcomes = app.references().take_over(library.base / "Portraits", is_trial=True)
    bad, none, two, name = sorted(line for line in reference_lines(outcomes, is_trial=True) if "left out" in line)
    assert bad.startswith("Anna/bad.jpg: left out: ")
    assert none.startswith("Anna/none.png: left out: no face was found; ")
    assert two.startswith("Anna/two.png: left out: 2 faces, none of them clearly the largest; ")
    assert name.startswith("p12/a.png: left out: 'p12' would be taken for the id of a person")
    assert "Ben would be known by 1 picture" in [*reference_lines(outcomes, is_trial=True)]
    assert "Ben is known by 1 picture" in [*reference_lines(outcomes, is_trial=False)]
    assert next(iter(reference_lines([], is_trial=False))).startswith("no pictures there: ")


def test_the_command_reads_a_folder_and_says_what_became_of_it(library: Library, run: Any) -> None:
    (library.base / "Portraits").mkdir()
    (library.base / "Portraits/Anna.jpg").write_bytes(b"\xff\xd8\xff" + b"x" * 100)
    answer = run("people", "import", str(library.base / "Portraits"), "--json")
    [row] = json.loads(answer.out)["pictures"]
    assert (row["path"], row["name"], row["use"]) == ("Anna.jpg", "Anna", "faulty")
    assert "Anna.jpg: left out: " in run("people", "import", str(library.base / "Portraits"), "--dry-run").out


def test_somebody_who_is_called_like_a_word_of_the_command_is_listed_by_id(library: Library, run: Any) -> None:
    picture(library, "import.png", (1, 0))
    uses(library)
    assert [row["name"] for row in json.loads(run("people", "--json").out)] == ["import"]
    assert [row["name"] for row in json.loads(run("people", "p1", "--json").out)] == ["import"]


def test_what_the_user_said_before_stays(library: Library) -> None:
    photo = library.draw("a.png", (1, 0))
    library.draw("b.png", (2, 0))
    library.scan()
    decide(library, "assign", [face_at(library, "a.png")], "Ben", is_new=True)
    for name, source in (("Anna.png", photo), ("Carla.png", library.photos / "b.png")):
        (library.base / "Portraits").mkdir(exist_ok=True)
        (library.base / "Portraits" / name).write_bytes(source.read_bytes())
    assert uses(library) == {"Anna.png": Use.DECIDED, "Carla.png": Use.TAKEN}
    assert who_is_on(library, "a.png") == ["Ben"]
    assert who_is_on(library, "b.png") == ["Carla"]


def test_a_face_that_was_rejected_does_not_come_back(library: Library) -> None:
    photo = library.draw("a.png", (1, 0))
    library.scan()
    decide(library, "assign", [face_at(library, "a.png")], "Anna", is_new=True)
    decide(library, "reject", [face_at(library, "a.png")])
    (library.base / "Portraits").mkdir()
    (library.base / "Portraits/anna.png").symlink_to(photo)
    assert uses(library) == {"anna.png": Use.DECIDED}
    assert who_is_on(library, "a.png") == [None]


def test_explaining_a_face_leaves_the_pictures_where_they_are(library: Library) -> None:
    picture(library, "Anna.png", (1, 0))
    uses(library)
    photo = library.draw("a.png", (1, 1))
    library.scan()
    with library.app() as app:
        assert app.lookup.photo(photo)["faces"][0]["name"] == "Anna"
        app.explainer().explain(str(photo), is_complete=True)
        library.draw("b.png", (1, 2))
        app.pipeline.scan()
    assert who_is_on(library, "b.png") == ["Anna"]


def test_a_library_and_a_people_folder_are_no_pictures_of_people(library: Library, run: Any) -> None:
    library.draw("2019/a.png", (1, 0))
    library.scan()
    for folder in (library.photos, library.base, library.people):
        assert run("people", "import", str(folder)).code == 4
    with library.app() as app, pytest.raises(LibraryError, match="name a folder that has"):
        app.references().take_over(library.base / "nowhere")


def test_the_catalog_is_made_where_there_is_none(tmp_path: Path) -> None:
    library = make_library(tmp_path / "new")
    picture(library, "Anna.png", (1, 0))
    uses(library)
    assert library.catalog.exists()
