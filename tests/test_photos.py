"""Finding photos by who is on them, how many faces they show, when they were taken and where they are."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from drawn import Library, make_library
from hypothesis import given
from hypothesis import strategies as st

from facewatch.app import App
from facewatch.catalog.photos import DateSpan, PhotoQuery
from facewatch.errors import FacewatchError, NotKnownError, QueryError
from facewatch.people.overview import PersonTile
from facewatch.people.photos.complete import search_completions
from facewatch.people.photos.query import photo_query
from facewatch.people.photos.words import QueryWord, Term, after, before, date_span, words_of, words_of_arguments
from facewatch.presentation.photos import query_words

PHOTOS = {
    "2015/Rome/a": ([(1, 0), (2, 0)], "2015-05-01T12:00:00"),
    "2015/Rome/b": ([(1, 1)], "2015-05-02T12:00:00"),
    "empty": ([], "2018-03-03T12:00:00"),
    "2019/Holidays/c": ([(2, 1)], "2019-07-01T12:00:00"),
    "2019/Holidays/Sea side/d": ([(2, 2), (3, 0)], "2019-07-02T12:00:00"),
    "2019/e": ([(3, 1)], "2019-12-31T23:59:59"),
    "f": ([(1, 2), (2, 3), (3, 2)], "2020-01-01T00:00:00"),
    "undated": ([(1, 3)], ""),
}
"""What is on them, and when they were taken, oldest first."""

NAMES = {"2015/Rome/b.png": "Anna Maria", "2019/Holidays/c.png": "Ben", "2019/e.png": "Carl"}


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Anna Maria, Ben and Carl on eight photos; one of them has a copy."""
    library = make_library(tmp_path_factory.mktemp("album"))
    library.draw_all({name: faces for name, (faces, _) in PHOTOS.items()})
    (library.photos / "Copies").mkdir()
    shutil.copy2(library.photos / "2015/Rome/b.png", library.photos / "Copies/b again.png")
    library.scan()
    with library.app() as app:
        for photo, name in NAMES.items():
            [face] = app.lookup.photo(library.photos / photo)["faces"]
            app.corrections.rename(str(face["person_id"]), name)
        date_photos(library, app)
    return library


def date_photos(library: Library, app: App) -> None:
    with app.catalog.write():
        for name, (_, taken_at) in PHOTOS.items():
            app.catalog.photos.set_taken({app.lookup.photo_id(library.photos / f"{name}.png"): taken_at})


@pytest.fixture(scope="module")
def app(album: Library) -> Iterator[App]:
    with album.app() as app:
        yield app


def found(app: App, words: str) -> list[str]:
    """Return the names of the photos found, without folder and suffix."""
    finder = app.photos()
    return [Path(photo.files[0].path).stem for photo in finder.all(finder.understand(words))]


# --- what words find ---


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "f e d c empty b a undated"),
        ("with Ben", "f d c a"),
        ("Ben", "f d c a"),
        ("with Ben Carl", "f d"),
        ("with Ben and Carl", "f d"),
        ("Ben, Carl", "f d"),
        ("with Anna Maria Ben", "f a"),
        ('with "Anna Maria" Ben', "f a"),
        ("with \u201cAnna Maria\u201d", "f b a undated"),
        ("with Anna Ben", "f a"),
        ("With ANNA", "f b a undated"),
        ("with Anna or Carl", "f e d b a undated"),
        ("with Ben Anna or Carl", "f d a"),
        ("with p1", "f b a undated"),
        ("with Person 0001", "f b a undated"),
        ("with 2", "f d c a"),
        ("without Ben", "e empty b undated"),
        ("not Ben", "e empty b undated"),
        ("without Ben Carl", "empty b undated"),
        ("without Ben or Carl", "empty b undated"),
        ("with Ben without Carl", "c a"),
        ("without:Carl with:Ben", "c a"),
        ("faces:0", "empty"),
        ("faces:1", "e c b undated"),
        ("faces:2+", "f d a"),
        ("faces:2-3", "f d a"),
        ("faces:0-1", "e c empty b undated"),
        ("faces 3", "f"),
        ("Ben faces:1", "c"),
        ("2019", "e d c"),
        ("2019-07", "d c"),
        ("2019-07-02", "d"),
        ("in 2019", "e d c"),
        ("year:2019", "e d c"),
        ("2015-2018", "empty b a"),
        ("2015\u20132018", "empty b a"),
        ("2019-08..2020-01", "f e"),
        ("2015 2018", "empty b a"),
        ("since 2019", "f e d c"),
        ("after 2019", "f"),
        ("before 2019", "empty b a"),
        ("until 2019", "e d c empty b a"),
        ("from 2018 to 2019", "e d c empty"),
        ("since 2019-07-02 before 2020", "e d"),
        ("with Ben 2019", "d c"),
        ("undated", "undated"),
        ("undated with Ben", ""),
        ("in:Holidays", "d c"),
        ("in:holidays", "d c"),
        ("in Holidays", "d c"),
        ("in:2019", "e d c"),
        ("in:2019/Holidays", "d c"),
        ("in:Sea side", "d"),
        ('in:"Sea side" Ben', "d"),
        ("in:Sea side Ben", "d"),
        ("in:Ro*", "b a"),
        ("in:Copies", "b"),
        ("in:Rome in:Copies in:Holidays", "d c b a"),
        ("in:Photos", "f e d c empty b a undated"),
        ("in:Photos/2015", "b a"),
    ],
)
def test_photos_are_found_the_newest_first(app: App, words: str, expected: str) -> None:
    names = [name.replace("b again", "b") for name in found(app, words)]
    assert names == expected.split()


def test_a_folder_is_found_by_its_path(app: App, album: Library) -> None:
    assert found(app, f"in:{album.photos}/2015") == ["b", "a"]
    assert found(app, f"{album.photos}/2019/Holidays") == ["d", "c"]
    assert len(found(app, f"in:{album.base}")) == len(PHOTOS)


def test_a_path_from_here_is_understood_in_a_shell_only(app: App, album: Library) -> None:
    here = photo_query(app.catalog, "in:./Rome", here=album.photos / "2015")
    assert here.places == photo_query(app.catalog, "in:Rome").places
    with pytest.raises(NotKnownError):
        photo_query(app.catalog, "in:./Rome")


def test_longer_names_go_first_and_quotes_end_them(album: Library, app: App) -> None:
    with album.app() as other, other.catalog.write():
        anna = other.lookup.person("Anna Maria").id
        [carl, ben] = other.lookup.person("Carl").id, other.lookup.person("Ben").id
        other.catalog.people.rename(ben, "Anna")
        other.catalog.people.rename(carl, "Maria 2019")
    try:
        assert photo_query(app.catalog, "Anna Maria").people == ((anna,),)
        assert photo_query(app.catalog, '"Anna" Maria').people == ((ben,), (carl,))
        assert photo_query(app.catalog, "Anna Maria 2019").people == ((anna,),)
        assert photo_query(app.catalog, '"Anna" Maria 2019') == PhotoQuery(people=((ben,), (carl,)))
    finally:
        with album.app() as other, other.catalog.write():
            other.catalog.people.rename(ben, "Ben")
            other.catalog.people.rename(carl, "Carl")


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ("with Bem", NotKnownError, "did you mean Ben?"),
        ("with p77", NotKnownError, "p77"),
        ("Holidays", NotKnownError, "in:Holidays"),
        ('"Sea side"', NotKnownError, 'in:"Sea side"'),
        ("in:Holiday", NotKnownError, "in:Holiday*"),
        ("in:Hollidays", NotKnownError, "did you mean Holidays?"),
        ("in:/nowhere", NotKnownError, "/nowhere"),
        ("with", QueryError, "with Anna"),
        ("without faces:2", QueryError, "without"),
        ("with Anna or", QueryError, "or"),
        ("or Anna", QueryError, "or"),
        ("since", QueryError, "since 2019"),
        ("since Anna", QueryError, "no date"),
        ("since 2019-13", QueryError, "2019-13"),
        ("2019-02-30", QueryError, "2019-02-30"),
        ("faces:many", QueryError, "faces:3+"),
        ("faces:1 faces:2", QueryError, "once"),
        ("country:Italy", QueryError, "country:Italy"),
        ("deleted in:Rome", QueryError, "deleted"),
        ("undated 2019", QueryError, "undated"),
        ("x" * 3000, QueryError, "3000"),
    ],
)
def test_what_is_not_understood_is_said(app: App, words: str, error: type[FacewatchError], said: str) -> None:
    with pytest.raises(error) as raised:
        photo_query(app.catalog, words)
    assert said in str(raised.value)


def test_a_name_that_several_begin_with_lists_them(app: App, album: Library) -> None:
    with album.app() as other, other.catalog.write():
        carl = other.lookup.person("Carl").id
        other.catalog.people.rename(carl, "Anna Sophie")
    try:
        with pytest.raises(NotKnownError, match="fits 2 people"):
            photo_query(app.catalog, "with Anna Ben")
    finally:
        with album.app() as other, other.catalog.write():
            other.catalog.people.rename(carl, "Carl")


# --- words ---


def test_an_argument_with_spaces_was_quoted_unless_it_is_alone() -> None:
    assert words_of_arguments(["with", "Anna Maria", "in:Sea side"]) == [
        QueryWord("", Term.WITH),
        QueryWord("Anna Maria", is_quoted=True),
        QueryWord("Sea side", Term.IN, is_quoted=True),
    ]
    assert words_of_arguments(["with Anna"]) == [QueryWord("", Term.WITH), QueryWord("Anna")]


@given(st.text(max_size=80))
def test_any_text_is_words(text: str) -> None:
    assert "".join(word.text for word in words_of(text)).count(" ") <= text.count(" ")


@given(st.lists(st.sampled_from(["with", "or", "in", "Anna", "2019", "faces:", "2+", '"', "since", ":", "p1", ","])))
def test_any_words_find_something_or_say_what_is_wrong(app: App, words: list[str]) -> None:
    try:
        query = photo_query(app.catalog, " ".join(words))
    except (QueryError, NotKnownError):
        return
    assert len(app.catalog.photo_search.ids(query)) == app.photos().totals(query).n_photos


DAYS = st.dates(date(1802, 1, 1), date(2198, 12, 31)).map(date.isoformat)


@given(DAYS, st.sampled_from([4, 7, 10]))
def test_the_day_before_the_day_after_is_the_day(day: str, n_letters: int) -> None:
    day = day[:n_letters]
    assert before(after(day)) == day == after(before(day))
    assert before(day) < day < after(day)
    assert date_span(day) == DateSpan(day, day)


def test_what_is_searched_for_is_said(app: App) -> None:
    words = "with Ben Anna or Carl without p3 faces:2-3 since 2015 before 2020 2019 in:Rome"
    said = query_words(photo_query(app.catalog, words), app.catalog.people.names())
    assert said == (
        " with Ben and Anna Maria or Carl, without Carl, showing 2 to 3 faces, of 2019, 2015 to 2019, in Rome"
    )


# --- pages ---


@pytest.mark.parametrize("words", ["", "with Ben", "faces:1"])
def test_pages_follow_each_other_without_gap_or_repetition(app: App, words: str) -> None:
    finder = app.photos()
    query = finder.understand(words)
    pages, after_id = [], None
    while True:
        page = finder.page(query, most=2, after=after_id)
        pages += page.photos
        after_id = page.next_after
        if after_id is None:
            break
    assert pages == list(finder.all(query))


def test_a_photo_is_found_with_all_that_is_known_of_it(app: App) -> None:
    finder = app.photos()
    [b] = finder.all(finder.understand("2015-05-02"))
    assert [Path(file.path).name for file in b.files] == ["b.png", "b again.png"]
    assert (b.taken_at, b.n_faces) == ("2015-05-02T12:00:00", 1)
    [a] = finder.all(finder.understand("2015-05-01"))
    assert {person.label for person in a.people} == {"Anna Maria", "Ben"}
    assert all(person.is_named and person.face_id for person in a.people)


# --- what is not there ---


def test_deleted_photos_are_counted_and_found_by_a_word(library: Library) -> None:
    library.draw_all({"a": [(1, 0), (2, 0)], "b": [(1, 1)], "c": [(2, 1)]})
    library.scan()
    (library.photos / "b.png").unlink()
    library.scan()
    with library.app() as app:
        finder = app.photos()
        query = finder.understand("with p1")
        assert finder.totals(query).n_deleted == 1
        assert [photo.files[0].path for photo in finder.all(query)] == [str(library.photos / "a.png")]
        deleted = finder.understand("with p1 deleted")
        [photo] = finder.all(deleted)
        assert photo.files == ()
        assert [person.person_id for person in photo.people] == [1]
        assert finder.totals(deleted).n_photos == 1


def test_a_photo_that_was_edited_is_not_deleted(library: Library) -> None:
    library.draw("a.png", (1, 0), (2, 0))
    library.draw("b.png", (1, 1))
    library.scan()
    library.draw("b.png", (1, 1), shade=190)
    library.scan()
    with library.app() as app:
        finder = app.photos()
        assert finder.totals(finder.understand("")).n_deleted == 0
        assert finder.totals(finder.understand("")).n_photos == 2


def test_photos_without_a_date_are_counted_where_a_date_is_asked_for(app: App) -> None:
    finder = app.photos()
    assert finder.totals(finder.understand("with Anna since 2019")).n_undated == 1
    assert finder.totals(finder.understand("with Anna")).n_undated == 0
    assert finder.totals(finder.understand("with Ben since 2019")).n_undated == 0


def test_photos_of_a_library_that_is_offline_are_found_and_marked(three: Library, run: Any) -> None:
    three.photos.rename(three.base / "unplugged")
    answer = run("photos", "with", "p1")
    assert answer.out.split() == [f"{three.photos}/b.png", f"{three.photos}/a.png"]
    assert "2 of them are offline" in answer.err
    rows = json.loads(run("photos", "with", "p1", "--json").out)
    assert [photo["is_offline"] for photo in rows["photos"]] == [True, True]
    assert list(rows["offline"]) == [str(three.photos)]


def test_somebody_who_is_in_a_photo_without_a_face_is_found_there(three: Library, run: Any) -> None:
    run("present", "p1", str(three.photos / "e.png"))
    assert f"{three.photos}/e.png\n" in run("photos", "p1").out
    assert f"{three.photos}/e.png\n" not in run("photos", "without", "p1").out
    [photo] = [one for one in json.loads(run("photos", "p1", "--json").out)["photos"] if "e.png" in one["files"][0]]
    assert {"person_id": 1, "name": "Person 0001", "face_id": None} in photo["people"]


# --- the command ---


@pytest.fixture
def of_album(album: Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command on the album; returns its exit code and output."""
    from facewatch.cli import main

    monkeypatch.chdir(album.photos)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(["photos", *arguments, "--catalog", str(album.catalog), "--people", str(album.people)])
        return (code, *capsys.readouterr())

    return call


def test_paths_go_to_stdout_and_what_was_found_to_stderr(of_album: Any, album: Library) -> None:
    code, out, err = of_album("with", "Anna Maria", "Ben", "since", "2019")
    assert (code, out) == (0, f"{album.photos}/f.png\n")
    assert err == "1 photo with Anna Maria and Ben, since 2019\n"


def test_paths_can_end_with_nul(of_album: Any, album: Library) -> None:
    assert of_album("-0", "in:./2019/Holidays")[1] == "".join(
        f"{album.photos}/2019/Holidays/{name}.png\0" for name in ("Sea side/d", "c")
    )


def test_only_the_newest_can_be_asked_for_and_only_how_many(of_album: Any, album: Library) -> None:
    assert of_album("-n", "1", "Ben")[1] == f"{album.photos}/f.png\n"
    assert of_album("--count", "Ben")[1:] == ("4\n", "")
    assert json.loads(of_album("--count", "--json", "Anna", "2019")[1]) == {
        "n_photos": 0,
        "n_deleted": 0,
        "n_undated": 1,
        "offline": {},
    }


def test_nothing_found_is_no_error(of_album: Any) -> None:
    assert of_album("Ben", "2001") == (0, "", "no photo with Ben, of 2001\n")


def test_rows_for_programs_have_copies_people_and_dates(of_album: Any, album: Library) -> None:
    [photo] = json.loads(of_album("--json", "2015-05-02")[1])["photos"]
    assert photo["files"] == [f"{album.photos}/2015/Rome/b.png", f"{album.photos}/Copies/b again.png"]
    assert [person["name"] for person in photo["people"]] == ["Anna Maria"]
    rows = list(csv.DictReader(io.StringIO(of_album("--csv", "2015-05-02")[1])))
    assert [(row["people"], row["copies"]) for row in rows] == [("Anna Maria", f"{album.photos}/Copies/b again.png")]


def test_exit_codes_say_what_was_wrong(of_album: Any) -> None:
    assert of_album("with", "Zoe")[0] == 9
    assert of_album("faces:x")[0] == 2
    assert of_album("--csv", "--count")[0] == 2


def test_a_name_that_is_not_utf8_comes_out_as_it_is(library: Library, capfdbinary: Any) -> None:
    from facewatch.cli import main

    name = os.fsdecode(b"caf\xe9.png")
    library.draw(name, (1, 0))
    library.scan()
    assert main(["photos", "faces:1", "--catalog", str(library.catalog), "--people", str(library.people)]) == 0
    assert capfdbinary.readouterr().out == os.fsencode(library.photos / name) + b"\n"


# --- while it is typed ---

FOLDERS = ("Holidays", "Rome", "Sea side", "2019", "in")


def person(person_id: int, name: str | None, *, n_photos: int = 1) -> PersonTile:
    label = name or f"Person {person_id:04d}"
    return PersonTile(person_id, label, name is not None, False, n_photos, n_photos, None)


PEOPLE = tuple(
    person(number, name)
    for number, name in enumerate(["Anna Maria", "Anna", "Ben Miller", "Miller, Joe", "With", "2019", None], 1)
)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", []),
        ("An", ["Anna Maria ", "Anna "]),
        ("with an", ["with Anna Maria ", "with Anna "]),
        ("with Anna", ["with Anna Maria "]),
        ("with Anna Ma", ["with Anna Maria "]),
        ("with Ben Mil", ["with Ben Miller "]),
        ("Anna Ben", ["Anna Ben Miller "]),
        ("with Anna, Be", ["with Anna, Ben Miller "]),
        ('with "Anna M', ["with Anna Maria "]),
        ("without\u00a0Anna Mar", ["without\u00a0Anna Maria "]),
        ("2019 mill", ["2019 Miller, Joe ", "2019 Ben Miller "]),
        ("with 2019", []),
        ('with "20', ['with "2019" ']),
        ('"wi', ['"With" ']),
        ("with Anna fac", ["with Anna faces:"]),
        ("since", []),
        ("in:h", ["in:Holidays "]),
        ("in Se", ["in Sea side "]),
        ("in:sea s", ["in:Sea side "]),
        ('Anna in:"S', ["Anna in:Sea side "]),
        ("in:20", ['in:"2019" ']),
        ("in:Rome with Anna M", ["in:Rome with Anna Maria "]),
        ("with Anna or ", ["with Anna or Anna Maria ", "with Anna or Anna "]),
        ("2019 ", []),
    ],
)
def test_what_is_typed_is_completed(typed: str, expected: list[str]) -> None:
    found = [one.text for one in search_completions(typed, PEOPLE, FOLDERS, most=50)]
    assert found[: len(expected)] == expected
    assert expected or not found


@given(st.sampled_from(PEOPLE[:-1]), st.integers(1, 12))
def test_a_name_that_was_completed_is_read_as_that_name(one: PersonTile, n_typed: int) -> None:
    for typed in (f"with Anna {one.label[:n_typed]}", f'with Anna "{one.label[:n_typed]}'):
        for found in search_completions(typed, PEOPLE, FOLDERS, most=50):
            if found.person is not None:
                words = words_of(found.text)
                assert words[-1] == QueryWord(found.label, is_quoted=True) or found.text.endswith(f" {found.label} ")


def test_the_folders_of_the_libraries_are_offered(app: App) -> None:
    assert set(app.photos().folder_names()) == {"2015", "2019", "Copies", "Holidays", "Photos", "Rome", "Sea side"}
