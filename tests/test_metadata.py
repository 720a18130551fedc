"""What the catalog keeps of metadata about faces, and what a photo's header says to those who write it."""

from __future__ import annotations

import io
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sidecars
from PIL import ExifTags, Image, PngImagePlugin
from sqlite_utils import Database

from facewatch.catalog import Catalog
from facewatch.catalog.metadata import MetadataKind, MetadataRow, Way
from facewatch.catalog.migrations import MIGRATIONS
from facewatch.catalog.restore import carry_over
from facewatch.decode import described
from facewatch.regions import stored, xmp
from facewatch.types import Fingerprint


@pytest.mark.parametrize("program", ["EXIFTOOL", "LIGHTROOM", "DIGIKAM", "WINDOWS", "OSXPHOTOS"])
def test_what_was_read_comes_back_from_the_catalog(program: str) -> None:
    said = xmp.read(getattr(sidecars, program))
    text = stored.to_json(said)
    assert stored.from_json(text) == said
    assert stored.to_json(stored.from_json(text)) == text


def row_of(photo_id: int, path: str = "/photos/a.jpg.xmp") -> MetadataRow:
    return MetadataRow(path, photo_id, Way.WRITTEN, MetadataKind.SIDECAR, Fingerprint(1, 2, 3), b"digest", "{}")


def a_photo(catalog: Catalog, digest: bytes) -> int:
    with catalog.write():
        return catalog.photos.add(digest, (4, 3), "JPEG", "now")


def test_the_catalog_keeps_what_was_read_apart_from_what_was_written(tmp_path: Path) -> None:
    with Catalog(tmp_path / "c.sqlite") as catalog:
        photo, other = a_photo(catalog, b"a"), a_photo(catalog, b"b")
        written, strange = row_of(photo), row_of(other, "/photos/\udcff.xmp")
        read = replace(written, way=Way.READ, kind=MetadataKind.PICASA, doubt="damaged")
        with catalog.write():
            catalog.metadata.put([written, read, strange], "now")
        assert catalog.metadata.all(Way.WRITTEN) == {(photo, written.path): written, (other, strange.path): strange}
        assert catalog.metadata.of_photo(photo, Way.READ) == catalog.metadata.at(written.path, Way.READ) == [read]
        assert catalog.metadata.doubtful(Way.READ) == [read]
        assert not catalog.metadata.doubtful(Way.WRITTEN)
        with catalog.write():
            catalog.metadata.put([replace(written, said="{1}")], "now")
            catalog.metadata.forget([strange])
        assert [row.said for row in catalog.metadata.all(Way.WRITTEN).values()] == ["{1}"]


def test_a_backup_does_not_forget_what_was_written_since(tmp_path: Path) -> None:
    with Catalog(tmp_path / "c.sqlite") as catalog:
        photo = a_photo(catalog, b"a")
        catalog.backup(tmp_path / "copy.sqlite")
        later = a_photo(catalog, b"b")
        with catalog.write():
            catalog.metadata.put([row_of(photo), row_of(later)], "now")
    assert carry_over(tmp_path / "copy.sqlite", tmp_path / "c.sqlite")
    with Catalog(tmp_path / "copy.sqlite") as catalog:
        assert list(catalog.metadata.all(Way.WRITTEN).values()) == [row_of(photo)]


def test_a_catalog_that_could_not_write_has_written_nothing(tmp_path: Path) -> None:
    with Catalog(tmp_path / "c.sqlite") as catalog:
        catalog.backup(tmp_path / "copy.sqlite")
        library_id = catalog.library_id
    with closing(Database(tmp_path / "old.sqlite")) as db:
        MIGRATIONS.apply(db, stop_before="0015_metadata")
        db.execute("INSERT INTO settings (key, value) VALUES ('library_id', ?)", [f'"{library_id}"'])
        db.conn.commit()
    assert carry_over(tmp_path / "copy.sqlite", tmp_path / "old.sqlite")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_photo_says_how_it_is_stored(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data, info = io.BytesIO(), PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", sidecars.DIGIKAM.decode())
    if kind == "TIFF":
        exif[ExifTags.Base.XMLPacket] = sidecars.DIGIKAM
    Image.new("RGB", (40, 30)).save(data, kind, exif=exif, xmp=sidecars.DIGIKAM, pnginfo=info)
    said = described(data)
    assert said.orientation == orientation
    assert xmp.read(said.xmp[0]).faces == xmp.read(sidecars.DIGIKAM).faces


@pytest.mark.parametrize(("name", "orientation"), [("arrow.heic", 6), ("iphone_7.heic", 1), ("fox.avif", 1)])
def test_containers_say_it_their_own_way(shared: Path, name: str, orientation: int) -> None:
    [path] = (shared / "photos").rglob(name)
    with path.open("rb") as data:
        assert described(data).orientation == orientation


def test_orientations_are_kept_once_they_are_known(tmp_path: Path) -> None:
    with Catalog(tmp_path / "c.sqlite") as catalog:
        photo, other = a_photo(catalog, b"a"), a_photo(catalog, b"b")
        with catalog.write():
            catalog.photos.set_orientations({photo: 6})
        assert catalog.photos.orientations([photo, other, 99]) == {photo: 6}
