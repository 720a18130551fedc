"""Names that go out: what the catalog says of a photo stands in its sidecar, where other programs read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import oracles
import pytest
from drawn import Library
from PIL import Image, PngImagePlugin
from sidecars import bag, mwg, packet, region
from test_loop import Turns
from test_names_taken import decide, face_at, named, say, size_of, sources, square, who_is_on
from test_regions_oracles import STORE_AS
from users import as_a_user

from facewatch.catalog.metadata import Way
from facewatch.engines import fake, load_engine
from facewatch.engines.options import EngineOptions
from facewatch.errors import ConfigError
from facewatch.folders.sidecars import PART
from facewatch.people.regions_out import SidecarTold
from facewatch.people.sidecar_rules import Answer, Outcome
from facewatch.regions import xmp
from facewatch.regions.model import PhotoRegions, Place, RegionKind, Size
from facewatch.regions.orientation import box_of, upright_size
from facewatch.regions.writing import WantedFace, WantedRegions, merge
from facewatch.types import Box


def write(library: Library, answer: Answer | None = None, **settings: Any) -> list[SidecarTold]:
    with library.app({f"regions.{key}": value for key, value in settings.items()}) as app:
        return list(app.names_into_files.write(answer))


def outcomes(told: Sequence[SidecarTold]) -> list[str]:
    return [str(one.outcome) for one in told]


def mirrored(library: Library, name: str) -> Path:
    return library.catalog.with_name("catalog.sqlite.sidecars") / "Photos" / f"{name}.xmp"


def said(sidecar: Path) -> PhotoRegions:
    return xmp.read(sidecar.read_bytes())


def names_in(sidecar: Path) -> list[str]:
    return sorted(name for face in said(sidecar).faces for name in face.names)


def assign(library: Library, photo: str, name: str, place: int = 0) -> None:
    with library.app() as app:
        is_new = name not in app.catalog.people.names().values()
    decide(library, "assign", [face_at(library, photo, place)], name, is_new=is_new)


@pytest.fixture
def family(library: Library) -> Library:
    """A photo with Anna and Ben, and one of nobody of name."""
    library.draw("sub/a.png", (1, 0), (2, 0))
    library.draw("b.png", (3, 0))
    library.scan()
    assign(library, "sub/a.png", "Anna")
    assign(library, "sub/a.png", "Ben", 1)
    return library


def contents(folder: Path) -> dict[Path, tuple[bytes, int, int]]:
    """Every photo with its bytes, time and rights."""
    photos = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".xmp")
    return {path: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) for path in photos}


def test_who_is_named_stands_in_a_sidecar_of_the_mirror_and_no_photo_is_touched(family: Library) -> None:
    before = contents(family.photos)
    [told] = write(family)
    sidecar = mirrored(family, "sub/a.png")
    assert (told.outcome, told.sidecar, told.names) == (Outcome.WRITTEN, str(sidecar), ("Anna", "Ben"))
    there = {face.names: face.area.row for face in said(sidecar).faces}
    assert there == {("Anna",): pytest.approx(square(0, 2).row), ("Ben",): pytest.approx(square(1, 2).row)}
    assert said(sidecar).applied_to == size_of(2)
    assert said(sidecar).keywords[Place.PERSON_IN_IMAGE] == ("Anna", "Ben")
    assert contents(family.photos) == before
    assert not [*family.photos.rglob("*.xmp")]


def test_what_is_written_is_not_touched_again(family: Library) -> None:
    write(family)
    sidecar = mirrored(family, "sub/a.png")
    before = sidecar.stat()
    assert write(family) == []
    assert sidecar.stat() == before


def test_sidecars_stand_beside_the_photos_where_that_is_allowed(family: Library) -> None:
    before = contents(family.photos)
    write(family, beside=True)
    assert names_in(family.photos / "sub" / "a.png.xmp") == ["Anna", "Ben"]
    assert not mirrored(family, "sub/a.png").exists()
    assert contents(family.photos) == before


def test_only_confirmed_faces_are_written_unless_all_are_wanted(library: Library) -> None:
    library.draw_looks(1, 3)
    library.scan()
    decide(library, "rename", "p1", "Anna")
    decide(library, "confirm", [face_at(library, "0.png")])
    assert [Path(one.photo).name for one in write(library)] == ["0.png"]
    assert [Path(one.photo).name for one in write(library, who="named")] == ["1.png", "2.png"]


def test_who_is_in_a_photo_without_a_face_is_written_without_a_place(family: Library) -> None:
    with family.app() as app:
        photo = app.lookup.photo_id(family.photos / "b.png")
    decide(family, "present", "Anna", [photo])
    write(family)
    there = said(mirrored(family, "b.png"))
    assert (there.faces, there.keywords[Place.PERSON_IN_IMAGE]) == ((), ("Anna",))


def test_nobody_who_is_hidden_or_has_no_name_is_written(family: Library) -> None:
    decide(family, "hide", "Ben")
    write(family, who="named")
    assert names_in(mirrored(family, "sub/a.png")) == ["Anna"]
    assert not mirrored(family, "b.png").exists()


def stored_as(photo: Path, upright: Image.Image, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = upright.transpose(STORE_AS[orientation]) if orientation in STORE_AS else upright
    picture.save(photo, exif=exif, quality=95)


def box_in_stored(box: Box, upright: Size, orientation: int) -> tuple[int, int, int, int]:
    """Where a face is in the stored picture: by Pillow, which turns a picture of it."""
    mask = Image.new("L", (upright.width, upright.height))
    mask.paste(255, (box.x, box.y, box.x + box.w, box.y + box.h))
    turned = mask.transpose(STORE_AS[orientation]) if orientation in STORE_AS else mask
    left, top, right, bottom = turned.getbbox() or (0, 0, 0, 0)
    return left, top, right - left, bottom - top


@pytest.fixture
def turned(library: Library, shared: Path) -> dict[int, dict[str, Box]]:
    """A real photo as it is stored at all eight orientations, with its faces named: boxes of the upright photo."""
    with Image.open(shared / "photos" / "album" / "family" / "identification1.jpg") as upright:
        for orientation in range(1, 9):
            stored_as(library.photos / f"{orientation}.jpg", upright, orientation)
    boxes: dict[int, dict[str, Box]] = {}
    with library.app(engine=load_engine("face_recognition", EngineOptions(detector="hog"))) as app:
        app.pipeline.scan()
        for orientation in range(1, 9):
            faces = app.lookup.photo(library.photos / f"{orientation}.jpg")["faces"]
            boxes[orientation] = {f"Zoë {n}": Box(*(f[side] for side in "xywh")) for n, f in enumerate(faces)}
            for name, face in zip(boxes[orientation], faces, strict=True):
                with app.corrections.deciding() as decisions:
                    is_new = name not in app.catalog.people.names().values()
                    decisions.assign([f"f{face['face_id']}"], name, is_new=is_new)
        assert len([*app.names_into_files.write()]) == 8
    return boxes


def test_others_read_every_name_and_box_of_a_real_photo_at_all_orientations(
    library: Library, turned: dict[int, dict[str, Box]]
) -> None:
    upright = Size(800, 534)
    for orientation, boxes in turned.items():
        assert len(boxes) > 1
        stored = upright_size(upright, orientation)
        for read in (oracles.by_exiv2, oracles.by_exiftool):
            for rectangles in read(mirrored(library, f"{orientation}.jpg")):
                assert rectangles.keys() == boxes.keys()
                for name, box in boxes.items():
                    x, y, w, h = rectangles[name]
                    found = x * stored.width, y * stored.height, w * stored.width, h * stored.height
                    assert found == pytest.approx(box_in_stored(box, upright, orientation), abs=1)


def test_the_command_writes_and_tells(family: Library, run: Any) -> None:
    told = run("regions", "--write", "--dry-run").out
    assert "Anna, Ben" in told
    assert "1 sidecar would be written" in told
    assert not mirrored(family, "sub/a.png").exists()
    assert "1 sidecar written" in run("regions", "--write").out
    assert names_in(mirrored(family, "sub/a.png")) == ["Anna", "Ben"]
    assert json.loads(run("regions", "--write", "--json").out) == {
        "dry_run": False,
        "sidecars": [],
        "warnings": [],
    }
    assert "1 sidecar" in run("regions").out
    assert json.loads(run("regions", "--json").out)["sidecars"]["written"] == 1


def test_why_nothing_is_written_of_faces_that_nobody_confirmed_is_told(library: Library, run: Any) -> None:
    library.draw_looks(1, 3)
    library.scan()
    decide(library, "rename", "p1", "Anna")
    assert "only faces that you gave somebody or confirmed" in run("regions", "--write", "--dry-run").out
    run("confirm", "Anna")
    assert "only faces" not in run("regions", "--write").out
    assert "only faces" not in run("regions", "--write").out


def test_names_that_other_programs_take_for_others_are_told(family: Library, run: Any) -> None:
    decide(family, "rename", "Anna", "AC/DC")
    decide(family, "rename", "Ben", "Unknown")
    told = run("regions", "--write").out
    assert "AC/DC: digiKam will call this person AC\\DC" in told
    assert "Unknown: not written" in told
    assert names_in(mirrored(family, "sub/a.png")) == ["AC/DC"]
    assert "0 sidecars written" in run("regions", "--write").out


def test_the_command_asks_and_takes_answers(family: Library, run: Any) -> None:
    taken_out(family)
    assert "1 sidecar not written: names are gone" in run("regions", "--write").out
    assert "names are gone from 1: facewatch regions --write --again" in run("regions").out
    assert "names that facewatch wrote are gone from 1 sidecar" in run("doctor").out
    assert run("regions", "--write", "--again", "--leave").code == run("regions", "--again").code == 2
    assert "Anna, Ben" in run("regions", "--write", "--again").out
    assert json.loads(run("regions", "--json").out)["sidecars"]["asked"] == 0


def test_a_scan_writes_where_that_is_wanted(family: Library) -> None:
    sidecar = mirrored(family, "sub/a.png")
    family.scan()
    assert not sidecar.exists()
    family.scan(**{"regions.xmp": "sidecar"})
    assert names_in(sidecar) == ["Anna", "Ben"]
    decide(family, "rename", "Ben", "Carla")
    family.scan(**{"regions.xmp": "sidecar"})
    assert names_in(sidecar) == ["Anna", "Carla"]
    assert b"Ben" not in sidecar.read_bytes()


# --- what other programs do meanwhile ---


def test_what_others_wrote_stays_and_what_says_it_already_is_not_touched(family: Library) -> None:
    sidecar = family.photos / "sub" / "a.png.xmp"
    theirs = [region(square(0, 2), "Anna"), region(square(1, 2), "Rex", "Pet"), region(square(1, 2), "", "Focus")]
    sidecar.write_bytes(packet(mwg(*theirs, applied=size_of(2)) + bag("dc:subject", "beach"), ' xmp:Rating="4"'))
    write(family, beside=True)
    now = said(sidecar)
    assert names_in(sidecar) == ["Anna", "Ben"]
    assert {"Rex", ""} <= {one.name for one in now.regions if one.kind is not RegionKind.FACE}
    assert now.keywords[Place.SUBJECT] == ("beach", "Anna", "Ben")
    assert b'xmp:Rating="4"' in sidecar.read_bytes()
    with family.app() as app, app.catalog.write():
        app.catalog.metadata.forget(app.catalog.metadata.all(Way.WRITTEN).values())
    before = sidecar.stat()
    assert write(family, beside=True) == []
    assert sidecar.stat() == before


@pytest.mark.parametrize("is_kept", [True, False], ids=["changed", "taken out"])
def test_a_sidecar_that_another_program_changed_is_read_again(family: Library, is_kept: bool) -> None:
    write(family)
    sidecar = mirrored(family, "sub/a.png")
    data = sidecar.read_bytes()
    sidecar.write_bytes(data.replace(b"</rdf:RDF>", b"<!-- another program --></rdf:RDF>"))
    if not is_kept:
        sidecar.write_bytes(named("Anna", ""))
    assert outcomes(write(family)) == ([] if is_kept else ["asked"])
    decide(family, "rename", "Anna", "Carla")
    assert outcomes(write(family)) == (["written"] if is_kept else ["asked"])
    if is_kept:
        assert names_in(sidecar) == ["Ben", "Carla"]
        assert b"another program" in sidecar.read_bytes()


def test_who_stays_sees_what_changes_in_the_catalog_and_on_the_disk(family: Library) -> None:
    with family.app() as app:

        def write() -> list[str]:
            return outcomes(list(app.names_into_files.write()))

        assert [write(), write()] == [["written"], []]
        with app.corrections.deciding() as decisions:
            decisions.rename("Ben", "Carla")
        assert [write(), write()] == [["written"], []]
        mirrored(family, "sub/a.png").write_bytes(named("Anna", ""))
        assert [write(), write()] == [["asked"], ["asked"]]


def taken_out(family: Library) -> Path:
    """Sidecar from which another program took Ben out."""
    write(family)
    sidecar = mirrored(family, "sub/a.png")
    sidecar.write_bytes(named("Anna", ""))
    return sidecar


def test_names_that_are_gone_are_asked_for_and_nothing_is_written_until_there_is_an_answer(family: Library) -> None:
    sidecar = taken_out(family)
    before = sidecar.read_bytes()
    for is_new in (True, False):
        [told] = write(family)
        assert (told.outcome, told.names, told.is_new) == (Outcome.ASKED, ("Ben",), is_new)
    assert sidecar.read_bytes() == before
    with family.app() as app:
        assert app.names_into_files.counts().n_asked == 1


def test_names_that_are_gone_are_written_again(family: Library) -> None:
    sidecar = taken_out(family)
    assert outcomes(write(family)) == ["asked"]
    assert outcomes(write(family, Answer.AGAIN)) == ["written"]
    assert names_in(sidecar) == ["Anna", "Ben"]
    assert write(family) == []


def test_names_that_are_gone_are_left_out_for_good_and_others_are_written(family: Library) -> None:
    sidecar = taken_out(family)
    write(family)
    write(family, Answer.LEAVE)
    assert write(family) == []
    decide(family, "rename", "Anna", "Carla")
    assert outcomes(write(family)) == ["written"]
    assert names_in(sidecar) == ["Carla"]
    assert write(family) == []
    assert outcomes(write(family, Answer.AGAIN)) == ["written"]
    assert names_in(sidecar) == ["Ben", "Carla"]


def test_what_nobody_wants_any_more_is_not_missed(family: Library) -> None:
    sidecar = taken_out(family)
    assert outcomes(write(family)) == ["asked"]
    decide(family, "reject", [face_at(family, "sub/a.png", 1)])
    write(family)
    assert names_in(sidecar) == ["Anna"]
    assert write(family) == []


def test_a_sidecar_that_somebody_deleted_is_asked_for(family: Library) -> None:
    assign(family, "b.png", "Carla")
    write(family)
    mirrored(family, "b.png").unlink()
    [told] = write(family)
    assert (told.outcome, told.names) == (Outcome.ASKED, ("Carla",))
    assert not mirrored(family, "b.png").exists()
    write(family, Answer.LEAVE)
    assert write(family) == []
    assert not mirrored(family, "b.png").exists()


@pytest.mark.parametrize("content", [b"", b"no XMP", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"])
def test_a_damaged_sidecar_is_left_as_it_is_and_told_once(family: Library, content: bytes) -> None:
    sidecar = family.photos / "sub" / "a.png.xmp"
    sidecar.write_bytes(content)
    for answer, is_new in ((None, True), (None, False), (Answer.AGAIN, False)):
        told = write(family, answer, beside=True)
        assert [(one.outcome, one.is_new) for one in told] == [(Outcome.DAMAGED, is_new)]
    assert sidecar.read_bytes() == content
    sidecar.unlink()
    assert outcomes(write(family, beside=True)) == ["written"]


# --- what comes in, is corrected here and goes out ---


def test_a_name_that_came_from_a_file_and_was_corrected_here_goes_out_to_it(library: Library) -> None:
    photo = library.draw("a.png", (1, 0), (2, 0))
    words = bag("digiKam:TagsList", "People/Anna", "People/Ben", "beach", kind="Seq") + bag("dc:subject", "Anna", "Ben")
    regions = [region(square(0, 2), "Anna"), region(square(1, 2), "Ben"), region(square(1, 2), "Rex", "Pet")]
    say(photo, packet(mwg(*regions, applied=size_of(2)) + words))
    library.scan()
    decide(library, "rename", "Anna", "Anne")
    decide(library, "reject", [face_at(library, "a.png", 1)])
    assert outcomes(write(library, beside=True)) == ["written"]
    now = said(sidecar := library.photos / "a.png.xmp")
    assert names_in(sidecar) == ["Anne"]
    assert {one.name for one in now.regions} == {"Anne", "Rex"}
    assert now.keywords[Place.TAGS_LIST] == ("beach", "People/Anne")
    assert now.keywords[Place.SUBJECT] == ("Anne",)
    assert write(library, beside=True) == []
    library.scan()
    with library.app() as app:
        assert app.names_from_files.conflicts() == []
    assert who_is_on(library, "a.png") == ["Anne", None]


@pytest.mark.parametrize("deed", ["undo", "hide", "rename"])
def test_what_another_program_had_written_stays_when_facewatch_lets_go_of_it(library: Library, deed: str) -> None:
    say(library.draw("a.png", (1, 0), (2, 0)), named("Anna", ""))
    library.scan()
    assign(library, "a.png", "Ben", 1)
    assert outcomes(write(library, beside=True)) == ["written"]
    if deed == "undo":
        with library.app() as app:
            app.corrections.undo(2)
    else:
        decide(library, deed, *{"hide": ["Anna"], "rename": ["Anna", "Anne"]}[deed])
    write(library, beside=True)
    left = {"undo": ["Anna"], "hide": ["Anna", "Ben"], "rename": ["Anne", "Ben"]}[deed]
    assert names_in(library.photos / "a.png.xmp") == left
    assert write(library, beside=True) == []


def test_a_name_that_came_from_a_file_does_not_win_over_what_that_says_now(library: Library) -> None:
    say(photo := library.draw("a.png", (1, 0)), named("Anna"))
    library.scan()
    say(photo, named("Zoe"))
    assert write(library, beside=True) == []
    assert names_in(library.photos / "a.png.xmp") == ["Zoe"]
    library.scan(**{"regions.xmp": "sidecar", "regions.beside": True})
    assert names_in(library.photos / "a.png.xmp") == who_is_on(library, "a.png") == ["Zoe"]


def drawn_with(path: Path, faces: Sequence[tuple[int, int]], content: bytes) -> None:
    """Store a drawn photo with XMP in it."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", content.decode())
    Image.fromarray(fake.draw(faces)).save(path, pnginfo=info)


@pytest.mark.parametrize("place", ["IMG.xmp", "IMG.png"])
def test_a_new_sidecar_begins_with_what_it_hides_from_others(library: Library, place: str) -> None:
    regions = [region(square(0, 2), "Anna"), region(square(1, 2), "Rex", "Pet")]
    content = packet(mwg(*regions, applied=size_of(2)) + bag("dc:subject", "beach"), ' xmp:Rating="4"')
    drawn_with(library.photos / "IMG.png", [(1, 0), (2, 0)], content if place == "IMG.png" else packet(""))
    if place == "IMG.xmp":
        (library.photos / place).write_bytes(content)
    library.scan()
    assign(library, "IMG.png", "Ben", 1)
    write(library, beside=True)
    now = said(sidecar := library.photos / "IMG.png.xmp")
    assert names_in(sidecar) == ["Anna", "Ben"]
    assert [one.kind for one in now.regions if one.name == "Rex"] == [RegionKind.PET]
    assert now.keywords[Place.SUBJECT] == ("beach", "Anna", "Ben")
    assert b"Rating" not in sidecar.read_bytes()
    assert write(library, beside=True) == []


def test_a_photo_that_says_all_of_it_gets_no_sidecar(library: Library) -> None:
    wanted = WantedRegions(size_of(1), 1, (WantedFace(box_of(square(0), size_of(1)), "Anna"),))
    drawn_with(library.photos / "IMG.png", [(1, 0)], merge(None, wanted).data or b"")
    library.scan(**{"regions.xmp": "sidecar", "regions.beside": True})
    assert who_is_on(library, "IMG.png") == ["Anna"]
    assert not [*library.photos.glob("*.xmp")]
    decide(library, "rename", "Anna", "Anne")
    assert outcomes(write(library, beside=True)) == ["written"]
    assert names_in(library.photos / "IMG.png.xmp") == ["Anne"]


# --- what goes wrong ---


@pytest.mark.parametrize("at", ["sidecar", "folder"])
def test_no_link_is_followed(family: Library, tmp_path: Path, at: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if at == "folder":
        mirror = mirrored(family, "x").parent
        mirror.mkdir(parents=True)
        (mirror / "sub").symlink_to(elsewhere)
    else:
        (family.photos / "sub" / "a.png.xmp").symlink_to("a.png")
    before = contents(family.photos)
    assert outcomes(write(family, beside=at == "sidecar")) == ["failed"]
    assert contents(family.photos) == before
    assert not [*elsewhere.iterdir()]


def test_a_folder_that_cannot_be_written_is_told_and_tried_again(family: Library) -> None:
    (family.photos / "sub").chmod(0o500)

    def is_refused() -> None:
        assert [(one.outcome, one.reason) for one in write(family, beside=True)] == [
            (Outcome.FAILED, "Permission denied")
        ]

    as_a_user(is_refused)
    (family.photos / "sub").chmod(0o700)
    assert outcomes(write(family, beside=True)) == ["written"]


def test_what_a_kill_left_of_a_sidecar_goes_and_what_was_not_recorded_is_found(family: Library) -> None:
    write(family)
    sidecar = mirrored(family, "sub/a.png")
    with family.app() as app:
        before = app.catalog.metadata.all(Way.WRITTEN)
    (part := sidecar.with_name(PART)).write_bytes(b"the beginning of")
    decide(family, "rename", "Ben", "Carla")
    assert outcomes(write(family)) == ["written"]
    assert not part.exists()
    with family.app() as app, app.catalog.write():
        app.catalog.metadata.put(before.values(), "then")
    assert write(family) == []
    decide(family, "rename", "Carla", "Dora")
    assert outcomes(write(family)) == ["written"]
    assert names_in(sidecar) == ["Anna", "Dora"]


def test_sidecars_of_a_drive_that_is_away_wait(family: Library) -> None:
    write(family)
    decide(family, "rename", "Ben", "Carla")
    family.photos.rename(away := family.photos.with_name("away"))
    assert outcomes(write(family)) == ["waits"]
    away.rename(family.photos)
    assert outcomes(write(family)) == ["written"]


def test_a_mirror_that_is_away_is_not_taken_for_deleted_sidecars(family: Library) -> None:
    write(family)
    mirror = mirrored(family, "x").parent
    mirror.rename(away := mirror.with_name("away"))
    assert outcomes(write(family)) == ["waits"]
    away.rename(mirror)
    assert write(family) == []
    mirror.rename(away)
    assert outcomes(write(family, Answer.AGAIN)) == ["written"]
    assert names_in(mirrored(family, "sub/a.png")) == ["Anna", "Ben"]


def test_a_sidecar_that_moved_with_its_photo_is_still_facewatchs(family: Library) -> None:
    write(family, beside=True)
    (family.photos / "new").mkdir()
    for name in ("a.png", "a.png.xmp"):
        (family.photos / "sub" / name).rename(family.photos / "new" / name)
    family.scan()
    decide(family, "rename", "Ben", "Carla")
    assert outcomes(write(family, beside=True)) == ["written"]
    sidecar = family.photos / "new" / "a.png.xmp"
    assert names_in(sidecar) == ["Anna", "Carla"]
    assert b"Ben" not in sidecar.read_bytes()


@pytest.mark.parametrize("place", ["Photos", "Photos/xmp", ".", "People/xmp"])
def test_the_mirror_lies_apart_from_photos_and_people(library: Library, place: str) -> None:
    with pytest.raises(ConfigError, match=r"regions\.folder"):
        library.app({"regions.folder": str(library.base / place)})


def test_a_place_for_sidecars_that_nobody_asked_for_refuses_nothing(library: Library) -> None:
    """The catalog may lie in a folder of photos that it knows from before."""
    settings = {"library.catalog": str(library.base / "catalog.sqlite"), "library.photos": []}
    with library.app(settings) as app, app.catalog.write():
        app.catalog.roots.add(library.base, 0, app.catalog.now())
    with library.app(settings) as app:
        assert app.catalog.roots.all() == [library.base]
    with pytest.raises(ConfigError, match=r"regions\.folder"):
        library.app(settings | {"regions.xmp": "sidecar"})


# --- our own words ---


def test_what_facewatch_wrote_is_nobody_elses_word(library: Library) -> None:
    library.draw_looks(1, 3)
    library.scan()
    decide(library, "rename", "p1", "Anna")
    settings = {"regions.xmp": "sidecar", "regions.beside": True, "regions.who": "named"}
    library.scan(**settings)
    assert len([*library.photos.glob("*.xmp")]) == 3
    library.scan(**settings)
    assert {source for look in range(3) for source in sources(library, f"{look}.png")} == {"cluster"}
    before = [path.stat() for path in sorted(library.photos.glob("*.xmp"))]
    say(library.photos / "0.png", (library.photos / "0.png.xmp").read_bytes().replace(b"</rdf:RDF>", b" </rdf:RDF>"))
    library.scan(**settings)
    assert sources(library, "0.png") == ["cluster"]
    assert [path.stat() for path in sorted(library.photos.glob("*.xmp"))][1:] == before[1:]


def test_a_name_that_another_program_adds_is_still_taken_over(family: Library) -> None:
    decide(family, "reject", [face_at(family, "sub/a.png", 1)])
    write(family, beside=True)
    say(family.photos / "sub" / "a.png", named("Anna", "Carla"))
    assert outcomes(write(family, beside=True)) == ["written"]
    family.scan()
    assert who_is_on(family, "sub/a.png") == ["Anna", "Carla"]


def test_the_watcher_writes_what_was_decided(family: Library) -> None:
    turns = Turns(family, **{"regions.xmp": "sidecar"})
    with turns.app:
        turns.after(10)
        assert names_in(mirrored(family, "sub/a.png")) == ["Anna", "Ben"]
        decide(family, "rename", "Ben", "Carla")
        turns.after(10)
        assert names_in(mirrored(family, "sub/a.png")) == ["Anna", "Carla"]


# --- the status ---


def status_of(library: Library, run: Any, **settings: Any) -> tuple[str, Any]:
    (library.base / "facewatch.toml").write_text("[regions]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))
    return run("status").out, json.loads(run("status", "--json").out)


def test_the_status_says_what_was_written_and_what_waits_for_a_word(
    library: Library, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(library.base)
    library.draw_all({"a": [(1, 0)], "b": [(1, 1)]})
    library.scan()
    text, row = status_of(library, run)
    assert row["sidecars"] is None
    assert "sidecar" not in text
    text, row = status_of(library, run, xmp='"sidecar"')
    assert (row["sidecars"]["written"], row["sidecars"]["last_written"]) == (0, None)
    assert "no sidecars" in text
    assign(library, "a.png", "Anna")
    assign(library, "b.png", "Anna")
    write(library)
    text, row = status_of(library, run)
    assert "2 sidecars, the last 20" in text
    assert (row["sidecars"]["written"], row["sidecars"]["asked"], row["name_conflicts"]) == (2, 0, 0)
    assert row["sidecars"]["last_written"].startswith("20")
    mirrored(library, "a.png").write_bytes(packet(""))
    write(library)
    text, row = status_of(library, run)
    assert "names are gone from 1: facewatch regions --write --again" in text
    assert row["sidecars"]["asked"] == 1


def test_the_status_says_how_many_names_in_files_are_in_doubt(library: Library, run: Any) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    assign(library, "a.png", "Anna")
    say(library.photos / "a.png", named("Ben"))
    library.scan()
    assert "1 name in doubt and not taken over; `facewatch regions --conflicts` lists them" in run("status").out
    assert json.loads(run("status", "--json").out)["name_conflicts"] == 1
