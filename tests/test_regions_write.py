"""Names and boxes written into XMP, beside what other programs wrote there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sidecars
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from sidecars import ANNA, BEN, SIZE, bag, microsoft, mwg, packet, region

from facewatch.errors import RegionsError
from facewatch.regions import rdf, xmp
from facewatch.regions.model import Area, PhotoRegions, Place, RegionKind, Scheme, Size
from facewatch.regions.orientation import area_of, box_of
from facewatch.regions.restating import packet_of
from facewatch.regions.writing import Merged, WantedFace, WantedRegions, lost, merge
from facewatch.types import Box

PROGRAMS = ("EXIFTOOL", "LIGHTROOM", "DIGIKAM", "WINDOWS", "OSXPHOTOS")
CARLA = Box(400, 30, 90, 101)
ANNA_BOX, BEN_BOX = box_of(ANNA, SIZE), box_of(BEN, SIZE)


def wanting(*faces: tuple[str, Box], present: tuple[str, ...] = (), is_confirmed: bool = True) -> WantedRegions:
    named = tuple(WantedFace(box, name, is_confirmed) for name, box in faces)
    return WantedRegions(SIZE, 1, named, present)


def after(merged: Merged) -> PhotoRegions:
    assert merged.data is not None
    return xmp.read(merged.data)


def boxes_of(said: PhotoRegions, scheme: Scheme) -> dict[str, Box]:
    return {r.name: box_of(r.area, SIZE) for r in said.regions if r.scheme is scheme and r.area}


def test_both_schemes_and_every_place_say_the_same() -> None:
    said = after(merge(None, wanting(("Anna", CARLA), present=("Ben",))))
    assert boxes_of(said, Scheme.MWG) == boxes_of(said, Scheme.MICROSOFT) == {"Anna": CARLA}
    assert said.applied_to == SIZE
    assert said.keywords == {
        Place.PERSON_IN_IMAGE: ("Anna", "Ben"),
        Place.TAGS_LIST: ("People/Anna", "People/Ben"),
        Place.LAST_KEYWORD: ("People/Anna", "People/Ben"),
        Place.HIERARCHICAL_SUBJECT: ("People|Anna", "People|Ben"),
        Place.CATALOG_SETS: ("People|Anna", "People|Ben"),
        Place.SUBJECT: ("Anna", "Ben"),
        Place.CATEGORIES: ("People/Anna", "People/Ben"),
    }
    assert said.unplaced == ("Ben",)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_said_already_is_not_written_again(program: str) -> None:
    before = getattr(sidecars, program)
    first = merge(before, wanting(("Anna", ANNA_BOX), ("Ben", BEN_BOX)))
    if program == "DIGIKAM":  # it lacks Iptc4xmpExt:PersonInImage only
        first = merge(before.replace(b"</rdf:Description>\n </rdf:RDF>", PERSON_IN_IMAGE), wanting(("Anna", ANNA_BOX)))
        assert first.data is None
        return
    again = merge(first.data, wanting(("Anna", ANNA_BOX), ("Ben", BEN_BOX)), first.said)
    assert again == replace(first, data=None)


PERSON_IN_IMAGE = bag("Iptc4xmpExt:PersonInImage", "Anna").encode() + b"</rdf:Description>\n </rdf:RDF>"


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_others_wrote_stays(program: str) -> None:
    before = xmp.read(getattr(sidecars, program))
    said = after(merge(getattr(sidecars, program), wanting(("Carla", CARLA))))
    theirs = [r for r in said.regions if r.name != "Carla"]
    assert theirs == list(before.regions)
    for place, words in before.keywords.items():
        assert set(words) <= set(said.keywords[place])
    assert said.orientation == before.orientation
    assert {r.scheme for r in said.regions if r.name == "Carla"} == {Scheme.MWG, Scheme.MICROSOFT}


def test_fields_comments_and_layout_of_others_stay() -> None:
    extra = region(ANNA, "Anna").replace(
        "</rdf:li>",
        '<mwg-rs:Extensions rdf:parseType="Resource"><xmp:Label>7</xmp:Label></mwg-rs:Extensions></rdf:li>',
    )
    before = packet(f"<!-- mine --><xmp:Rating>4</xmp:Rating><unknown xmlns='u:n'>!</unknown>{mwg(extra)}")
    written = merge(before, wanting(("Hanna", ANNA_BOX))).data or b""
    for text in (b"<!-- mine -->", b"<xmp:Rating>4</xmp:Rating>", b"u:n", b"<xmp:Label>7</xmp:Label>", b"a test"):
        assert text in written
    assert xmp.read(written).faces[0].names == ("Hanna",)


def test_a_rename_leaves_the_old_name_nowhere() -> None:
    first = merge(sidecars.DIGIKAM, wanting(("Anna", ANNA_BOX), ("Ben", BEN_BOX), present=("Carla",)))
    second = merge(first.data, wanting(("Hanna", ANNA_BOX), ("Ben", BEN_BOX)), first.said)
    assert b"Carla" not in (second.data or b"")
    assert (second.data or b"").replace(b"Hanna", b"").count(b"Anna") == 0
    said = after(second)
    assert [face.names for face in said.faces] == [("Hanna",), ("Ben",)]
    assert said.keywords[Place.CATEGORIES] == ("People/Ben", "People/Hanna", "beach")
    assert not said.unplaced


def test_who_is_not_in_the_photo_any_more_goes_and_the_others_stay() -> None:
    first = merge(sidecars.EXIFTOOL, wanting(("Carla", CARLA)))
    second = merge(first.data, wanting(), first.said)
    assert b"Carla" not in (second.data or b"")
    assert after(second) == xmp.read(sidecars.EXIFTOOL)


def test_a_name_that_somebody_else_in_the_photo_has_stays_in_the_words() -> None:
    first = merge(None, wanting(("Anna", ANNA_BOX), ("Anna", BEN_BOX)))
    second = merge(first.data, wanting(("Anna", BEN_BOX)), first.said)
    assert after(second).keywords[Place.SUBJECT] == ("Anna",)


def test_a_plain_keyword_that_is_nobodys_name_stays() -> None:
    first = merge(packet(bag("dc:subject", "Rose", "beach")), wanting(("Anna", ANNA_BOX)))
    said = after(merge(first.data, wanting(), first.said))
    assert said.keywords == {Place.SUBJECT: ("Rose", "beach")}


def test_who_was_confirmed_takes_the_place_of_what_another_program_says() -> None:
    written = merge(sidecars.DIGIKAM, wanting(("Zoe", ANNA_BOX)))
    said = after(written)
    assert [face.names for face in said.faces] == [("Zoe",), ("Ben",)]
    assert b"Anna" not in (written.data or b"")


def test_what_was_only_guessed_gives_way_to_what_another_program_says() -> None:
    merged = merge(sidecars.DIGIKAM, wanting(("Zoe", ANNA_BOX), is_confirmed=False))
    assert merged == Merged(None, replace(merged.said, regions=()), (("Zoe", "Anna"),))
    own = merge(None, wanting(("Anna", ANNA_BOX)))
    renamed = merge(own.data, wanting(("Zoe", ANNA_BOX), is_confirmed=False), own.said)
    assert after(renamed).faces[0].names == ("Zoe",)


def test_schemes_that_disagreed_agree_again() -> None:
    shifted = Area(0.104, 0.2, 0.3, 0.4)
    before = packet(mwg(region(ANNA, "Anna")) + microsoft((shifted, "Zoe")) + bag("digiKam:TagsList", "People/Zoe"))
    said = after(merge(before, wanting(("Ben", BEN_BOX), ("Anna", Box(78, 118, 245, 245)))))
    assert not said.conflicts
    assert boxes_of(said, Scheme.MWG)["Anna"] == boxes_of(said, Scheme.MICROSOFT)["Anna"]
    assert "People/Zoe" not in said.keywords[Place.TAGS_LIST]


def test_a_box_that_another_program_drew_round_the_same_face_is_kept_in_both_schemes() -> None:
    near = Box(ANNA_BOX.x + 9, ANNA_BOX.y - 7, ANNA_BOX.w - 5, ANNA_BOX.h + 3)
    first = merge(sidecars.EXIFTOOL, wanting(("Anna", near)))
    said = after(first)
    assert boxes_of(said, Scheme.MWG)["Anna"] == boxes_of(said, Scheme.MICROSOFT)["Anna"] == ANNA_BOX
    assert merge(first.data, wanting(("Anna", near)), first.said).data is None


def test_a_face_that_is_found_elsewhere_now_moves_where_facewatch_had_drawn_it() -> None:
    near = Box(ANNA_BOX.x + 9, ANNA_BOX.y - 7, ANNA_BOX.w - 5, ANNA_BOX.h + 3)
    first = merge(None, wanting(("Anna", ANNA_BOX)))
    said = after(merge(first.data, wanting(("Anna", near)), first.said))
    assert boxes_of(said, Scheme.MWG) == boxes_of(said, Scheme.MICROSOFT) == {"Anna": near}


def test_pets_and_points_of_focus_are_nobodys_faces() -> None:
    merged = merge(sidecars.EXIFTOOL, wanting(("Anna", ANNA_BOX), ("Ben", BEN_BOX)))
    kinds = {r.name: r.kind for r in after(merged).regions if r.scheme is Scheme.MWG}
    assert kinds == {
        "Anna": RegionKind.FACE,
        "Ben": RegionKind.FACE,
        "Rex": RegionKind.PET,
        "": RegionKind.FOCUS,
    }


def test_regions_of_the_upright_picture_become_those_of_the_stored_one() -> None:
    upright = Area(0.4, 0.1, 0.4, 0.3)  # Anna, at orientation 6, in the picture of 600 x 800
    before = packet(mwg(region(upright, "Anna"), region(upright, "", "Focus"), applied=SIZE.turned))
    wanted = WantedRegions(SIZE, 6, (WantedFace(ANNA_BOX, "Anna"),))
    said = after(merge(before, wanted))
    assert said.applied_to == SIZE
    assert [box_of(r.area, SIZE) for r in said.regions if r.area] == [ANNA_BOX, ANNA_BOX, ANNA_BOX]
    with pytest.raises(RegionsError, match="before it was turned"):
        merge(before, replace(wanted, orientation=1))


def test_dimensions_are_always_said() -> None:
    bare = packet(mwg(region(ANNA, "Anna"), applied=None))
    assert after(merge(bare, wanting(("Anna", ANNA_BOX)))).applied_to == SIZE
    small = packet(mwg(region(ANNA, "Anna"), applied=Size(400, 300)))
    assert after(merge(small, wanting(("Anna", ANNA_BOX)))).applied_to == SIZE


@pytest.mark.parametrize("name", ["AC/DC", "a|b", '<Anna & "Ben">', "  ", "Zoë 王小明", "1984", "True", "Smith, Anna"])
def test_every_name_comes_back(name: str) -> None:
    said = after(merge(None, wanting((name, ANNA_BOX))))
    assert [face.names for face in said.faces] == [(name.strip(),) if name.strip() else ()]
    assert not said.unplaced


def test_names_that_programs_keep_for_nobody_are_not_written() -> None:
    wanted = wanting(("Unknown", ANNA_BOX), ("Anna", BEN_BOX), present=("Unknown",))
    assert b"Unknown" not in (merge(None, wanted).data or b"")
    assert merge(None, wanted).said == wanted.said


def test_damaged_categories_of_acdsee_are_let_be() -> None:
    before = packet("<acdsee:Categories>&lt;Categories></acdsee:Categories>")
    written = merge(before, wanting(("Anna", ANNA_BOX))).data or b""
    assert b"<acdsee:Categories>&lt;Categories&gt;</acdsee:Categories>" in written


def test_a_damaged_packet_is_not_written_over() -> None:
    with pytest.raises(RegionsError):
        merge(b"<x:xmpmeta", wanting(("Anna", ANNA_BOX)))


@pytest.mark.parametrize("before", [b"", b"<rdf:RDF/>"])
def test_a_packet_without_a_description_gets_one(before: bytes) -> None:
    bare = b"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>"
    assert after(merge(bare, wanting(("Anna", ANNA_BOX)))).faces[0].names == ("Anna",)


def test_what_was_lost_is_told_from_what_only_moved() -> None:
    first = merge(None, wanting(("Anna", ANNA_BOX), ("Ben", BEN_BOX), present=("Carla",)))
    assert first.data is not None
    assert lost(xmp.read(first.data), first.said) == ()
    moved = merge(first.data, wanting(("Anna", Box(82, 121, 238, 240)), ("Ben", BEN_BOX), present=("Carla",)), None)
    assert lost(after(merge(first.data, wanting(("Anna", Box(82, 121, 238, 240))), first.said)), first.said) == (
        "Ben",
        "Carla",
    )
    assert moved.data is None
    assert lost(PhotoRegions(), first.said) == ("Anna", "Ben", "Carla")
    assert lost(xmp.read(first.data.replace(b"Anna", b"Zoe")), first.said) == ("Anna",)


NAMES = st.sampled_from(["Anna", "Ben", "Carla", "AC/DC", "beach"])
SPOTS = [Box(10 + 190 * i, 20 + 140 * j, 120, 110) for i in range(4) for j in range(4)]


@st.composite
def wishes(draw: st.DrawFn) -> WantedRegions:
    spots = draw(st.lists(st.sampled_from(SPOTS), unique=True, max_size=4))
    faces = [(draw(NAMES), Box(b.x + draw(st.integers(-5, 5)), b.y, b.w, b.h)) for b in spots]
    return wanting(*faces, present=tuple(draw(st.lists(NAMES, max_size=2, unique=True))))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([None, *PROGRAMS]), st.lists(wishes(), min_size=1, max_size=4))
def test_whatever_is_wanted_one_after_the_other_the_last_stands_and_others_words_stay(
    program: str | None, wanted: list[WantedRegions]
) -> None:
    data, ours = (getattr(sidecars, program) if program else None), None
    kinds = {RegionKind.PET, RegionKind.FOCUS}
    others = [r for r in xmp.read(data).regions if r.kind in kinds] if data else []
    for one in wanted:
        merged = merge(data, one, ours)
        data, ours = merged.data or data, merged.said
        assert data is not None
        said = xmp.read(data)
        assert merge(data, one, ours) == replace(merged, data=None)
        assert [r for r in said.regions if r.kind in kinds] == others
        assert lost(said, one.said) == ()
        assert {f.name for f in one.faces} <= {name for face in said.faces for name in face.names}
        assert not said.conflicts
    etree.fromstring(data, etree.XMLParser(resolve_entities=False))
    if program is None:
        names = {face.name for face in wanted[-1].faces} | {*wanted[-1].present}
        assert {name for face in said.faces for name in face.names} | {*said.unplaced} >= names - {"beach"}
        assert set(said.keywords.get(Place.SUBJECT, ())) == names
        assert len([r for r in said.regions if r.scheme is Scheme.MWG]) == len(wanted[-1].faces)


def test_a_tree_is_read_with_its_own_prefixes() -> None:
    before = packet(mwg(region(ANNA, "Anna"))).replace(b"mwg-rs:", b"q:").replace(b":mwg-rs=", b":q=")
    written = merge(before, wanting(("Anna", ANNA_BOX), ("Ben", BEN_BOX))).data or b""
    assert b"mwg-rs:" not in written
    assert len(list(rdf.parse(written).iter(f"{xmp.MWG}Regions"))) == 1
    assert area_of(BEN_BOX, SIZE) is not None


@pytest.mark.parametrize("program", ["EXIFTOOL", "LIGHTROOM", "DIGIKAM", "WINDOWS", "OSXPHOTOS"])
def test_what_a_file_says_of_people_is_said_again(program: str) -> None:
    said = xmp.read(getattr(sidecars, program))
    again = xmp.read(packet_of(said))
    assert [(r.scheme, r.kind, r.name) for r in again.regions] == [(r.scheme, r.kind, r.name) for r in said.regions]
    areas = [(one.area, before.area) for one, before in zip(again.regions, said.regions, strict=True)]
    assert all(area and before and area.row == pytest.approx(before.row) for area, before in areas)
    assert (again.keywords, again.applied_to) == (said.keywords, said.applied_to)
