"""What XMP of other programs says about the people in a photo."""

from __future__ import annotations

import pytest
import sidecars
from sidecars import ANNA, BEN, SIZE, bag, microsoft, mwg, packet, region

from facewatch.errors import RegionsError
from facewatch.regions import rdf, xmp
from facewatch.regions.model import Area, Place, RegionKind, Scheme, Size


@pytest.mark.parametrize("program", ["EXIFTOOL", "LIGHTROOM", "DIGIKAM", "WINDOWS", "OSXPHOTOS"])
def test_every_program_is_understood(program: str) -> None:
    said = xmp.read(getattr(sidecars, program))
    assert [face.names for face in said.faces] == [("Anna",), ("Ben",)]
    for face, area in zip(said.faces, (ANNA, BEN), strict=True):
        assert face.area.row == pytest.approx(area.row)
    assert said.applied_to == (None if program == "WINDOWS" else SIZE)
    assert not said.conflicts


def test_pets_and_points_of_focus_are_kept_and_are_nobody() -> None:
    said = xmp.read(sidecars.EXIFTOOL)
    assert [r.kind for r in said.regions] == [RegionKind.FACE, RegionKind.FACE, RegionKind.PET, RegionKind.FOCUS]
    assert said.regions[2].name == "Rex"
    assert said.orientation == 6
    other = xmp.read(packet(mwg(region(ANNA, "Anna", ""), region(BEN, "978-3", "BarCode"), region(BEN, "?", "Sky"))))
    assert [r.kind for r in other.regions] == [RegionKind.FACE, RegionKind.BARCODE, RegionKind.OTHER]
    assert [face.names for face in other.faces] == [("Anna",)]


def test_schemes_that_disagree_are_a_conflict() -> None:
    shifted = Area(0.104, 0.2, 0.3, 0.4)
    said = xmp.read(packet(mwg(region(ANNA, "Anna"), region(BEN)) + microsoft((shifted, "Zoe"), (BEN, "Ben"))))
    assert [face.names for face in said.faces] == [("Anna", "Zoe"), ("Ben",)]
    assert [face.names for face in said.conflicts] == [("Anna", "Zoe")]
    assert [r.scheme for r in said.regions] == [Scheme.MWG, Scheme.MWG, Scheme.MICROSOFT, Scheme.MICROSOFT]


def test_faces_without_a_name_are_there_and_nobody() -> None:
    said = xmp.read(packet(mwg(region(ANNA), region(BEN, "Unknown"))))
    assert [face.names for face in said.faces] == [(), ()]


def test_keywords_of_people_are_told_from_the_others() -> None:
    said = xmp.read(sidecars.DIGIKAM)
    assert said.keywords[Place.TAGS_LIST] == ("People/Anna", "People/Ben", "beach")
    assert said.keywords[Place.CATEGORIES] == ("People/Anna", "People/Ben", "beach")
    assert said.keywords[Place.SUBJECT] == ("Anna", "Ben", "beach")
    assert said.unplaced == ()
    assert xmp.read(sidecars.OSXPHOTOS).unplaced == ("Carla",)


@pytest.mark.parametrize(
    "word",
    [
        bag("digiKam:TagsList", "People/Family/Anna", "People", "Peoples/Ben"),
        bag("digiKam:TagsList", "Personen/Anna", "People/Unknown"),
        bag("MicrosoftPhoto:LastKeywordXMP", "People/Anna"),
        bag("lr:hierarchicalSubject", "People|Anna", "Anna|People"),
        bag("mediapro:CatalogSets", "People|Anna"),
        bag("Iptc4xmpExt:PersonInImage", "Anna", "", "Anna"),
        mwg('<rdf:li rdf:parseType="Resource"><mwg-rs:Name>Anna</mwg-rs:Name></rdf:li>'),
        "<acdsee:Categories>&lt;Categories>&lt;Category Assigned='0'>People&lt;Category Assigned='1'>Anna&lt;/Category>"
        "&lt;/Category>&lt;/Categories></acdsee:Categories>",
    ],
)
def test_a_name_without_a_box_is_somebody_in_the_photo(word: str) -> None:
    said = xmp.read(packet(word))
    assert said.unplaced == ("Anna",)
    assert said.faces == ()


def test_plain_keywords_name_nobody() -> None:
    assert xmp.read(packet(bag("dc:subject", "Anna"))).unplaced == ()


def test_regions_are_understood_without_the_dimensions_they_were_applied_to() -> None:
    said = xmp.read(packet(mwg(region(ANNA, "Anna"), applied=None)))
    assert said.applied_to is None
    assert said.faces[0].area.row == pytest.approx(ANNA.row)


def test_circles_pixels_and_decimal_commas_are_understood() -> None:
    circle = region(ANNA, "Anna").replace("<stArea:h>0.4</stArea:h>", "").replace("stArea:w>", "stArea:d>")
    [face] = xmp.read(packet(mwg(circle))).faces
    assert face.area.row == pytest.approx((0.25 - 0.1125, 0.4 - 0.15, 0.225, 0.3))
    pixels = region(Area(80, 120, 240, 240), "Anna").replace("normalized", "pixel")
    assert xmp.read(packet(mwg(pixels))).faces[0].area.row == pytest.approx(ANNA.row)
    commas = microsoft((ANNA, "Anna")).replace("0.1, 0.2, 0.3, 0.4", "0,1, 0,2, 0,3, 0,4")
    assert xmp.read(packet(commas)).faces[0].area.row == pytest.approx(ANNA.row)


@pytest.mark.parametrize("area", [Area(0.2, 0.2, 0, 0.1), Area(40, 50, 3, 3), Area(0.1, 0.1, float("nan"), 0.2)])
def test_a_region_that_is_nowhere_in_the_picture_is_a_name_without_a_box(area: Area) -> None:
    said = xmp.read(packet(mwg(region(area, "Anna"))))
    assert said.regions[0].area is None
    assert said.unplaced == ("Anna",)


def test_a_region_is_cut_at_the_edge_of_the_picture() -> None:
    [face] = xmp.read(packet(mwg(region(Area(-0.1, 0.8, 0.3, 0.3), "Anna")))).faces
    assert face.area.row == pytest.approx((0.0, 0.8, 0.2, 0.2))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_every_encoding_of_xmp_is_read(encoding: str) -> None:
    data = packet(mwg(region(ANNA, "Zoë"))).decode().encode(encoding)
    assert xmp.read(data).faces[0].names == ("Zoë",)
    assert xmp.read(b"XML:com.adobe.xmp\0\0\0\0\0" + packet(mwg(region(ANNA, "Zoë"))) + b"  \n\0").faces


def test_a_prefix_means_nothing_and_a_namespace_everything() -> None:
    data = packet(mwg(region(ANNA, "Anna")))
    assert xmp.read(data.replace(b"mwg-rs:", b"q:").replace(b":mwg-rs=", b":q=")).faces
    assert not xmp.read(data.replace(b"schemas/regions/", b"schemas/others/")).faces


ENTITIES = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description b="&b;"/></rdf:RDF>"""


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "empty"),
        (b"\0" * 100, "empty"),
        (b"<html></html>", "another kind of XML"),
        (packet("")[:-60], "damaged"),
        (packet(mwg(region(ANNA, "Anna")))[:900], "damaged"),
        (packet("<dc:subject>&undefined;</dc:subject>"), "damaged"),
        (packet("<nothing:declared/>"), "damaged"),
        (ENTITIES, "document type"),
        (ENTITIES.decode().encode("utf-16"), "document type"),
        (packet("<dc:a>" * 90 + "</dc:a>" * 90), "deep"),
        (packet("<dc:a>" * 5000 + "</dc:a>" * 5000), "damaged"),
        (packet(mwg(*[region(ANNA, "Anna")] * (xmp.MAX_REGIONS + 1))), "regions"),
        (packet(bag("dc:subject", *map(str, range(xmp.MAX_WORDS + 1)))), "words"),
        (b"<" + b" " * rdf.MAX_BYTES, "MB"),
    ],
)
def test_what_is_damaged_or_hostile_is_refused_in_words(data: bytes, fault: str) -> None:
    with pytest.raises(RegionsError, match=fault):
        xmp.read(data)


def test_names_are_cut_where_no_name_ends() -> None:
    assert len(xmp.read(packet(mwg(region(ANNA, "a" * 5000)))).faces[0].names[0]) == xmp.MAX_NAME


def test_sizes_that_no_picture_has_are_not_said() -> None:
    assert xmp.read(packet(mwg(region(ANNA, "Anna"), applied=Size(0, 600)))).applied_to is None
