"""A large library for the page: many faces and people, photos that open, links, and a journal.

    scripts/run bench_page FOLDER            100,000 faces of 2,000 people, in a minute or two
    scripts/run bench_page FOLDER --faces 10000 --people 200

prints how to open it. A part of scripts/bench takes `make_library`. No engine had to find these faces: their embeddings
are clustered random vectors, their photos drawings that say who is on them.
"""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import math
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

sys.path.append(str(Path(__file__).resolve().parent))

from bench_catalog import unit
from bench_kit import SEED, Household, open_app

from facewatch.app import App
from facewatch.catalog import NOBODY, Catalog, Tables
from facewatch.engines import describe_engine
from facewatch.people.corrections import Decisions
from facewatch.types import Analysis, Box, EngineInfo, Face, Fingerprint, Match, Quality, Tier

N_FACES = 100_000
N_PEOPLE = 2_000
POOL = 0.2
"""Share of the faces that belong to nobody."""
NAMED = 0.15
"""Share of the people, the largest, who have a name."""
ALIKE = 0.05
"""Share of the people, without a name, who look like one of the named: they may be one."""
NEAR = 0.4
"""Share of the pool that may be somebody."""

_SKEW = 0.73
"""The n-th largest person has n to the power of minus this as many faces as the largest: 3,000 of 80,000."""
_SPREAD = 0.18
"""Distance of a face from its person's centre; two faces of a person are then at 0.25."""
_DOUBTFUL = (0.3, 0.38)
"""That of faces of the pool, from the centre of whom they may be, and of people who look like another."""
_SIDE = int(os.environ.get("FACEWATCH_DRAWN_SIDE", "72"))
"""Pixels of a drawn face; pictures for people take more."""
_GAP = _SIDE // 9
_FIRST = ("Anna", "Ben", "Clara", "David", "Emil", "Frida", "Greta", "Hugo", "Ida", "Jonas", "Karla", "Leo", "Mia")
_LAST = ("Adler", "Berg", "Conrad", "Dorn", "Ebner", "Falk", "Gruber", "Huber", "Iser", "Jung", "Kern", "Lang")


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is on which photo; row i of each array is a face, in the order of the catalog."""

    people: NDArray[np.int64]
    """1 to n; NOBODY: it belongs to nobody."""
    looks: NDArray[np.int64]
    """Whom it is drawn like: 0 upwards, also faces of the pool."""
    photos: NDArray[np.int64]
    """0 upwards, ascending; nobody is in a photo twice."""
    embeddings: NDArray[np.float32]
    n_named: int


def make_library(home: Path, *, n_faces: int = N_FACES, n_people: int = N_PEOPLE, is_linked: bool = True) -> Household:
    """Make a library with photos, a catalog and, unless `is_linked` is False, a people folder; `home` must not be."""
    info = describe_engine("face_recognition")
    places = {"catalog": str(home / "catalog.sqlite"), "people": str(home / "People")}
    house = Household(home, {"library": places})
    cast = make_cast(info, n_faces, n_people)
    files = draw_photos(house.photos, cast)
    with Catalog(house.catalog) as catalog:
        _fill(catalog, info, house.photos, cast, files)
        name_people(catalog, cast.n_named)
    if is_linked:
        with open_library(house) as app:
            app.folder.sync()
    return house


def open_library(house: Household) -> App:
    return open_app(house.home, {"library.photos": [str(house.photos)]})


def make_cast(info: EngineInfo, n_faces: int, n_people: int) -> Cast:
    """Return who is on which photo."""
    random = np.random.default_rng(SEED)
    n_named, n_pool = math.ceil(NAMED * n_people), round(POOL * n_faces)
    looks = np.repeat(np.arange(n_people), _sizes(n_faces - n_pool, n_people))
    near = random.integers(n_people, size=round(NEAR * n_pool))
    strangers = n_people + np.arange(n_pool - len(near))
    who = np.concatenate([looks, near, strangers])
    centres = _centres(random, info.n_dims, n_people, n_named)
    is_known = np.arange(len(who)) < len(looks)
    far = np.where(is_known, _SPREAD, random.uniform(*_DOUBTFUL, len(who)))
    embeddings = unit(random.normal(size=(len(who), info.n_dims)))
    mine = who < n_people
    embeddings[mine] = unit(centres[who[mine]] + far[mine, None] * embeddings[mine].astype(np.float64))
    people = np.where(is_known, who + 1, NOBODY)
    order = random.permutation(len(who))
    photos = _photos(random, who[order])
    order = order[np.argsort(photos, kind="stable")]
    return Cast(people[order], who[order], np.sort(photos), embeddings[order], n_named)


def _sizes(n_faces: int, n_people: int) -> NDArray[np.int64]:
    """Return how many faces everybody has, the largest first."""
    shares = np.arange(1, n_people + 1) ** -_SKEW
    sizes = np.maximum(1, np.floor(shares / shares.sum() * n_faces)).astype(np.int64)
    sizes[0] += n_faces - int(sizes.sum())
    return np.asarray(sizes)


def _centres(random: np.random.Generator, n_dims: int, n_people: int, n_named: int) -> NDArray[np.float64]:
    centres = unit(random.normal(size=(n_people, n_dims))).astype(np.float64)
    alike = n_named + np.arange(min(round(ALIKE * n_people), n_people - n_named))
    away = unit(random.normal(size=(len(alike), n_dims)))
    centres[alike] = centres[random.integers(n_named, size=len(alike))] + _DOUBTFUL[0] * away
    return unit(centres).astype(np.float64)


def _photos(random: np.random.Generator, who: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a photo for each face: one to three a photo, nobody twice."""
    sizes = random.choice([1, 2, 3], p=[0.5, 0.3, 0.2], size=len(who))
    photos = np.repeat(np.arange(len(who)), sizes)[: len(who)]
    _, first = np.unique(photos * (int(who.max()) + 1) + who, return_index=True)
    twice = np.setdiff1d(np.arange(len(who)), first)
    photos[twice] = int(photos.max()) + 1 + np.arange(len(twice))
    numbers: NDArray[np.int64] = np.unique(photos, return_inverse=True)[1]
    return numbers


# --- photos ---


@dataclass(frozen=True, slots=True)
class DrawnPhoto:
    """A photo as it lies in the library."""

    path: str
    """Below the library."""
    fingerprint: Fingerprint
    sha256: bytes
    taken_at: str


def draw_photos(folder: Path, cast: Cast) -> list[DrawnPhoto]:
    """Draw the photos of a library, in folders by year and month."""
    starts = np.flatnonzero(np.diff(cast.photos, prepend=-1))
    people = [part.tolist() for part in np.split(cast.looks, starts[1:])]
    draw = functools.partial(_draw_photo, folder, len(people))
    with multiprocessing.get_context("spawn").Pool() as pool:
        return pool.starmap(draw, enumerate(people), chunksize=500)


def _draw_photo(folder: Path, n_photos: int, number: int, looks: Sequence[int]) -> DrawnPhoto:
    day = np.datetime64("2009-01-01") + np.timedelta64(number * 16 * 365 // n_photos, "D")
    path = f"{str(day)[:4]}/{str(day)[5:7]}/IMG_{number:06d}.jpg"
    content = _jpeg(number, looks)
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    taken_at = f"{day}T12:{number % 60:02d}:00"
    return DrawnPhoto(path, Fingerprint.of(file.stat()), hashlib.sha256(content).digest(), taken_at)


def _jpeg(number: int, looks: Sequence[int]) -> bytes:
    """Return a photo that no other is, with these people from left to right."""
    ground = ((90 + number * 7 % 80), (110 + number * 5 % 80), (120 + number * 3 % 90))
    picture = Image.new("RGB", _size(len(looks)), ground)
    for place, who in enumerate(looks):
        picture.paste(_portrait(who), _box(place)[:2])
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80, comment=f"photo {number}".encode())
    return stream.getvalue()


def _size(n_faces: int) -> tuple[int, int]:
    return _GAP + n_faces * (_SIDE + _GAP), _SIDE + 4 * _GAP


def _box(place: int) -> tuple[int, int, int, int]:
    """Return x, y, width and height of the face at this place."""
    return _GAP + place * (_SIDE + _GAP), 2 * _GAP, _SIDE, _SIDE


@functools.lru_cache(maxsize=4096)
def _portrait(who: int) -> Image.Image:
    """Draw somebody: skin, hair, eyes and mouth are those of one person."""
    random = np.random.default_rng((SEED, who))
    ground, hair, eyes = (tuple(random.integers(20, 200, 3).tolist()) for _ in range(3))
    tone = int(random.integers(90, 240))
    s, picture = _SIDE / 72, Image.new("RGB", (_SIDE, _SIDE), ground)
    pen = ImageDraw.Draw(picture)
    wide, high = random.integers(16, 23), random.integers(24, 30)
    pen.ellipse([(36 - wide - 4) * s, 4 * s, (36 + wide + 4) * s, (40 + high - 12) * s], fill=hair)
    pen.ellipse(
        [(36 - wide) * s, (40 - high) * s + 6 * s, (36 + wide) * s, (40 + high) * s], fill=(tone, tone * 4 // 5, 90)
    )
    apart, mouth = random.integers(6, 11), random.integers(4, 11)
    for x in (36 - apart, 36 + apart):
        pen.ellipse([(x - 3) * s, 34 * s, (x + 3) * s, 39 * s], fill=eyes)
    pen.arc([(36 - mouth) * s, 46 * s, (36 + mouth) * s, 58 * s], 10, 170, fill=(140, 30, 40), width=round(3 * s))
    return picture


# --- the catalog ---


def _fill(catalog: Catalog, info: EngineInfo, root: Path, cast: Cast, photos: Sequence[DrawnPhoto]) -> None:
    """Write all of it in one transaction, as a scan would."""
    now = catalog.now()
    with catalog.write():
        engine_id = catalog.engines.add(info, now)
        catalog.settings.set("engine", info.name)
        root_id = catalog.roots.add(root, root.stat().st_dev, now)
        for _ in range(int(cast.people.max())):
            catalog.people.add(now)
        rows = iter(range(len(cast.people)))
        counts = np.bincount(cast.photos).tolist()
        for photo, n_faces in zip(photos, counts, strict=True):
            size = _size(n_faces)
            photo_id = catalog.photos.add(photo.sha256, size, "JPEG", now, taken_at=photo.taken_at)
            catalog.files.record(root_id, photo.path, photo.fingerprint, photo_id=photo_id, fault=None, now=now)
            own = list(itertools.islice(rows, n_faces))
            faces = tuple(_face(row, place, cast.embeddings[row]) for place, row in enumerate(own))
            analysis = Analysis(*size, "JPEG", faces, photo.taken_at)
            ids = catalog.faces.add_analysis(photo_id, engine_id, analysis, now)
            _assign(catalog, ids, cast.people[own].tolist(), now)


def _assign(catalog: Tables, faces: Sequence[int], people: Sequence[int], now: str) -> None:
    for face_id, person_id in zip(faces, people, strict=True):
        if person_id != NOBODY:
            match = Match(person_id, 0.25, _SPREAD, None, None, "drawn", is_accepted=True)
            catalog.assignments.assign(face_id, match, source="cluster", run_id=None, now=now)


def _face(row: int, place: int, embedding: NDArray[np.float32]) -> Face:
    box = _box(place)
    x, y, w, h = box
    points = tuple(
        v for u, t in ((0.35, 0.5), (0.65, 0.5), (0.5, 0.6), (0.4, 0.75), (0.6, 0.75)) for v in (x + u * w, y + t * h)
    )
    tier = Tier.MATCH if row % 12 == 5 else Tier.ENROLL
    score = 0.4 if tier is Tier.MATCH else 0.6 + row % 40 / 100
    return Face(Box(*box), points, 1.0, Quality(200, 120, _SIDE, 0.1, score, tier), embedding)


def name_people(catalog: Catalog, n_named: int) -> None:
    """Give the largest people names, as a user does."""
    decisions = Decisions(catalog)
    with catalog.write():
        for person_id, name in enumerate(itertools.islice(_names(), n_named), 1):
            decisions.rename(f"p{person_id}", name)


def _names() -> Iterator[str]:
    for number in itertools.count(1):
        for last, first in itertools.product(_LAST, _FIRST):
            yield f"{first} {last}" if number == 1 else f"{first} {last} {number}"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--faces", "n_faces", default=N_FACES, show_default=True, help="Faces in all.")
@click.option("--people", "n_people", default=N_PEOPLE, show_default=True, help="People, named and not.")
@click.option("--no-links", is_flag=True, help="Make no people folder.")
def main(folder: Path, n_faces: int, n_people: int, no_links: bool) -> None:
    """Make a large library in a new FOLDER."""
    house = make_library(folder.absolute(), n_faces=n_faces, n_people=n_people, is_linked=not no_links)
    click.echo(f"scripts/facewatch --config {house.settings_file} COMMAND")


if __name__ == "__main__":
    main()
