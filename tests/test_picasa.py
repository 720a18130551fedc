"""What Picasa wrote into .picasa.ini: faces in the photos of a folder, and whose they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_loop import Turns
from test_names_read import asked_by_scan, changed_in_place, settled
from test_names_taken import conflicts, face_at, named, say, sources, square, who_is_on

from facewatch.engines import fake
from facewatch.engines.fake import SIDE
from facewatch.errors import RegionsError
from facewatch.regions import picasa
from facewatch.regions.model import Area, PhotoRegions, Size
from facewatch.regions.orientation import area_of, to_stored
from facewatch.types import Box

ANNA, BEN = "8e62398ebda8c1a5", "b8e4117cf1d6615b"


def rect64(area: Area) -> str:
    """An area as Picasa writes it: without the zeros at its beginning."""
    edges = (area.x, area.y, area.x + area.w, area.y + area.h)
    return f"rect64({''.join(f'{round(edge * 65535):04x}' for edge in edges).lstrip('0')})"


def faces(*contacts: str, areas: tuple[Area, ...] = ()) -> str:
    """The faces of a drawn photo from left to right, each with its contact."""
    places = areas or tuple(square(i, len(contacts)) for i in range(len(contacts)))
    return "faces=" + ";".join(f"{rect64(area)},{who}" for area, who in zip(places, contacts, strict=True))


def ini(photos: dict[str, str], contacts: dict[str, str] | None = None) -> str:
    known = {ANNA: "Anna", BEN: "Ben"} if contacts is None else contacts
    lines = ["[Picasa]", "name=Summer", "[Contacts2]", *(f"{key}={name};;" for key, name in known.items())]
    for photo, said in photos.items():
        lines += [f"[{photo}]", "star=yes", said, "backuphash=36003"]
    return "\r\n".join(lines)


def write(library: Library, text: str, name: str = ".picasa.ini") -> Path:
    path = library.photos / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def turns(library: Library) -> Iterator[Turns]:
    turns = Turns(library)
    yield turns
    turns.app.__exit__(None, None, None)


@pytest.mark.parametrize("name", [".picasa.ini", "Picasa.ini"])
def test_faces_bear_the_names_that_picasa_gave_them_and_others_are_recognised_by_it(
    library: Library, name: str
) -> None:
    library.draw("a.png", (1, 0), (2, 0))
    library.draw("b.png", (1, 1))
    write(library, ini({"a.png": faces(ANNA, BEN), "gone.png": faces(BEN)}), name)
    library.scan()
    assert who_is_on(library, "a.png") == ["Anna", "Ben"]
    assert sources(library, "a.png") == ["import", "import"]
    assert who_is_on(library, "b.png") == ["Anna"]


def test_a_file_speaks_of_the_photos_in_its_own_folder_alone(library: Library) -> None:
    for path in ("a.png", "sub/a.png", "sub/deeper/a.png"):
        library.draw(path, (1 + path.count("/"), 0))
    write(library, ini({"a.png": faces(ANNA)}), "sub/.picasa.ini")
    library.scan()
    assert [who_is_on(library, path) for path in ("a.png", "sub/a.png", "sub/deeper/a.png")] == [
        [None],
        ["Anna"],
        [None],
    ]


def test_names_of_photos_are_found_in_whatever_case_windows_had_them(library: Library) -> None:
    library.draw("img_1.png", (1, 0))
    write(library, ini({"IMG_1.PNG": faces(ANNA)}))
    library.scan()
    assert who_is_on(library, "img_1.png") == ["Anna"]


def test_a_face_that_nobody_has_named_in_picasa_is_nobodys(library: Library) -> None:
    library.draw("a.png", (1, 0), (2, 0))
    write(library, ini({"a.png": faces("ffffffffffffffff", "0123456789abcdef")}))
    library.scan()
    assert who_is_on(library, "a.png") == [None, None]
    with library.app() as app:
        assert app.catalog.people.names() == {}


def test_it_is_read_again_only_when_it_changes_or_a_photo_comes(library: Library) -> None:
    library.draw("a.png", (1, 0))
    write(library, ini({"a.png": faces(ANNA), "b.png": faces(BEN)}))
    assert asked_by_scan(library) == [".picasa.ini", "a.png"]
    assert asked_by_scan(library) == []
    library.draw("b.png", (2, 0))
    assert asked_by_scan(library) == [".picasa.ini", "b.png"]
    assert who_is_on(library, "b.png") == ["Ben"]
    write(library, ini({"a.png": faces(BEN), "b.png": faces(BEN)}))
    assert asked_by_scan(library) == [".picasa.ini"]
    assert who_is_on(library, "a.png") == ["Ben"]


def test_other_names_of_the_same_size_and_time_are_read(library: Library) -> None:
    library.draw("a.png", (1, 0))
    lists = '<contacts><contact id="%s" name="%s" local_contact="1"/></contacts>'
    write(library, ini({"a.png": faces(ANNA)}, {}))
    write(library, lists % (ANNA, "Anna"), "contacts.xml")
    library.scan()
    assert who_is_on(library, "a.png") == ["Anna"]
    changed_in_place(library.photos / "contacts.xml", (lists % (ANNA, "Emma")).encode())
    library.scan()
    assert who_is_on(library, "a.png") == ["Emma"]
    changed_in_place(library.photos / ".picasa.ini", ini({"a.png": faces(BEN)}, {}).encode())
    assert ".picasa.ini" in asked_by_scan(library)
    assert asked_by_scan(library) == []


def test_names_that_only_the_list_of_contacts_has_come_when_it_comes(library: Library) -> None:
    library.draw("a.png", (1, 0), (2, 0))
    write(library, ini({"a.png": faces(ANNA, BEN)}, {BEN: "Ben"}))
    library.scan()
    assert who_is_on(library, "a.png") == [None, "Ben"]
    (library.photos / "old").mkdir()
    write(
        library,
        f'<contacts><contact id="{ANNA}" name="Anna" local_contact="1"/><contact id="{BEN}" name="Benny"/></contacts>',
        "old/contacts.xml",
    )
    library.scan()
    assert who_is_on(library, "a.png") == ["Anna", "Ben"]
    assert asked_by_scan(library) == []


def test_the_watcher_follows_what_picasa_writes(library: Library, turns: Turns) -> None:
    library.draw("a.png", (1, 0))
    turns.after(0)
    turns.after(10, "a.png")
    for name in ("Anna", "Annabelle"):
        settled(library.photos / ".picasa.ini", ini({"a.png": faces(ANNA)}, {ANNA: name}).encode())
        turns.after(1, ".picasa.ini")
        turns.after(10)
        turns.after(10)
        assert turns.app.lookup.photo(library.photos / "a.png")["faces"][0]["name"] == name


def test_what_a_user_rejected_does_not_come_back_and_is_told(library: Library) -> None:
    library.draw("a.png", (1, 0))
    write(library, ini({"a.png": faces(ANNA)}))
    library.scan()
    with library.app() as app, app.corrections.deciding() as decisions:
        decisions.reject([face_at(library, "a.png")])
    write(library, ini({"a.png": faces(ANNA) + ";"}))
    library.scan()
    assert who_is_on(library, "a.png") == [None]
    assert conflicts(library) == [(("Anna",), "user")]


def test_picasa_and_a_sidecar_that_disagree_are_told(library: Library) -> None:
    photo = library.draw("a.png", (1, 0))
    say(photo, named("Carla"))
    write(library, ini({"a.png": faces(ANNA)}))
    library.scan()
    assert who_is_on(library, "a.png") == [None]
    assert conflicts(library) == [(("Carla", "Anna"), "names_differ")]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_rectangles_are_those_of_the_stored_picture(library: Library, orientation: int) -> None:
    upright = Image.fromarray(fake.draw([(1, 0), (2, 0), (3, 0)])).crop((0, 0, 6 * SIDE, 2 * SIDE))
    upright.paste((200, 200, 200), (5 * SIDE, 0, 6 * SIDE, 2 * SIDE))
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(back[orientation]) if orientation in back else upright
    stored.save(library.photos / "a.webp", exif=exif, lossless=True)
    boxes = [Box(SIDE * left, SIDE // 2, SIDE, SIDE) for left in (1, 3)]
    areas = tuple(to_stored(area_of(box, Size(*upright.size)), orientation) for box in boxes)
    write(library, ini({"a.webp": faces(ANNA, BEN, areas=areas)}))
    library.scan()
    assert who_is_on(library, "a.webp") == ["Anna", "Ben"]


def test_the_command_counts_what_picasa_says(library: Library, run: Any) -> None:
    library.draw("a.png", (1, 0))
    write(library, ini({"a.png": faces(ANNA)}))
    library.scan()
    assert "1 by Picasa" in run("regions").out
    assert "named in Picasa" in run("why", str(library.photos / "a.png")).out


def test_a_damaged_file_is_told_of_once(library: Library, caplog: pytest.LogCaptureFixture) -> None:
    library.draw("a.png", (1, 0))
    (library.photos / ".picasa.ini").write_bytes(b"\0" * 100)
    with caplog.at_level("WARNING", "facewatch"):
        library.scan()
    assert ".picasa.ini: its names cannot be used" in caplog.text
    assert asked_by_scan(library) == []


# --- what stands in the file ---


def said(text: bytes | str) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    data = text.encode() if isinstance(text, str) else text
    return {
        photo: [(region.name, tuple(round(v, 3) for v in region.area.row)) for region in found.regions if region.area]
        for photo, found in picasa.read(data).items()
    }


def test_a_rectangle_is_left_top_right_and_bottom_and_its_first_zeros_are_left_out() -> None:
    found = said(f"[a.jpg]\nfaces=rect64(3f845bcb59418507),{ANNA};rect64(1000200040008000),{BEN};")
    assert found["a.jpg"][0] == (ANNA, (0.248, 0.359, 0.101, 0.161))
    assert said(f"[a.jpg]\nfaces=rect64(1000200040008000),{BEN}") == said(
        f"[a.jpg]\nFACES = RECT64(1000200040008000) , {BEN.upper()}"
    )
    assert said(f"[a.jpg]\nfaces=rect64(10008000ffff),{BEN}") == {"a.jpg": [(BEN, (0.0, 0.063, 0.5, 0.937))]}
    assert said(f"[a.jpg]\nfaces=rect64(ffff800010000000),{BEN}") == {}


def test_a_contact_without_its_first_zeros_is_the_same() -> None:
    assert said("[Contacts2]\ncb989580bc43a91=Carla;;\n[a.jpg]\nfaces=rect64(1000200040008000),0cb989580bc43a91") == {
        "a.jpg": [("Carla", (0.063, 0.125, 0.188, 0.375))]
    }


def test_names_of_before_utf8_are_read() -> None:
    text = "[Contacts2]\n8e62398ebda8c1a5=J\xf6rg;;\n[\xfc.jpg]\nfaces=rect64(1000200040008000),8e62398ebda8c1a5"
    assert said(text.encode("cp1252")) == said(text.encode()) == said("\ufeff" + text)
    assert said(text)["\xfc.jpg"][0][0] == "J\xf6rg"


def test_a_list_of_contacts_gives_names_by_ids() -> None:
    xml = b'<contacts><contact id="cb989580bc43a91" name="" display="Carla"/><contact name="x"/></contacts>'
    assert picasa.read_contacts(xml) == {"0cb989580bc43a91": "Carla"}
    with pytest.raises(RegionsError):
        picasa.read_contacts(b'<!DOCTYPE a [<!ENTITY b "c">]><contacts/>')


@given(st.text(max_size=300))
def test_whatever_stands_there_is_read_or_refused(text: str) -> None:
    for content in (text, f"[a.jpg]\nfaces={text}", f"[Contacts2]\n{text}=b;;"):
        try:
            found = picasa.read(content.encode(errors="replace"))
        except RegionsError:
            continue
        assert all(isinstance(one, PhotoRegions) for one in found.values())
