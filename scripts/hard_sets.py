"""Make labelled photos that are hard out of easy ones, by stated laws, and say how well people are told apart on them.

    scripts/hard_sets /tmp/hard                          the sets, each a folder with a labels.csv
    scripts/hard_sets /tmp/hard --table                  and what `facewatch evaluate` measures on each, as Markdown
    scripts/hard_sets /tmp/hard --table --only film --engine face_recognition --method all
    scripts/hard_sets /tmp/hard --table --json old.json --program ~/old/scripts/facewatch     another facewatch's
    scripts/hard_sets /tmp/hard --table --before old.json                                     both side by side

The photos are the LFW part of shared/photos, which is only read. The same people are in the first seven sets, so that
what a law does can be told from what its people do. What was made stays and is not made again; what an engine found in
it is kept in FOLDER/kept, so that another way of grouping is measured in seconds. `--all` adds the whole LFW part and
the album as they are.

    plain       photos as they are
    blurred, noisy, dark, flat, tight, turned, film, mixed     each photo by one law, see hard_laws.py; for film, people
                with many photos are taken
    multiplied  4 people with 60 to 103 photos each, varied from theirs, every other one with a stranger in the frame
    collages    people of five photos or more, who have one to three photos of two faces of theirs, one of three of them
                a photo and its mirror image
    strangers   a tenth of the photos shows people who are there more than once, the others one stranger each
    tail        from 30 photos down to 1: the person of rank k has 30 / k ** .7, varied where there are too few; a fifth
                of the photos show two people
    together    each person's photos by one law of all, and collages of some
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
from PIL import Image

from facewatch.errors import FacewatchError

# Python -P leaves out even the script's own folder.
sys.path.append(str(Path(__file__).resolve().parent))

import hard_laws as laws
from bench_labels import people_of
from hard_laws import Labelled, Law
from hard_tables import ENGINES, PROGRAM, Asked, as_markdown, measure

PHOTOS = Path(__file__).resolve().parent.parent.parent / "shared" / "photos"
LAW_FILE = "made-by.json"


@dataclass(frozen=True, slots=True)
class Size:
    """How large the sets are."""

    people: int = 100
    most: int = 10
    """Photos of a person, where no law says otherwise."""
    varied: tuple[int, int] = (60, 103)
    """Photos of each of the few people of `multiplied`."""
    longest: int = 30
    """Photos of the first person of `tail`."""
    strangers: int = 540


ORDINARY = Size()
TINY = Size(people=6, most=3, varied=(4, 6), longest=4, strangers=27)


class Faces:
    """The labelled photos that everything is made of, one face each."""

    def __init__(self, photos: Path, seed: int) -> None:
        self.seed = seed
        self._photos = photos
        self._boxes = people_of(photos / "labels.csv", "lfw/")

    def draw(self, *about: object) -> np.random.Generator:
        """Return a generator that depends on the seed and on what it is for, and not on what else is made."""
        return np.random.default_rng([self.seed, zlib.crc32("/".join(map(str, about)).encode())])

    def people(self, *, least: int = 1) -> list[str]:
        """Return everybody with so many photos, in random order; the order does not depend on `least`."""
        everybody = sorted(self._boxes)
        order = self.draw("people").permutation(len(everybody)).tolist()
        return [everybody[i] for i in order if len(self._boxes[everybody[i]]) >= least]

    def paths(self, person: str, most: int | None = None) -> list[str]:
        return sorted(self._boxes[person])[:most]

    def photo(self, person: str, path: str) -> Labelled:
        with Image.open(self._photos / path) as image:
            return Labelled(image.convert("RGB"), ((person, self._boxes[person][path]),))


Made = Iterator[tuple[str, Labelled]]
"""Names of photos, and the photos."""


def by_law(law: Law, faces: Faces, size: Size, *, least: int = 1) -> Made:
    """Yield each photo of the first people by this law."""
    for person in faces.people(least=least)[: size.people]:
        yield from _by(law, faces, person, faces.paths(person, size.most))


def _by(law: Law, faces: Faces, person: str, paths: Sequence[str]) -> Made:
    for path in paths:
        yield Path(path).stem, law(faces.photo(person, path), faces.draw(law.__name__, path))


def multiplied(faces: Faces, size: Size) -> Made:
    many = max(len(faces.paths(person)) for person in faces.people())
    few = faces.people(least=min(many, 12))[:4]
    others = [person for person in faces.people() if person not in few]
    for person, n in zip(few, np.linspace(*size.varied, len(few)).round().astype(int).tolist(), strict=True):
        for number in range(n):
            draw = faces.draw("multiplied", person, number)
            photo = _nth(faces, person, number, draw)
            if draw.random() < 0.5:
                other = others[int(draw.integers(len(others)))]
                stranger = laws.varied(faces.photo(other, faces.paths(other)[0]), draw)
                photo = laws.beside([photo, stranger.unlabelled()])
            yield f"{person}_{number:03}", photo


def _nth(faces: Faces, person: str, number: int, draw: np.random.Generator) -> Labelled:
    """Return one photo more of somebody: one of theirs, or, when they have no more, another moment of one."""
    paths = faces.paths(person)
    photo = faces.photo(person, paths[number % len(paths)])
    return photo if number < len(paths) else laws.varied(photo, draw)


def collages(faces: Faces, size: Size, law: Law = laws.plain) -> Made:
    for number, person in enumerate(faces.people(least=5)[: size.people]):
        yield from _with_collages(faces, person, law, n_collages=1 + number % 3)


def _with_collages(faces: Faces, person: str, law: Law, *, n_collages: int) -> Made:
    """Yield somebody's photos, some of them two in one; at least three stay by themselves."""
    photos = dict(_by(law, faces, person, faces.paths(person)))
    for number in range(n_collages):
        n = 1 if number == 2 else 2
        if len(photos) < 3 + n:
            break
        taken = [photos.popitem() for _ in range(n)]
        shown = [photo for _, photo in taken]
        yield f"{taken[0][0]}_collage", laws.beside(shown if n == 2 else [shown[0], shown[0].mirrored()])
    yield from photos.items()


def strangers(faces: Faces, size: Size) -> Made:
    everybody = faces.people()
    n_known = size.strangers // 9
    known: list[tuple[str, str]] = []
    for person in faces.people(least=3):
        if len(known) >= n_known:
            break
        known += [(person, path) for path in faces.paths(person, size.most)]
    there = {person for person, _ in known[:n_known]}
    alone = [person for person in everybody if person not in there][: size.strangers]
    for person, path in [*known[:n_known], *((person, faces.paths(person)[0]) for person in alone)]:
        yield Path(path).stem, faces.photo(person, path)


def tail(faces: Faces, size: Size) -> Made:
    pending: Labelled | None = None
    for rank, person in enumerate(faces.people()[: size.people], 1):
        for number in range(max(1, round(size.longest / rank**0.7))):
            draw = faces.draw("tail", person, number)
            photo = _nth(faces, person, number, draw)
            if pending is not None and pending.faces[0][0] != person:
                photo, pending = laws.beside([pending, photo]), None
            elif pending is None and draw.random() < 0.2:
                pending = photo
                continue
            yield f"{person}_{number:03}", photo
    if pending is not None:
        yield "last", pending


def together(faces: Faces, size: Size) -> Made:
    every = (*[laws.plain] * 3, *laws.SPOILING, laws.turned, laws.mixed, laws.varied)
    for number, person in enumerate(faces.people()[: 2 * size.people]):
        law = every[int(faces.draw("together", person).integers(len(every)))]
        if number % 4 == 0:
            yield from _with_collages(faces, person, law, n_collages=1 + number // 4 % 3)
        else:
            yield from _by(law, faces, person, faces.paths(person, size.most))


SETS: Mapping[str, Callable[[Faces, Size], Made]] = {
    **{
        law.__name__: partial(by_law, law)
        for law in (laws.plain, laws.blurred, laws.noisy, laws.dark, laws.flat, laws.tight, laws.turned)
    },
    "film": partial(by_law, laws.film, least=6),
    "mixed": partial(by_law, laws.mixed, least=3),
    **{made.__name__: made for made in (multiplied, collages, strangers, tail, together)},
}


def make(name: str, folder: Path, photos: Path, size: Size, seed: int) -> int:
    """Write one set into `folder`, unless it is there, and return how many photos it has.

    Raises:
        FacewatchError: the folder holds something else.
    """
    by = json.dumps({"set": name, "laws": laws.VERSION, "seed": seed, **asdict(size)}, indent=1)
    if (folder / LAW_FILE).is_file() and (folder / LAW_FILE).read_text() == by:
        return sum(1 for _ in folder.glob("*/*.jpg"))
    if folder.exists():
        if not (folder / LAW_FILE).is_file():
            raise FacewatchError(f"{folder}: holds something else; name another folder, or remove it")
        shutil.rmtree(folder)
    rows: list[tuple[object, ...]] = []
    n = 0
    for n, (stem, photo) in enumerate(SETS[name](Faces(photos, seed), size), 1):
        # The folders mean nothing; without them one would hold all.
        file = folder / f"{n // 100:02}" / f"{stem}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(photo.jpeg())
        path = file.relative_to(folder).as_posix()
        rows += [(path, who, *(round(number, 1) for number in box)) for who, box in photo.faces]
    with (folder / "labels.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("path", "person", "x", "y", "w", "h"), *rows])
    (folder / LAW_FILE).write_text(by)
    return n


@click.command(
    help=__doc__.replace("\n\n", "\n\n\b\n") if __doc__ else "",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--photos", default=PHOTOS, type=click.Path(path_type=Path, exists=True), help="Where shared/photos is.")
@click.option("--only", multiple=True, type=click.Choice([*SETS]), help="Only this set; repeatable.")
@click.option("--people", default=ORDINARY.people, show_default=True, help="In most sets.")
@click.option("--most", default=ORDINARY.most, show_default=True, help="Photos of a person, in most sets.")
@click.option("--seed", default=0, show_default=True)
@click.option("--tiny", is_flag=True, help="As few photos as there can be, to see that all works.")
@click.option("--table", is_flag=True, help="Measure, and print a table.")
@click.option("--all", "with_originals", is_flag=True, help="Measure the whole LFW part and the album, too.")
@click.option("--engine", "engines", multiple=True, help="Repeatable; standard mode and the pack of shared/models.")
@click.option("--method", "methods", multiple=True, help="As evaluate takes it; repeatable.")
@click.option("--batches", type=click.IntRange(1), help="As evaluate takes it; few are quicker.")
@click.option("--simulate-user", is_flag=True, help="Also how many answers a user gives.")
@click.option(
    "--program", default=PROGRAM, type=click.Path(path_type=Path, exists=True), help="The facewatch to judge."
)
@click.option("--kept", type=click.Path(path_type=Path), help="Where is kept what engines found; FOLDER/kept.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Also write what was measured to this file.")
@click.option("--before", type=click.Path(path_type=Path, exists=True), help="Such a file: its figures stand beside.")
def main(
    folder: Path,
    photos: Path,
    only: tuple[str, ...],
    people: int,
    most: int,
    seed: int,
    tiny: bool,
    table: bool,
    with_originals: bool,
    engines: tuple[str, ...],
    methods: tuple[str, ...],
    batches: int | None,
    simulate_user: bool,
    program: Path,
    kept: Path | None,
    output: Path | None,
    before: Path | None,
) -> None:
    size = TINY if tiny else Size(people=people, most=most)
    names = only or tuple(SETS)
    try:
        for name in names:
            n = make(name, folder / name, photos, size, seed)
            say(f"{folder / name}: {n} photos")
        if table:
            sets = {name: [str(folder / name)] for name in names}
            if with_originals:
                sets |= {part: [str(photos), "--only", f"{part}/"] for part in ("lfw", "album")}
            options = ["--simulate-user"] * simulate_user + ([f"--batches={batches}"] if batches else [])
            asked = Asked(sets, engines or ENGINES, methods, options, program)
            found = measure(asked, kept or folder / "kept", say, output)
            click.echo(as_markdown(found, json.loads(before.read_text()) if before else None))
    except FacewatchError as error:
        raise click.ClickException(str(error)) from error


def say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
