"""When a photo was taken: what its file says, whatever it looks like, and how that reaches the catalog."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from facewatch.decode import dates, decode, taken_at
from facewatch.errors import PhotoError
from facewatch.evaluation.analyses import AnalysedFile, Analyses, load_analyses, save_analyses
from facewatch.indexing.indexer import DATED_TOGETHER, find_dates
from facewatch.pipeline import DATES_SECONDS
from facewatch.types import Analysis, Fingerprint
from facewatch.watcher.loop import WatchLoop

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
ORIGINAL, DIGITIZED = ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized
SPRING = "2004:05:03 12:34:56"
SPRING_SAID = "2004-05-03T12:34:56"

DENVER = timedelta(hours=7)
MOMENTS = (
    st.datetimes(datetime(2001, 1, 1), datetime(9999, 12, 31, 23, 59, 59))  # noqa: DTZ001
    .map(lambda moment: moment.replace(microsecond=0))
    .filter(lambda moment: all(moment not in (null, null - DENVER) for null in dates._NULLS))
)


def exif_of(dated: dict[int, str], edited: str = "2020:01:02 03:04:05") -> bytes:
    """EXIF with these tags in its own directory, and when it was edited in the first one."""
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = edited
    exif.get_ifd(ExifTags.IFD.Exif).update(dated)
    return exif.tobytes()


def xmp_of(**said: str) -> bytes:
    attributes = " ".join(f'{name.replace("_", ":")}="{text}"' for name, text in said.items())
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {attributes}/></x:xmpmeta>'.encode()


def saved(image_format: str, **options: object) -> bytes:
    target = io.BytesIO()
    image = Image.new("RGB", (32, 24), "teal")
    if image_format == "HEIF":
        pillow_heif.from_pillow(image).save(target, **options)
    else:
        image.save(target, image_format, **options)
    return target.getvalue()


def both_say(content: bytes) -> str:
    """What a photo says, looked at without and with decoding it, which must be the same."""
    said = taken_at(io.BytesIO(content))
    assert decode(io.BytesIO(content)).taken_at == said
    return said


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


# --- dates as texts ---


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"2004:05:03 12:34:56", "2004-05-03T12:34:56"),
        (b"2004:05:03 12:34:56\0\0", "2004-05-03T12:34:56"),
        (b"2004-05-03T12:34:56.789+02:00", "2004-05-03T12:34:56"),
        (b"2004-05-03T23:30Z", "2004-05-03T23:30:00"),
        (b"2004/05/03 12:34:56", "2004-05-03T12:34:56"),
        (b"2004:5:3 1:02:03", "2004-05-03T01:02:03"),
        (b"2004-05-03", "2004-05-03T00:00:00"),
        (b"2004:05:03   :  :  ", "2004-05-03T00:00:00"),
        (b"1839:09:01 00:00:00", "1839-09-01T00:00:00"),
        (b"2999:12:31 00:00:00", "2999-12-31T00:00:00"),
    ],
)
def test_a_date_is_understood_as_cameras_and_editors_write_it(text: bytes, said: str) -> None:
    assert dates.date_in(text) == said


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"    :  :     :  :  ", b"0000:00:00 00:00:00", b"not a date", b"20040503 123456"),
        *(b"2004", b"2004-05", b"2004:05:00 00:00:00", b"2004:05:   :  :  "),
        *(b"2004:13:01 00:00:00", b"2004:02:30 00:00:00", b"2004:05:03 25:00:00", b"2099:13:45 99:99:99"),
        *(b"0001:01:01 00:00:00", b"1601:01:01 00:00:00", "\u0662\u0660\u0660\u0664:05:03".encode()),
    ],
)
def test_what_is_no_date_is_none(text: bytes) -> None:
    assert dates.date_in(text) == ""


@pytest.mark.parametrize("year", [1970, 1980, 2000])
@pytest.mark.parametrize("time", ["00:00:00", "00:00:01", "07:59:59"])
def test_a_clock_that_runs_on_from_its_reset_says_nothing(year: int, time: str) -> None:
    assert dates.date_in(f"{year}:01:01 {time}".encode()) == ""


def test_a_clock_is_believed_half_a_day_after_its_reset() -> None:
    believed = datetime(1980, 1, 1) + timedelta(hours=12)  # noqa: DTZ001
    assert dates.date_in(believed.isoformat().encode()) == believed.isoformat()
    assert dates.date_in((believed - timedelta(seconds=1)).isoformat().encode()) == ""


@pytest.mark.parametrize("text", [b"1969:12:31 16:00:00", b"1979:12:31 23:00:00"])
def test_a_reset_clock_shown_west_of_greenwich_says_nothing(text: bytes) -> None:
    assert dates.date_in(text) == ""


@pytest.mark.parametrize("text", [b"1999:12:31 23:59:59", b"2000:01:01 15:00:00", b"2001:01:01 00:00:00"])
def test_new_year_is_photographed_in_earnest(text: bytes) -> None:
    assert dates.date_in(text) != ""


@given(MOMENTS, st.sampled_from(["%Y:%m:%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S-07:00"]))
def test_any_moment_comes_back_and_is_understood_again(moment: datetime, pattern: str) -> None:
    said = dates.date_in(moment.strftime(pattern).encode())
    assert said == moment.isoformat()
    assert dates.date_in(said.encode()) == said


@given(st.one_of(st.binary(max_size=60), st.from_regex(rb"\d{4}:\d\d:\d\d( \d\d:\d\d:\d\d)?", fullmatch=True)))
def test_any_bytes_are_a_real_date_or_none(text: bytes) -> None:
    said = dates.date_in(text)
    assert said == "" or datetime.fromisoformat(said).isoformat() == said
    assert len(said) in (0, 19)


# --- where they are ---


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_says_when_it_was_taken(image_format: str) -> None:
    assert both_say(saved(image_format, exif=exif_of({ORIGINAL: SPRING}))) == SPRING_SAID


@pytest.mark.parametrize("image_format", FORMATS)
def test_when_it_was_edited_is_no_answer(image_format: str) -> None:
    assert both_say(saved(image_format, exif=exif_of({}))) == ""


@pytest.mark.parametrize("image_format", [*FORMATS, "GIF", "BMP"])
def test_a_photo_without_metadata_says_nothing(image_format: str) -> None:
    assert both_say(saved(image_format)) == ""


def test_the_scan_of_an_old_print_is_as_old_as_somebody_wrote_and_else_as_its_scan() -> None:
    scanned = exif_of({DIGITIZED: "2010:06:07 08:09:10"})
    assert both_say(saved("JPEG", exif=scanned)) == "2010-06-07T08:09:10"
    dated = saved("JPEG", exif=scanned, xmp=xmp_of(photoshop_DateCreated="1965-08-01"))
    assert both_say(dated) == "1965-08-01T00:00:00"


def test_the_camera_goes_before_the_scanner_and_an_unset_clock_before_nobody() -> None:
    digitized = {DIGITIZED: "2010:06:07 08:09:10"}
    assert both_say(saved("JPEG", exif=exif_of({ORIGINAL: SPRING} | digitized))) == SPRING_SAID
    assert both_say(saved("JPEG", exif=exif_of({ORIGINAL: "0000:00:00 00:00:00"} | digitized))) == "2010-06-07T08:09:10"


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "AVIF", "HEIF", "TIFF"])
@pytest.mark.parametrize("name", ["exif_DateTimeOriginal", "photoshop_DateCreated"])
def test_xmp_says_it_where_exif_does_not(image_format: str, name: str) -> None:
    xmp = xmp_of(xmp_CreateDate="2019-01-01T00:00:00", **{name: "2004-05-03T12:34:56+02:00"})
    options: dict[str, object] = {"tiffinfo": {700: xmp}} if image_format == "TIFF" else {"xmp": xmp}
    assert both_say(saved(image_format, **options)) == SPRING_SAID


def test_xmp_as_elements_is_understood() -> None:
    xmp = b"<exif:DateTimeOriginal>2004-05-03T12:34:56</exif:DateTimeOriginal>"
    assert both_say(saved("JPEG", xmp=xmp)) == SPRING_SAID


@pytest.mark.parametrize("is_behind", [False, True])
@pytest.mark.parametrize("name", [b"eXIf", b"iTXt"])
def test_a_png_says_it_before_or_behind_its_pixels(name: bytes, is_behind: bool) -> None:
    said = {
        b"eXIf": exif_of({ORIGINAL: SPRING}).removeprefix(b"Exif\0\0"),
        b"iTXt": b"XML:com.adobe.xmp\0\0\0\0\0" + xmp_of(exif_DateTimeOriginal=SPRING_SAID),
    }
    content = saved("PNG")
    at = len(content) - 12 if is_behind else content.index(b"IDAT") - 4
    assert both_say(content[:at] + chunk(name, said[name]) + content[at:]) == SPRING_SAID


def test_exif_that_imagemagick_wrote_into_a_png_as_text_is_found() -> None:
    exif = exif_of({ORIGINAL: SPRING})
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}\n", zip=True)
    assert both_say(saved("PNG", pnginfo=info)) == SPRING_SAID


@given(st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF"]), MOMENTS)
def test_what_was_written_is_what_is_said(image_format: str, moment: datetime) -> None:
    exif = exif_of({ORIGINAL: moment.strftime("%Y:%m:%d %H:%M:%S")})
    assert both_say(saved(image_format, exif=exif)) == moment.isoformat()


SAID = {
    "album/family/detection3.jpg": "2016-12-15T10:44:29",
    "album/family/Family1-Dad1.jpg": "",  # only when it was edited
    "album/matches/00000009.jpg": "2018-05-26T00:00:00",  # IPTC alone
    "album/matches/00000092.jpg": "2017-08-08T09:58:14",  # a PNG, and XMP elements
    "album/matches/00000123.jpg": "2017-08-04T07:00:00",  # photoshop:DateCreated alone, without seconds
    "odd/corrupt/broken_exif_dpi.jpg": "2013-09-11T16:45:13",
    "odd/derived/face_date_impossible.jpg": "",
    "odd/derived/face_date_text.jpg": "",
    "odd/derived/face_date_zero.jpg": "",
    "odd/formats/denali.webp": "2010-08-13T21:00:01",
    "odd/formats/frozenpond.mpo": "2014-03-02T13:30:00",
    "odd/formats/iphone_7.heic": "2018-09-10T12:16:13",
    "odd/metadata/exif_typeerror.jpg": "2010-07-11T13:53:00",  # EXIF that Pillow chokes on, XMP that is fine
    "odd/metadata/huawei-gps-error.jpg": "2020-06-16T18:52:46",
    "odd/orientation/avif-orientation-6.avif": "2020-03-05T11:28:10",
    "odd/orientation/sony_6.HIF": "2026-04-06T15:12:57",
}


@pytest.mark.parametrize("path", SAID)
def test_real_photos_say_when_they_were_taken(shared: Path, path: str) -> None:
    assert both_say((shared / "photos" / path).read_bytes()) == SAID[path]


# --- broken and hostile ---


@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.sampled_from([b"", b"II*\0", b"MM\0*"]), st.binary(max_size=200))
def test_broken_exif_costs_at_most_the_date(image_format: str, head: bytes, rest: bytes) -> None:
    assert both_say(saved(image_format, exif=b"Exif\0\0" + head + rest)) in {"", dates.date_in(rest)}


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6))
def test_flipped_bytes_of_exif_give_a_real_date_or_none(flips: list[tuple[float, int]]) -> None:
    exif = bytearray(exif_of({ORIGINAL: SPRING}))
    for place, value in flips:
        exif[int(len(exif) * place)] ^= value
    said = both_say(saved("PNG", exif=bytes(exif)))
    assert said == "" or datetime.fromisoformat(said)


class Counting(io.BytesIO):
    """A file that counts what is read of it."""

    n_bytes_read = 0

    def read(self, n_bytes: int | None = -1, /) -> bytes:
        content = super().read(n_bytes)
        self.n_bytes_read += len(content)
        return content


def test_exif_whose_every_tag_claims_to_be_huge_is_not_read() -> None:
    wanted = (ExifTags.Base.ExifOffset, ORIGINAL, DIGITIZED)
    tags = [*(tag for tag in range(65_535) if tag not in wanted)][: 65_535 - len(wanted)]
    entries = b"".join(struct.pack("<HHII", tag, 7, 2**32 - 1, 8) for tag in (*wanted, *tags))
    data = Counting(b"II*\0" + struct.pack("<IH", 8, 65_535) + entries + bytes(10_000_000))
    assert dates._exif_in(data).keys() == {ORIGINAL, DIGITIZED}
    assert data.n_bytes_read < 30_000


def test_directories_of_exif_that_lead_in_a_circle_end() -> None:
    # The directory for EXIF is the first one again.
    content = b"II*\0" + struct.pack("<IHHHII", 8, 1, ExifTags.Base.ExifOffset, 4, 1, 8)
    assert dates._exif_in(io.BytesIO(content)) == {}


def test_a_huge_xmp_is_searched_only_in_part() -> None:
    late = b" " * dates.MAX_BLOCK_BYTES + xmp_of(exif_DateTimeOriginal=SPRING_SAID)
    assert both_say(saved("WEBP", xmp=late)) == ""
    assert both_say(saved("WEBP", xmp=late[1000:])) == SPRING_SAID


@pytest.mark.parametrize("profile", ["", "exif", "\nexif\n 4\n4578zz", "\nexif\n 3\n457", "\nexif\n 2\nSUkqAA=="])
def test_a_broken_raw_profile_costs_at_most_the_date(profile: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type APP1", profile)
    assert taken_at(io.BytesIO(saved("PNG", pnginfo=info))) == ""


def test_the_header_of_a_large_jpeg_is_all_that_is_read() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (800, 1000, 3), np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "JPEG", quality=95, exif=exif_of({ORIGINAL: SPRING}))
    data = Counting(target.getvalue())
    assert taken_at(data) == SPRING_SAID
    assert data.n_bytes_read < 20_000 < len(target.getvalue()) / 20


@pytest.mark.parametrize("content", [b"", b"text", saved("JPEG")[:100]])
def test_what_cannot_be_decoded_is_a_fault_here_too(content: bytes) -> None:
    with pytest.raises(PhotoError):
        taken_at(io.BytesIO(content))


# --- in the catalog ---


def draw(library: Library, name: str, person: int, said: str | None = SPRING) -> Path:
    """A drawn photo that was taken then."""
    path = library.draw(name, (person, 0))
    if said is not None:
        stamp = path.stat().st_mtime_ns
        with Image.open(path) as image:
            image.load()
        image.save(path, "PNG", exif=exif_of({ORIGINAL: said}))
        os.utime(path, ns=(stamp, stamp))
    return path


def recorded(library: Library) -> dict[str, str | None]:
    """What the catalog has in its column, by the photo's file."""
    with library.app() as app:
        rows = app.catalog._db.execute(
            "SELECT files.display, taken_at FROM photos JOIN files ON files.photo_id = photos.id"
        )
        return dict(rows.fetchall())


def make_older(library: Library) -> None:
    """Forget when photos were taken, as a catalog of before that was recorded."""
    with library.app() as app, app.catalog.write():
        app.catalog._db.execute("UPDATE photos SET taken_at = NULL")


def test_a_scan_records_when_photos_were_taken(library: Library) -> None:
    draw(library, "a.png", 1)
    draw(library, "b.png", 2, said=None)
    library.scan()
    assert recorded(library) == {"a.png": SPRING_SAID, "b.png": ""}


def test_the_catalog_says_when_photos_were_taken_and_is_silent_where_they_are(library: Library) -> None:
    for i, said in enumerate((SPRING, None, "2010:01:02 03:04:05")):
        draw(library, f"{i}.png", i, said)
    library.scan()
    with library.app() as app:
        photos = app.catalog.photos
        ids = {name: app.lookup.photo(library.photos / name)["photo_id"] for name in ("0.png", "1.png", "2.png")}
        assert photos.taken(ids.values()) == {
            ids["0.png"]: SPRING_SAID,
            ids["2.png"]: "2010-01-02T03:04:05",
        }
        assert photos.taken([]) == {}
        assert photos.taken_at(ids["0.png"]) == SPRING_SAID
        assert photos.taken_at(ids["1.png"]) == photos.taken_at(12345) == ""


def test_what_is_recorded_is_never_overwritten_and_what_is_missing_is_filled_in(library: Library) -> None:
    with library.app() as app, app.catalog.write():
        photos, digest = app.catalog.photos, bytes(32)
        photo_id = photos.add(digest, (1, 1), "PNG", "now")
        assert photos.add(digest, (1, 1), "PNG", "now", taken_at=SPRING_SAID) == photo_id
        assert photos.taken_at(photo_id) == SPRING_SAID
        assert photos.add(digest, (1, 1), "PNG", "now", taken_at="2010-01-02T03:04:05") == photo_id
        assert photos.add(digest, (1, 1), "PNG", "now") == photo_id
        assert photos.taken_at(photo_id) == SPRING_SAID


def test_a_scan_dates_the_photos_of_an_older_catalog_and_reads_no_pixels(library: Library) -> None:
    draw(library, "a.png", 1)
    draw(library, "b.png", 2, said=None)
    library.scan()
    make_older(library)
    before = {path: path.read_bytes() for path in library.photos.iterdir()}
    result = library.scan()
    assert (result.files.n_new, result.files.n_again) == (0, 0)
    assert recorded(library) == {"a.png": SPRING_SAID, "b.png": ""}
    assert {path: path.read_bytes() for path in library.photos.iterdir()} == before


def overwrite(path: Path, content: bytes, mtime_ns: int) -> None:
    """Give a file other content of the same length in its place, so that nothing shows it."""
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def test_a_photo_that_cannot_be_asked_now_is_asked_another_time(library: Library, tmp_path: Path) -> None:
    gone, broken, changed, _ = paths = [draw(library, f"{i}.png", i) for i in range(4)]
    library.scan()
    make_older(library)
    times = {path: path.stat().st_mtime_ns for path in paths}
    gone.rename(tmp_path / "elsewhere.png")
    content = broken.read_bytes()
    overwrite(broken, bytes(len(content)), times[broken])
    os.utime(changed, (1, 1))  # it may be another photo by now
    with library.app() as app:
        assert [*find_dates(app.catalog, app.workers())] == [4]
        assert app.catalog.photos.n_undated() == 3
    assert recorded(library) == {"0.png": None, "1.png": None, "2.png": None, "3.png": SPRING_SAID}
    (tmp_path / "elsewhere.png").rename(gone)
    overwrite(broken, content, times[broken])
    os.utime(changed, ns=(times[changed], times[changed]))
    with library.app() as app:
        assert [*find_dates(app.catalog, app.workers())] == [3]
    assert set(recorded(library).values()) == {SPRING_SAID}


def test_a_copy_answers_for_a_file_that_is_gone(library: Library) -> None:
    path = draw(library, "a.png", 1)
    (library.photos / "copy.png").write_bytes(path.read_bytes())
    library.scan()
    make_older(library)
    path.unlink()
    with library.app() as app:
        assert [*find_dates(app.catalog, app.workers())] == [1]
        assert app.catalog.photos.n_undated() == 0
    assert set(recorded(library).values()) == {SPRING_SAID}


def test_a_photo_that_is_in_no_library_any_more_is_not_waited_for(library: Library) -> None:
    paths = [draw(library, f"{i}.png", i) for i in range(2)]
    library.scan()
    make_older(library)
    paths[0].unlink()
    library.scan()
    with library.app() as app:
        assert app.catalog.photos.n_undated() == 0


def add_older(library: Library, n_photos: int) -> None:
    """Photos of an older catalog, with files that are not there."""
    with library.app() as app, app.catalog.write():
        files = app.catalog.files
        root_id = app.libraries.root_id(library.photos)
        for i in range(n_photos):
            photo_id = app.catalog.photos.add(i.to_bytes(32, "big"), (1, 1), "PNG", "now")
            files.record(root_id, f"{i}.png", Fingerprint(1, 1, i), photo_id=photo_id, fault=None, now="now")


def test_dates_are_recorded_in_small_steps_that_end_although_nothing_answers(library: Library) -> None:
    n_photos = 2 * DATED_TOGETHER + 1
    add_older(library, n_photos)
    with library.app() as app:
        steps = [*find_dates(app.catalog, app.workers())]
        assert steps == [DATED_TOGETHER, 2 * DATED_TOGETHER, n_photos]
        assert app.catalog.photos.n_undated() == n_photos


def ticking(seconds: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += seconds


def test_a_scan_spends_a_limited_time_on_dates_and_the_next_goes_on(library: Library) -> None:
    n_photos = DATED_TOGETHER + 2
    for i in range(n_photos):
        draw(library, f"{i:03}.png", i)
    library.scan()
    make_older(library)
    clock = ticking(DATES_SECONDS + 1)
    with library.app(clock=lambda: next(clock)) as app:
        app.pipeline.scan()
        assert app.catalog.photos.n_undated() == 2
        app.pipeline.scan()
        assert app.catalog.photos.n_undated() == 0
    assert set(recorded(library).values()) == {SPRING_SAID}


def test_the_watcher_dates_photos_while_nothing_else_waits(library: Library) -> None:
    draw(library, "a.png", 1)
    library.scan()
    make_older(library)
    with library.app() as app:
        loop = WatchLoop(app, should_stop=lambda: False)
        loop.step({})
        assert app.catalog.photos.n_undated() == 0
        loop.step({})
    assert recorded(library) == {"a.png": SPRING_SAID}


# --- in what evaluation keeps ---


def test_what_evaluation_keeps_says_when_photos_were_taken_and_what_it_kept_before_does_not(tmp_path: Path) -> None:
    file, digests = tmp_path / "seen.npz", [bytes([i]) * 32 for i in range(2)]
    said = {digests[0]: SPRING_SAID, digests[1]: ""}
    files = {f"/{digest[0]}.jpg": AnalysedFile(1, 1, digest) for digest in digests}
    save_analyses(
        file, Analyses(files, {digest: Analysis(4, 3, "JPEG", (), said[digest]) for digest in digests}), "key"
    )
    assert {digest: seen.taken_at for digest, seen in load_analyses(file, "key").photos.items()} == said
    with np.load(file) as archive:
        older = {name: archive[name] for name in archive.files if name != "photo_taken_at"}
    np.savez_compressed(tmp_path / "older.npz", allow_pickle=False, **older)
    kept = load_analyses(tmp_path / "older.npz", "key")
    assert kept.files == files
    assert [seen.taken_at for seen in kept.photos.values()] == ["", ""]
