"""What stands about people in sidecars and in photos is read once, and again only when it has changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import sidecars
from drawn import Library
from PIL import Image
from sidecars import ANNA, BEN, microsoft, mwg, packet, region
from test_loop import Turns

from facewatch.app import App
from facewatch.catalog.metadata import MetadataKind, MetadataRow, Way
from facewatch.engines import fake
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.regions import stored
from facewatch.regions.model import PhotoRegions
from facewatch.types import FileSays

ANNA_ONLY = packet(mwg(region(ANNA, "Anna")))


class CountingWorkers(InlineWorkers):
    """Notes which files were asked for names."""

    def __init__(self) -> None:
        super().__init__(Recipe("fake"), fake.FakeEngine())
        self.asked: list[str] = []

    def said(self, file: Any, expected: Any, kind: str) -> Future[FileSays]:
        self.asked.append(file.path)
        return super().said(file, expected, kind)


def rows(library: Library) -> dict[str, MetadataRow]:
    """What was read, by the path below the photos."""
    with library.app() as app:
        found = app.catalog.metadata.all(Way.READ)
    return {os.path.relpath(path, library.photos): row for (_, path), row in found.items()}


def said_in(library: Library) -> dict[str, list[str]]:
    """The names that stand in each file that was read."""
    return {path: names_in(stored.from_json(row.said)) for path, row in rows(library).items()}


def names_in(said: PhotoRegions) -> list[str]:
    return [name for face in said.faces for name in face.names]


def asked_by_scan(library: Library, **settings: Any) -> list[str]:
    workers = CountingWorkers()
    with library.app(settings, workers=workers) as app:
        app.pipeline.scan()
    return workers.asked


@pytest.mark.parametrize("name", ["a.png.xmp", "a.xmp", "a.XMP"])
def test_a_sidecar_is_read_with_its_photo(library: Library, name: str) -> None:
    library.draw("a.png", (1, 0))
    (library.photos / name).write_bytes(sidecars.DIGIKAM)
    library.scan()
    assert said_in(library) == {name: ["Anna", "Ben"]}


def test_a_sidecar_of_no_photo_and_one_of_another_name_speak_of_nobody(library: Library) -> None:
    library.draw("a.b.png", (1, 0))
    for name in ("a.xmp", "b.xmp", "a.b.png.x.xmp"):
        (library.photos / name).write_bytes(ANNA_ONLY)
    library.scan()
    assert said_in(library) == {}


def test_a_sidecar_is_read_again_only_when_it_has_changed(library: Library) -> None:
    photo = library.draw("sub/a.png", (1, 0))
    sidecar = photo.with_name("a.png.xmp")
    sidecar.write_bytes(ANNA_ONLY)
    assert asked_by_scan(library) == ["sub/a.png.xmp", "sub/a.png"]
    assert asked_by_scan(library) == []
    sidecar.write_bytes(packet(mwg(region(ANNA, "Annabelle"))))
    assert asked_by_scan(library) == ["sub/a.png.xmp"]
    assert said_in(library) == {"sub/a.png.xmp": ["Annabelle"]}


def changed_in_place(path: Path, content: bytes) -> None:
    """Write as many other bytes into the same file, and give it the time that it had, as `rsync --inplace -t` does."""
    before = path.stat()
    assert before.st_size == len(content)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    now = path.stat()
    assert (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_sidecar_with_other_bytes_of_the_same_size_and_time_is_read_again(library: Library) -> None:
    photo = library.draw("sub/a.png", (1, 0))
    sidecar = photo.with_name("a.png.xmp")
    sidecar.write_bytes(ANNA_ONLY)
    library.scan()
    changed_in_place(sidecar, ANNA_ONLY.replace(b"Anna", b"Emma"))
    assert asked_by_scan(library) == ["sub/a.png.xmp"]
    assert said_in(library) == {"sub/a.png.xmp": ["Emma"]}
    assert asked_by_scan(library) == []


def test_a_watcher_reads_such_a_sidecar_again(library: Library) -> None:
    photo = library.draw("a.png", (1, 0))
    sidecar = photo.with_name("a.png.xmp")
    sidecar.write_bytes(ANNA_ONLY)
    turns = Turns(library)
    with turns.app:
        turns.after(0.1)
        changed_in_place(sidecar, ANNA_ONLY.replace(b"Anna", b"Emma"))
        turns.after(2.1, "a.png.xmp")
    assert said_in(library) == {"a.png.xmp": ["Emma"]}


def test_a_sidecar_that_came_before_its_photo_is_read_when_that_comes(library: Library) -> None:
    (library.photos / "a.png.xmp").write_bytes(ANNA_ONLY)
    assert asked_by_scan(library) == []
    library.draw("a.png", (1, 0))
    assert asked_by_scan(library) == ["a.png.xmp", "a.png"]


def test_a_sidecar_that_is_gone_says_nothing_any_more(library: Library) -> None:
    library.draw("a.png", (1, 0))
    (library.photos / "a.png.xmp").write_bytes(ANNA_ONLY)
    library.scan()
    (library.photos / "a.png.xmp").unlink()
    library.scan()
    assert said_in(library) == {}


def test_a_moved_photo_takes_its_sidecar_along(library: Library) -> None:
    library.draw("a.png", (1, 0))
    (library.photos / "a.png.xmp").write_bytes(ANNA_ONLY)
    library.scan()
    (library.photos / "old").mkdir()
    for name in ("a.png", "a.png.xmp"):
        (library.photos / name).rename(library.photos / "old" / name)
    library.scan()
    assert said_in(library) == {"old/a.png.xmp": ["Anna"]}


def test_names_within_a_photo_are_read_once(library: Library) -> None:
    photo = library.photos / "a.jpg"
    Image.fromarray(fake.draw([(1, 0)])).save(photo, xmp=sidecars.LIGHTROOM)
    library.draw("b.png", (2, 0))
    assert asked_by_scan(library) == ["a.jpg", "b.png"]
    assert said_in(library) == {"a.jpg": ["Anna", "Ben"]}
    shutil.copy(photo, library.photos / "copy.jpg")
    assert asked_by_scan(library) == []


def test_how_a_photo_is_turned_is_known_where_somebody_speaks_of_it(library: Library) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(fake.draw([(1, ord(name[0]))])).save(library.photos / name, exif=turned)
    (library.photos / "a.jpg.xmp").write_bytes(ANNA_ONLY)
    library.scan(**{"regions.read": "sidecar"})
    with library.app() as app:
        ids = {name: app.catalog.files.at(library.photos / name).photo_id for name in ("a.jpg", "b.jpg")}
        assert app.catalog.photos.orientations(ids.values()) == {ids["a.jpg"]: 6}


@pytest.mark.parametrize(
    ("setting", "read"), [("off", set()), ("sidecar", {"a.png.xmp"}), ("both", {"a.png.xmp", "a.png", "b.png"})]
)
def test_the_setting_says_what_is_read(library: Library, setting: str, read: set[str]) -> None:
    library.draw_all({"a": [(1, 0)], "b": [(1, 1)]})
    (library.photos / "a.png.xmp").write_bytes(packet(""))
    asked = asked_by_scan(library, **{"regions.read": setting})
    assert {*asked} - {"a.png"} == read - {"a.png"}
    assert asked_by_scan(library, **{"regions.read": setting}) == []


@pytest.mark.parametrize(
    "content", [b"", b"no XMP", b"<x", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', b"<a>" * 200_000]
)
def test_a_damaged_sidecar_is_told_of_once_and_keeps_nothing_else_waiting(
    library: Library, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    library.draw_all({"a": [(1, 0)], "b": [(2, 0)]})
    (library.photos / "a.png.xmp").write_bytes(content)
    (library.photos / "b.png.xmp").write_bytes(ANNA_ONLY)
    with caplog.at_level("WARNING", "facewatch"):
        library.scan()
    assert "a.png.xmp: its names cannot be used" in caplog.text
    assert said_in(library) == {"a.png.xmp": [], "b.png.xmp": ["Anna"]}
    assert rows(library)["a.png.xmp"].doubt
    assert asked_by_scan(library) == []


def test_both_kinds_of_sidecars_and_the_photo_itself_are_read(library: Library) -> None:
    photo = library.photos / "a.jpg"
    Image.fromarray(fake.draw([(1, 0)])).save(photo, xmp=packet(microsoft((BEN, "Carla"))))
    (library.photos / "a.jpg.xmp").write_bytes(ANNA_ONLY)
    (library.photos / "a.xmp").write_bytes(packet(mwg(region(BEN, "Ben"))))
    library.scan()
    assert said_in(library) == {"a.jpg": ["Carla"], "a.jpg.xmp": ["Anna"], "a.xmp": ["Ben"]}
    assert rows(library)["a.jpg"].kind is MetadataKind.EMBEDDED


@pytest.fixture
def turns(library: Library) -> Iterator[Turns]:
    turns = Turns(library)
    yield turns
    turns.app.__exit__(None, None, None)


def test_the_watcher_reads_a_sidecar_that_comes_and_changes(library: Library, turns: Turns) -> None:
    def said(app: App) -> list[list[str]]:
        return [names_in(stored.from_json(row.said)) for row in app.catalog.metadata.all(Way.READ).values()]

    sidecar = library.draw("a.png", (1, 0)).with_name("a.png.xmp")
    turns.after(0)
    turns.after(10, "a.png")
    settled(sidecar, ANNA_ONLY)
    turns.after(1, "a.png.xmp")
    turns.after(10)
    turns.after(10)
    assert said(turns.app) == [["Anna"]]
    settled(sidecar, sidecars.WINDOWS)
    turns.after(1, "a.png.xmp")
    turns.after(10)
    turns.after(10)
    assert said(turns.app) == [["Anna", "Ben"]]
    sidecar.unlink()
    turns.after(1, "a.png.xmp")
    turns.after(30)
    turns.after(10)
    assert said(turns.app) == []


def settled(path: Path, content: bytes) -> None:
    """Write a file that looks as if it had been there for long."""
    path.write_bytes(content)
    os.utime(path, (1_000_000_000, 1_000_000_000))
