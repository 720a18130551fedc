"""Names that other programs gave to faces are taken over: after what users say, before what runs found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st
from interop_digikam import STORE_AS
from PIL import Image
from sidecars import bag, microsoft, mwg, packet, region

from facewatch.boxes import overlaps
from facewatch.engines import fake
from facewatch.engines.fake import SIDE
from facewatch.people.named_faces import faces_in
from facewatch.regions.model import Area, Size
from facewatch.regions.orientation import area_of, to_stored
from facewatch.types import Box


def square(place: int, n_faces: int = 1) -> Area:
    """Where a face of a drawn photo is, the first from the left being 0."""
    return area_of(Box(SIDE * (2 * place + 1), SIDE // 2, SIDE, SIDE), size_of(n_faces))


def size_of(n_faces: int) -> Size:
    return Size(SIDE * (2 * n_faces + 1), 2 * SIDE)


def named(*names: str) -> bytes:
    """XMP that names the faces of a drawn photo from left to right; "": nobody."""
    n = len(names)
    regions = [region(square(i, n), name) for i, name in enumerate(names) if name]
    return packet(mwg(*regions, applied=size_of(n)))


def say(photo: Path, content: bytes) -> None:
    photo.with_name(photo.name + ".xmp").write_bytes(content)


def who_is_on(library: Library, name: str) -> list[str | None]:
    """Who the faces of a photo are, from left to right."""
    with library.app() as app:
        return [face["name"] for face in app.lookup.photo(library.photos / name)["faces"]]


def sources(library: Library, name: str) -> list[str | None]:
    with library.app() as app:
        return [face["source"] for face in app.lookup.photo(library.photos / name)["faces"]]


def conflicts(library: Library) -> list[tuple[tuple[str, ...], str]]:
    with library.app() as app:
        return [(one.names, str(one.trouble)) for one in app.names_from_files.conflicts()]


def decide(library: Library, action: str, *arguments: Any, **named: Any) -> None:
    with library.app() as app, app.corrections.deciding() as decisions:
        getattr(decisions, action)(*arguments, **named)


def face_at(library: Library, name: str, place: int = 0) -> str:
    with library.app() as app:
        return f"f{app.lookup.photo(library.photos / name)['faces'][place]['face_id']}"


def test_a_face_bears_the_name_that_its_sidecar_gives_and_others_are_recognised_by_it(library: Library) -> None:
    say(library.draw("a.png", (1, 0), (2, 0)), named("Anna", ""))
    library.draw("b.png", (1, 1))
    library.scan()
    assert who_is_on(library, "a.png") == ["Anna", None]
    assert sources(library, "a.png")[0] == "import"
    assert who_is_on(library, "b.png") == ["Anna"]
    assert {"Anna/a.png", "Anna/b.png"} <= library.tree().keys()


def test_names_are_one_whatever_their_case_and_spaces(library: Library) -> None:
    say(library.draw("a.png", (1, 0)), named("Anna  Muster"))
    say(library.draw("b.png", (1, 1)), named("anna muster"))
    library.scan()
    assert who_is_on(library, "a.png") == who_is_on(library, "b.png") == ["Anna Muster"]


@pytest.mark.parametrize("name", ["Unknown", "unknown", "?", "p12", "Person 0012", "../etc", "x" * 500, "\u202e"])
def test_some_names_are_nobodys(library: Library, name: str) -> None:
    say(library.draw("a.png", (1, 0)), named(name))
    library.scan()
    with library.app() as app:
        assert app.catalog.people.names() == {}


def test_pets_focus_points_and_barcodes_are_nobody(library: Library) -> None:
    kinds = [region(square(0), kind, kind) for kind in ("Pet", "Focus", "BarCode")]
    say(library.draw("a.png", (1, 0)), packet(mwg(*kinds, applied=size_of(1))))
    library.scan()
    assert who_is_on(library, "a.png") == [None]


def test_an_unnamed_person_of_whom_files_name_half_gets_the_name(library: Library) -> None:
    library.draw_looks(1, 4)
    library.scan()
    for name in ("0.png", "1.png"):
        say(library.photos / name, named("Anna"))
    library.scan()
    assert [who_is_on(library, f"{look}.png") for look in range(4)] == [["Anna"]] * 4
    with library.app() as app:
        assert len(app.catalog.people.all()) == 1


def test_a_name_from_a_file_moves_a_face_that_a_run_had_assigned(library: Library) -> None:
    library.draw_looks(1, 3)
    library.scan()
    decide(library, "rename", "p1", "Ben")
    say(library.photos / "0.png", named("Anna"))
    library.scan()
    assert who_is_on(library, "0.png") == ["Anna"]
    assert who_is_on(library, "1.png") == ["Ben"]
    assert conflicts(library) == []


def test_what_a_user_said_stays_and_is_told(library: Library) -> None:
    library.draw_looks(1, 3)
    library.scan()
    decide(library, "rename", "p1", "Ben")
    decide(library, "confirm", [face_at(library, "0.png")])
    say(library.photos / "0.png", named("Anna"))
    library.scan()
    assert who_is_on(library, "0.png") == ["Ben"]
    assert conflicts(library) == [(("Anna",), "user")]


def test_who_was_rejected_never_comes_back(library: Library) -> None:
    say(library.draw("a.png", (1, 0)), named("Anna"))
    library.draw("b.png", (2, 0))
    library.scan()
    decide(library, "reject", [face_at(library, "a.png")])
    say(library.photos / "a.png", named("ANNA"))
    library.scan()
    say(library.photos / "a.png", packet(mwg(region(square(0), "Anna"), applied=None)))
    library.scan()
    assert who_is_on(library, "a.png") == [None]
    assert conflicts(library) == [(("Anna",), "user")]


def test_a_face_that_was_taken_out_stays_out(library: Library) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    decide(library, "ignore", [face_at(library, "a.png")])
    say(library.photos / "a.png", named("Anna"))
    library.scan()
    assert who_is_on(library, "a.png") == [None]
    assert conflicts(library) == [(("Anna",), "user")]


def test_an_import_is_one_entry_and_is_undone_as_one_for_good(library: Library) -> None:
    say(library.draw("a.png", (1, 0), (2, 0)), named("Anna", "Ben"))
    say(library.draw("b.png", (3, 0)), packet(bag("Iptc4xmpExt:PersonInImage", "Carla", "Dora")))
    library.scan()
    with library.app() as app:
        entries = [entry for entry in app.corrections.history() if entry.parent_id is None and entry.actor == "user"]
        assert [(entry.action, entry.details["source"]) for entry in entries] == [("import", "files")]
        assert set(app.catalog.people.names().values()) == {"Anna", "Ben", "Carla", "Dora"}
        app.corrections.undo()
        assert app.catalog.people.names() == {}
    library.scan()
    with library.app() as app:
        assert app.catalog.people.names() == {}
        assert app.names_from_files.take_over() == []


def test_a_changed_name_in_a_file_follows_and_only_what_changed_does(library: Library) -> None:
    photo = library.draw("a.png", (1, 0), (2, 0))
    say(photo, named("Anna", "Ben"))
    library.scan()
    with library.app() as app:
        app.corrections.undo()
    say(photo, named("Anna", "Carla"))
    library.scan()
    assert who_is_on(library, "a.png") == [None, "Carla"]
    say(photo, named("Anna", "Dora"))
    library.scan()
    assert who_is_on(library, "a.png") == [None, "Dora"]


def test_schemes_that_disagree_are_told_and_nobody_is_right(library: Library) -> None:
    content = packet(mwg(region(square(0), "Zoe"), applied=size_of(1)) + microsoft((square(0), "Anna")))
    say(library.draw("a.png", (1, 0)), content)
    library.scan()
    assert who_is_on(library, "a.png") == [None]
    assert conflicts(library) == [(("Zoe", "Anna"), "names_differ")]
    decide(library, "assign", [face_at(library, "a.png")], "Zoe", is_new=True)
    assert conflicts(library) == []


def test_one_name_on_two_faces_of_a_photo_is_told(library: Library) -> None:
    say(library.draw("a.png", (1, 0), (2, 0), (3, 0)), named("Anna", "anna", "Ben"))
    library.scan()
    assert who_is_on(library, "a.png") == [None, None, "Ben"]
    assert conflicts(library) == [(("Anna",), "two_faces"), (("anna",), "two_faces")]


def test_a_sidecar_takes_the_place_of_what_is_in_the_photo(library: Library) -> None:
    photo = library.photos / "a.webp"
    Image.fromarray(fake.draw([(1, 0)])).save(photo, xmp=named("Carla"), lossless=True)
    say(photo, named("Anna"))
    photo.with_suffix(".xmp").write_bytes(named("Ben"))
    library.scan()
    assert who_is_on(library, "a.webp") == ["Anna"]
    assert conflicts(library) == []


def test_a_sidecar_that_speaks_of_nobody_leaves_it_to_the_photo(library: Library) -> None:
    photo = library.photos / "a.webp"
    Image.fromarray(fake.draw([(1, 0)])).save(photo, xmp=named("Carla"), lossless=True)
    say(photo, packet(bag("dc:subject", "beach"), ' xmp:Rating="4"'))
    library.scan()
    assert who_is_on(library, "a.webp") == ["Carla"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("is_written_upright", [False, True])
def test_boxes_are_found_however_the_photo_is_turned(
    library: Library, orientation: int, is_written_upright: bool
) -> None:
    # Not the same in a mirror: nothing would betray that the areas were written for the upright picture.
    upright = Image.fromarray(fake.draw([(1, 0), (2, 0), (3, 0)])).crop((0, 0, 6 * SIDE, 2 * SIDE))
    upright.paste((200, 200, 200), (5 * SIDE, 0, 6 * SIDE, 2 * SIDE))
    stored = upright.transpose(STORE_AS[orientation]) if orientation in STORE_AS else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = library.photos / "a.webp"
    stored.save(photo, exif=exif, lossless=True)
    turn = 1 if is_written_upright else orientation
    boxes = [Box(SIDE * left, SIDE // 2, SIDE, SIDE) for left in (1, 3)]
    areas = [to_stored(area_of(box, Size(*upright.size)), turn) for box in boxes]
    size = Size(*(upright.size if is_written_upright else stored.size))
    say(photo, packet(mwg(region(areas[0], "Anna"), region(areas[1], "Ben"), applied=size)))
    library.scan()
    assert who_is_on(library, "a.webp") == ["Anna", "Ben"]


def test_the_command_counts_and_lists_what_was_not_taken_over(library: Library, run: Any) -> None:
    say(library.draw("a.png", (1, 0), (2, 0)), named("Anna", "Ben"))
    disagreeing = packet(mwg(region(square(0), "Zoe"), applied=size_of(1)) + microsoft((square(0), "Anna B")))
    say(library.draw("b.png", (3, 0)), disagreeing)
    say(library.draw("c.png", (4, 0)), b"no XMP")
    library.scan()
    told = run("regions").out
    assert "2 by sidecars" in told
    assert "1 name: facewatch regions --conflicts" in told
    assert "1 file" in told
    face = face_at(library, "b.png")
    [line] = run("regions", "--conflicts").out.splitlines()
    assert line.endswith(
        f"b.png: face {face}: files disagree: Zoe or Anna B; here it is nobody. facewatch assign {face} Zoe"
    )
    row = json.loads(run("regions", "--json").out)
    assert (row["photos"], row["faces_taken"], row["damaged_files"]) == ({"sidecar": 2}, 2, 1)
    assert [(one["names"], one["why"]) for one in row["conflicts"]] == [(["Zoe", "Anna B"], "names_differ")]
    assert "names from files taken over, of 2 photos" in run("history").out


# --- names without a place ---


def in_image(*names: str) -> bytes:
    return packet(bag("Iptc4xmpExt:PersonInImage", *names))


def test_a_name_without_a_place_goes_to_the_face_that_is_nearest_to_that_person(library: Library) -> None:
    say(library.draw("a.png", (1, 0)), named("Anna"))
    say(library.draw("b.png", (5, 0), (1, 1), (6, 0)), in_image("Anna", "Ben"))
    library.scan()
    assert who_is_on(library, "b.png") == [None, "Anna", None]
    with library.app() as app:
        photo_id = app.lookup.photo_id(library.photos / "b.png")
        assert [one.name for one in app.catalog.presences.without_face(photo_id)] == ["Ben"]


def test_somebody_new_is_known_by_the_face_that_photos_of_that_name_share(library: Library) -> None:
    for name, person in (("a.png", 1), ("b.png", 1), ("c.png", 1), ("d.png", 7)):
        say(library.draw(name, (person, ord(name[0]))), in_image("Anna"))
    say(library.draw("e.png", (8, 0), (9, 0)), in_image("Ben"))
    library.scan()
    assert [who_is_on(library, name) for name in ("a.png", "b.png", "c.png")] == [["Anna"]] * 3
    assert who_is_on(library, "d.png") == [None]
    assert who_is_on(library, "e.png") == [None, None]
    with library.app() as app:
        for name, who in (("d.png", "Anna"), ("e.png", "Ben")):
            photo_id = app.lookup.photo_id(library.photos / name)
            assert [one.name for one in app.catalog.presences.without_face(photo_id)] == [who]


def test_one_face_and_one_name_belong_together_where_that_person_is_not_known(library: Library, run: Any) -> None:
    photo = library.draw("a.png", (1, 0))
    say(photo, in_image("Anna"))
    library.scan()
    assert who_is_on(library, "a.png") == ["Anna"]
    assert "the only face of its photo" in run("why", str(photo)).out
    say(library.draw("b.png", (7, 0)), in_image("Anna"))
    library.scan()
    assert who_is_on(library, "b.png") == [None]
    assert presences(library, "b.png") == ["Anna"]


def presences(library: Library, name: str) -> list[str | None]:
    with library.app() as app:
        photo_id = app.lookup.photo_id(library.photos / name)
        return [one.name for one in app.catalog.presences.without_face(photo_id)]


def test_a_region_without_a_face_is_a_presence(library: Library) -> None:
    say(library.draw("a.png", (1, 0)), packet(mwg(region(Area(0.0, 0.0, 0.1, 0.1), "Anna"), applied=size_of(1))))
    library.scan()
    assert who_is_on(library, "a.png") == [None]
    with library.app() as app:
        [presence] = app.catalog.presences.in_photo(app.lookup.photo_id(library.photos / "a.png"))
        assert presence.name == "Anna"


# --- laws ---

boxes = st.lists(
    st.builds(Box, st.integers(0, 400), st.integers(0, 400), st.integers(1, 200), st.integers(1, 200)), max_size=6
)


def rows(boxes: Sequence[Box]) -> Any:
    return np.array([(box.x, box.y, box.w, box.h) for box in boxes], float).reshape(-1, 4)


@given(boxes, boxes)
def test_no_face_has_two_regions_and_no_region_two_faces(faces: list[Box], regions: list[Box]) -> None:
    pairs = faces_in(faces, regions)
    assert len({face for face, _ in pairs}) == len({region for _, region in pairs}) == len(pairs)
    shares = overlaps(rows(faces), rows(regions))
    assert all(shares[pair] > 0 for pair in pairs)


@given(boxes)
def test_every_face_is_found_in_its_own_box(faces: list[Box]) -> None:
    apart = [box for i, box in enumerate(faces) if box not in faces[:i]]
    assert sorted(faces_in(apart, apart)) == [(i, i) for i in range(len(apart))]


@given(boxes, boxes, st.randoms())
def test_the_order_of_regions_does_not_matter(faces: list[Box], regions: list[Box], random: Any) -> None:
    shares = overlaps(rows(faces), rows(regions))
    if len({*shares.flat}) < shares.size:
        return  # which of two that overlap alike is the one is anybody's guess
    shuffled = random.sample(regions, len(regions))
    assert {(i, regions[j]) for i, j in faces_in(faces, regions)} == {
        (i, shuffled[j]) for i, j in faces_in(faces, shuffled)
    }
