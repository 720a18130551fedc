"""Names that go out: what the catalog says of a photo stands in its sidecar, where other programs read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import oracles
import pytest
from drawn import Library
from PIL import Image
from test_names_taken import decide, face_at, size_of, square
from test_regions_oracles import STORE_AS

from facewatch.engines import load_engine
from facewatch.engines.options import EngineOptions
from facewatch.people.regions_out import SidecarTold
from facewatch.people.sidecar_rules import Answer, Outcome
from facewatch.regions import xmp
from facewatch.regions.model import PhotoRegions, Place, Size
from facewatch.regions.orientation import upright_size
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
    assert json.loads(run("regions", "--write", "--json").out) == {"dry_run": False, "sidecars": []}
    assert "1 sidecar" in run("regions").out
    assert json.loads(run("regions", "--json").out)["sidecars"]["written"] == 1


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
