"""Regions that facewatch writes, as exiv2, exiftool and Exempi read them; and what these write, as it reads that."""

from __future__ import annotations

import json
from pathlib import Path

import oracles
import pytest
import sidecars
from interop_digikam import STORE_AS
from PIL import Image
from sidecars import ANNA, SIZE

from facewatch.regions import xmp
from facewatch.regions.model import PhotoRegions, Scheme, Size
from facewatch.regions.orientation import area_of, box_of, to_stored, to_upright, upright_size
from facewatch.regions.writing import WantedFace, WantedRegions, merge
from facewatch.types import Box

UPRIGHT = {"Zoë Müller": Box(211, 130, 97, 131), "AC/DC": Box(600, 401, 55, 43), "1984": Box(0, 0, 40, 33)}
"""Faces of a photo."""


def stored_boxes(orientation: int, size: Size) -> dict[str, Box]:
    """Where the faces are in the stored picture: by Pillow, which turns a picture of each."""
    boxes = {}
    for name, box in UPRIGHT.items():
        picture = Image.new("L", (size.width, size.height))
        picture.paste(255, (box.x, box.y, box.x + box.w, box.y + box.h))
        left, top, right, bottom = (
            picture.transpose(STORE_AS[orientation]) if orientation in STORE_AS else picture
        ).getbbox() or (0, 0, 0, 0)
        boxes[name] = Box(left, top, right - left, bottom - top)
    return boxes


@pytest.mark.parametrize("before", [None, "DIGIKAM", "EXIFTOOL", "LIGHTROOM"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("program", ["exiv2", "exiftool"])
def test_every_name_is_read_back_in_its_box_at_all_orientations(
    tmp_path: Path, program: str, orientation: int, before: str | None
) -> None:
    upright = Size(801, 600)
    stored = upright_size(upright, orientation)
    faces = [
        WantedFace(box_of(to_stored(area_of(box, upright), orientation), stored), name) for name, box in UPRIGHT.items()
    ]
    data = merge(getattr(sidecars, before) if before else None, WantedRegions(stored, orientation, tuple(faces))).data
    (path := tmp_path / "IMG.JPG.xmp").write_bytes(data or b"")
    read = {"exiv2": oracles.by_exiv2, "exiftool": oracles.by_exiftool}[program](path)
    for name, box in stored_boxes(orientation, upright).items():
        for rectangles in read:
            x, y, w, h = rectangles[name]
            found = x * stored.width, y * stored.height, w * stored.width, h * stored.height
            assert found == pytest.approx((box.x, box.y, box.w, box.h), abs=0.01)
    own = {r.name: r.area for r in xmp.read(data or b"").regions if r.scheme is Scheme.MWG and r.area}
    assert {name: box_of(to_upright(own[name], orientation), upright) for name in UPRIGHT} == UPRIGHT


@pytest.mark.parametrize("before", [None, "DIGIKAM", "EXIFTOOL", "LIGHTROOM", "WINDOWS", "OSXPHOTOS"])
def test_exempi_takes_what_is_written(tmp_path: Path, before: str | None) -> None:
    wanted = WantedRegions(SIZE, 1, (WantedFace(Box(400, 30, 90, 101), "Zoë"),), ("Ben",))
    (path := tmp_path / "IMG.JPG.xmp").write_bytes(
        merge(getattr(sidecars, before) if before else None, wanted).data or b""
    )
    dumped = oracles.run("exempi", "-X", "-x", path)
    said = xmp.read(dumped[dumped.index("<") :].encode())
    assert said == xmp.read(path.read_bytes())


@pytest.mark.parametrize("before", ["DIGIKAM", "EXIFTOOL", "LIGHTROOM", "WINDOWS", "OSXPHOTOS"])
def test_what_comes_and_goes_leaves_everything_as_exiftool_found_it(tmp_path: Path, before: str) -> None:
    (path := tmp_path / "IMG.JPG.xmp").write_bytes(getattr(sidecars, before))
    found = oracles.properties(path)
    come = merge(path.read_bytes(), WantedRegions(SIZE, 1, (WantedFace(Box(400, 30, 90, 101), "Zoë"),)))
    gone = merge(come.data, WantedRegions(SIZE, 1), come.said)
    path.write_bytes(gone.data or b"")
    left = oracles.properties(path)
    for empty in ("XMP-mwg-rs:RegionInfo", "XMP-MP:RegionInfoMP"):  # a list without regions may stay
        if empty not in found:
            left.pop(empty, None)
    assert left == found


def test_what_exiftool_adds_to_a_file_of_ours_is_kept_and_understood(tmp_path: Path) -> None:
    first = merge(None, WantedRegions(SIZE, 1, (WantedFace(Box(400, 30, 90, 101), "Zoë"),)))
    (path := tmp_path / "IMG.xmp").write_bytes(first.data or b"")
    x, y = ANNA.centre
    area = {"X": x, "Y": y, "W": ANNA.w, "H": ANNA.h, "Unit": "normalized"}
    info = json.dumps({"Area": area, "Name": "Smith, Anna", "Type": "Face"})
    (edit := tmp_path / "edit.json").write_text(f'[{{"SourceFile": "*", "RegionInfo": {{"RegionList": [{info}]}}}}]')
    oracles.run("exiftool", "-q", "-overwrite_original", "-XMP-dc:Title=Beach", path)
    oracles.run("exiftool", "-q", "-overwrite_original", f"-json={edit}", path)
    said = xmp.read(path.read_bytes())
    assert {face.names for face in said.faces} == {("Smith, Anna",), ("Zoë",)}
    again = merge(path.read_bytes(), WantedRegions(SIZE, 1, (WantedFace(Box(400, 30, 90, 101), "Hanna"),)), first.said)
    path.write_bytes(again.data or b"")
    assert oracles.properties(path)["XMP-dc:Title"] == "Beach"
    assert set(oracles.by_exiftool(path)[0]) == {"Smith, Anna", "Hanna"}


def test_what_exiv2_rewrites_is_understood_and_needs_no_writing(tmp_path: Path) -> None:
    wanted = WantedRegions(SIZE, 1, (WantedFace(Box(400, 30, 90, 101), "Zoë"),), ("Ben",))
    first = merge(None, wanted)
    (path := tmp_path / "IMG.xmp").write_bytes(first.data or b"")
    oracles.run("exiv2", "-M", "set Xmp.xmp.Rating 4", path)
    assert path.read_bytes() != first.data
    assert comparable(xmp.read(path.read_bytes())) == comparable(xmp.read(first.data or b""))
    assert merge(path.read_bytes(), wanted, first.said).data is None


def comparable(said: PhotoRegions) -> object:
    return {(r.name, r.scheme, box_of(r.area, SIZE)) for r in said.regions if r.area}, said.keywords, said.applied_to
