"""The part "folders" of scripts/bench.py: a people folder of many links, made, left alone, and edited by hand."""

from __future__ import annotations

import io
import statistics
from collections.abc import Iterator

import numpy as np
from bench_catalog import fill_catalog, make_files, unit
from bench_kit import SEED, Bench, Finding, Household, spent_by
from PIL import Image

from facewatch.catalog import Catalog
from facewatch.engines import describe_engine

PHOTOS_A_PERSON = 100
N_DELETED = 10


def measure_folders(bench: Bench) -> list[Finding]:
    """Seconds of `facewatch folders` from the shell: when all links are to be made, when nothing has changed, and
    when somebody has renamed a folder and deleted links."""
    house = Household(bench.scratch / "folders")
    n_links = bench.many(50_000, 50_000, 40)
    bench.say(f"folders: {n_links:,} files and links")
    fill(house, n_links)
    made = spent_by(lambda: house.run("folders", "-q")).seconds
    n_made = sum(path.is_symlink() for path in house.people.rglob("*"))
    unchanged = [spent_by(lambda: house.run("folders", "-q")).seconds for _ in range(bench.many(5, 3, 1))]
    folder = house.people / "Anna"
    (house.people / "_unnamed" / "Person 0001").rename(folder)
    for link in sorted(folder.iterdir())[:N_DELETED]:
        link.unlink()
    read_back = spent_by(lambda: house.run("folders", "-q")).seconds
    with Catalog(house.catalog) as catalog:
        [one] = [person for person in catalog.people.all() if person.name == "Anna"]
    n_lost = min(n_links, PHOTOS_A_PERSON) - one.n_faces
    row = f"`folders` with {n_links:,} links: made, nothing changed"
    return [
        Finding(f"{n_links:,} links planned and made", made, "s", at_most=30, row=row),
        Finding("links that are not there", n_links - n_made, at_most=0),
        Finding(f"{n_links:,} links, nothing changed", statistics.median(unchanged), "s", at_most=2, row=row),
        Finding(f"a folder renamed and {N_DELETED} links deleted by hand, read back", read_back, "s"),
        Finding("deleted links from which nothing followed", N_DELETED - n_lost, at_most=0),
        *_measure_faces(bench),
    ]


def _measure_faces(bench: Bench) -> Iterator[Finding]:
    """Yield seconds of the same where folders hold faces, cut out of photos, and covers."""
    house = Household(bench.scratch / "faces", {"folders": {"show": "faces", "cover": "folder.jpg"}})
    n_faces = bench.many(2_000, 1_000, 20)
    bench.say(f"folders: {n_faces:,} faces")
    fill(house, n_faces, photo=_jpeg())
    row = f"the same with {n_faces:,} faces and covers, cut out of photos of 640x480"
    made = spent_by(lambda: house.run("folders", "-q")).seconds
    n_made = sum(path.is_file() for path in house.people.glob("_unnamed/*/0*.jpg"))
    yield Finding(f"{n_faces:,} faces cut out of photos of 640x480, and covers", made, "s", row=row)
    yield Finding("faces that are not there", n_faces - n_made, at_most=0)
    unchanged = spent_by(lambda: house.run("folders", "-q")).seconds
    yield Finding(f"{n_faces:,} faces, nothing changed", unchanged, "s", row=row)


def _jpeg() -> bytes:
    """Return a photo, of noise as fine as what a camera sees."""
    small = np.random.default_rng(SEED).integers(0, 256, (60, 80, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((640, 480)).save(file, "JPEG", quality=90)
    return file.getvalue()


def fill(house: Household, n_links: int, photo: bytes = b"") -> None:
    """Write files that begin with a photo, and a catalog that knows one face in each."""
    files = make_files(house.photos, n_links, photo)
    people = 1 + np.arange(n_links) // PHOTOS_A_PERSON
    vectors = unit(np.random.default_rng(SEED).normal(size=(n_links, 128)))
    with Catalog(house.catalog) as catalog:
        fill_catalog(catalog, describe_engine("face_recognition"), house.photos, files, people, vectors)
