"""What engines make of spoiled faces: the tables behind the limits in facewatch/engines and facewatch/quality.py.

Run as scripts/spoiled.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from rich.console import Console
from rich.table import Table

from facewatch.clustering import make_clusterer
from facewatch.cohort import hubs
from facewatch.decode import decode
from facewatch.engines import load_engine, preprocessing
from facewatch.engines.arcface import ArcFaceEngine
from facewatch.engines.options import EngineOptions
from facewatch.engines.standard import StandardEngine
from facewatch.errors import FacewatchError
from facewatch.evaluation.labelled import Labelled, LabelledPhoto, read_labels
from facewatch.matching import distances
from facewatch.quality import Limits, measure
from facewatch.types import Covered, DetectedFace, EngineInfo, Tier

# Python -P leaves out even the script's own folder.
sys.path.append(str(Path(__file__).resolve().parent))

from spoiled_covers import COVERS, covered

Spoil = Callable[[Image.Image], Image.Image]
Embedder = ArcFaceEngine | StandardEngine


# --- ways to spoil a picture ---


def dimmed(picture: Image.Image, share: float) -> Image.Image:
    """Return it with this share of its light, in whole grey values as a dark photo has them."""
    return picture.point(lambda value: round(value * share))


def flattened(picture: Image.Image, share: float) -> Image.Image:
    """Return it with this share of its contrast, around its mean."""
    mean = float(np.asarray(picture.convert("L")).mean())
    return picture.point(lambda value: round(mean + (value - mean) * share))


def greyed(picture: Image.Image) -> Image.Image:
    return picture.convert("L").convert("RGB")


def backlit(picture: Image.Image, share: float) -> Image.Image:
    """Return it with this share of its light in the middle, and a bright ground around that."""
    y, x = np.mgrid[-1 : 1 : picture.height * 1j, -1 : 1 : picture.width * 1j]
    is_face = ((x / 0.8) ** 2 + (y / 0.95) ** 2 < 1)[..., None]
    return Image.fromarray(np.where(is_face, np.asarray(dimmed(picture, share)), 235).astype(np.uint8))


def blurred(picture: Image.Image, radius: float) -> Image.Image:
    """Return it blurred by so many pixels of 112."""
    return picture.filter(ImageFilter.GaussianBlur(radius * picture.width / 112))


def shrunk(picture: Image.Image, side: int) -> Image.Image:
    """Return it as if it were so many pixels wide in its photo."""
    return picture.resize((side, side), Image.Resampling.BOX).resize(picture.size, Image.Resampling.BILINEAR)


def noisy(picture: Image.Image, deviation: float) -> Image.Image:
    noise = np.random.default_rng(picture.width).normal(0, deviation, (picture.height, picture.width, 3))
    return Image.fromarray((np.asarray(picture) + noise).round().clip(0, 255).astype(np.uint8))


POOR: dict[str, Spoil] = {
    "as it is": lambda picture: picture,
    **{f"blurred by {n}": lambda picture, n=n: blurred(picture, n) for n in (1.5, 3, 5)},  # type: ignore[misc]
    **{f"noise {n}": lambda picture, n=n: noisy(picture, n) for n in (25, 50)},  # type: ignore[misc]
    **{f"{n} pixels": lambda picture, n=n: shrunk(picture, n) for n in (16, 20, 24, 28, 32)},  # type: ignore[misc]
    "light x1/16": lambda picture: dimmed(picture, 1 / 16),
    "light x1/12, blurred by 3": lambda picture: dimmed(blurred(picture, 3), 1 / 12),
    "contrast x0.1, noise 2": lambda picture: noisy(flattened(picture, 0.1), 2),
}

LIGHTS: dict[str, Spoil] = {
    "as it is": lambda picture: picture,
    **{f"light x1/{n}": lambda picture, n=n: dimmed(picture, 1 / n) for n in (2, 4, 8, 16, 24)},  # type: ignore[misc]
    **{f"contrast x{n}": lambda picture, n=n: flattened(picture, n) for n in (0.5, 0.35, 0.2, 0.1, 0.05)},  # type: ignore[misc]
    "light x1/4, contrast x0.25": lambda picture: flattened(dimmed(picture, 1 / 4), 0.25),
    "light x1/8, contrast x0.3": lambda picture: flattened(dimmed(picture, 1 / 8), 0.3),
    "grey": greyed,
    "grey, light x1/16": lambda picture: dimmed(greyed(picture), 1 / 16),
    "grey, contrast x0.1": lambda picture: flattened(greyed(picture), 0.1),
    "backlit, light x1/4": lambda picture: backlit(picture, 1 / 4),
    "backlit, light x1/12": lambda picture: backlit(picture, 1 / 12),
}


# --- faces ---


@dataclass(frozen=True, slots=True)
class Sitters:
    """Labelled faces as an engine sees them; row i of each belongs together."""

    engine: Embedder
    faces: list[DetectedFace]
    people: NDArray[np.int64]

    @property
    def crops(self) -> NDArray[np.uint8]:
        return np.array([face.crop for face in self.faces])

    @property
    def vectors(self) -> NDArray[np.float32]:
        n_dims = self.engine.info.n_dims
        return np.array([face.embedding for face in self.faces], np.float32).reshape(-1, n_dims)


def choose(labelled: Labelled, n_people: int, n_each: int, seed: int) -> list[tuple[int, LabelledPhoto]]:
    """Return random people with at least so many photos that show nobody else, and so many photos of each."""
    photos_of = defaultdict(list)
    for photo in labelled.photos:
        if len(photo.labels) == 1:
            photos_of[photo.labels[0].person].append(photo)
    rng = np.random.default_rng(seed)
    names = [name for name in sorted(photos_of) if len(photos_of[name]) >= n_each]
    chosen = [names[i] for i in rng.permutation(len(names))[:n_people]]
    return [
        (i, photos_of[name][row])
        for i, name in enumerate(chosen)
        for row in rng.permutation(len(photos_of[name]))[:n_each]
    ]


def open_photo(labelled: Labelled, photo: LabelledPhoto) -> NDArray[np.uint8]:
    with (labelled.root / photo.path).open("rb") as file:
        return decode(file).pixels


def sitters_of(engine: Embedder, labelled: Labelled, n_people: int, seed: int, n_each: int = 2) -> Sitters:
    """Return the faces of so many photos each of random people, where the engine finds any."""
    photos = ((person, open_photo(labelled, photo)) for person, photo in choose(labelled, n_people, n_each, seed))
    return sitters_among(engine, photos)


def sitters_among(engine: Embedder, photos: Iterable[tuple[int, NDArray[np.uint8]]]) -> Sitters:
    """Return the largest face of each photo in which the engine finds any."""
    rows = [(person, max(faces, key=_area)) for person, pixels in photos if (faces := engine.analyse(pixels))]
    return Sitters(engine, [face for _, face in rows], np.array([person for person, _ in rows], np.int64))


def embedded(engine: Embedder, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], list[float | None]]:
    """Return unit vectors of crops as they are, and the lengths that they had where these say anything."""
    if isinstance(engine, StandardEngine):
        return engine.embed(crops), [None] * len(crops)
    vectors, norms = engine.embed_with_norms(crops)
    return vectors, norms.tolist()


def _area(face: DetectedFace) -> float:
    return face.box[2] * face.box[3]


def spoil_all(crops: NDArray[np.uint8], spoil: Spoil) -> NDArray[np.uint8]:
    return np.array([np.asarray(spoil(Image.fromarray(crop))) for crop in crops])


# --- the tables ---


def light_rows(sitters: Sitters) -> Iterator[tuple[str, ...]]:
    """Yield how near faces in bad light are to themselves in good light, and how alike they are."""
    good = sitters.vectors
    for name, spoil in LIGHTS.items():
        crops = spoil_all(sitters.crops, spoil)
        levels = preprocessing.levels_of(crops)
        low, high = np.median(levels, axis=0)
        answers = [sitters.engine.embed(some) for some in (crops, preprocessing.stretched(crops, least_range=256))]
        own = (f"{np.median((vectors * good).sum(1)):.3f}" for vectors in answers)
        strangers = (f"{np.median(strangers_of(vectors, sitters.people)):.3f}" for vectors in answers)
        share = (np.ptp(levels, axis=1) < preprocessing.LEAST_RANGE).mean()
        yield name, f"{low:.0f}-{high:.0f}", f"{share:.3f}", *own, *strangers


def strangers_of(vectors: NDArray[np.float32], people: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the cosines of all pairs of different people."""
    cosines: NDArray[np.float32] = (vectors @ vectors.T)[people[:, None] < people[None]]
    return cosines


LIGHT_COLUMNS = (
    *("", "levels", "share that is stretched"),
    *("cosine to itself, plain", "stretched", "strangers among each other, plain", "stretched"),
)


def poor_rows(sitters: Sitters) -> Iterator[tuple[str, ...]]:
    """Yield what faces spoiled alike may do, and how often they are near each other and good ones."""
    for name, spoil in POOR.items():
        vectors, norms = embedded(sitters.engine, preprocessing.stretched(spoil_all(sitters.crops, spoil)))
        faces = [
            replace(face, crop=np.asarray(spoil(Image.fromarray(face.crop))), embedding=vector, norm=norm)
            for face, vector, norm in zip(sitters.faces, vectors, norms, strict=True)
        ]
        pixels = int(name.split()[0]) if name.endswith("pixels") else 100
        yield name, *rights(sitters, Sitters(sitters.engine, faces, sitters.people), pixels)


def cover_rows(engine: Embedder, labelled: Labelled, n_people: int, seed: int) -> Iterator[tuple[str, ...]]:
    """Yield the same of faces that something covers, found again by the engine."""
    opened = ((person, open_photo(labelled, photo)) for person, photo in choose(labelled, n_people, 2, seed))
    seen = [(person, pixels, max(faces, key=_area)) for person, pixels in opened if (faces := engine.analyse(pixels))]
    good = Sitters(engine, [face for *_, face in seen], np.array([person for person, *_ in seen]))
    for name in COVERS:
        drawn = [
            (person, covered(pixels, face.landmarks, name, row)) for row, (person, pixels, face) in enumerate(seen)
        ]
        yield name, *rights(good, sitters_among(engine, drawn), None)


def rights(good: Sitters, poor: Sitters, pixels: int | None) -> Iterator[str]:
    info = poor.engine.info
    limits = Limits.of(info)
    qualities = [measure(face, pixels=pixels or round(min(face.box[2:])), limits=limits) for face in poor.faces]
    tiers = np.array([quality.tier for quality in qualities])
    yield str(len(poor.faces))
    yield from (f"{(tiers == tier).mean():.2f}" if len(tiers) else "" for tier in Tier)
    yield f"{sum(quality.covered is not Covered.NOTHING for quality in qualities)}"
    norms = [face.norm for face in poor.faces if face.norm is not None]
    yield f"{np.median(norms):.1f}" if norms else ""
    limit = info.thresholds.cluster - info.thresholds.singleton_penalty
    enrolling = tiers == Tier.ENROLL
    for rows in (enrolling | True, enrolling):
        vectors, people = poor.vectors[rows], poor.people[rows]
        near = distances(vectors @ vectors.T) < limit
        yield from _shares(near, people[:, None] == people[None], np.triu(np.ones_like(near), 1))
    near = distances(poor.vectors @ good.vectors.T) < limit
    yield from _shares(near, poor.people[:, None] == good.people[None], np.ones_like(near))
    yield str(mixed_groups(poor.vectors[enrolling], poor.people[enrolling], info))


def _shares(near: NDArray[np.bool_], is_same: NDArray[np.bool_], counts: NDArray[np.bool_]) -> Iterator[str]:
    """Yield the shares of one's own and of strangers' pairs that are near."""
    for pairs in (is_same & counts, ~is_same & counts):
        yield f"{near[pairs].mean():.4f}" if pairs.any() else ""


def mixed_groups(vectors: NDArray[np.float32], people: NDArray[np.int64], info: EngineInfo) -> int:
    """Return how many groups of a grouping, as the service makes it, hold two people."""
    if len(vectors) < 2:
        return 0
    labels = grouped(vectors, info)
    return sum(len(np.unique(people[labels == label])) > 1 for label in np.unique(labels[labels >= 0]))


def grouped(vectors: NDArray[np.float32], info: EngineInfo) -> NDArray[np.int64]:
    """Return the groups that the service makes of faces of as many photos; -1: none."""
    limits = info.thresholds
    clusterer = make_clusterer(
        "whispers",
        ceiling=limits.cluster,
        singleton_penalty=limits.singleton_penalty,
        margin=limits.cluster_margin,
        copy=limits.copy,
        normalisation=info.normalisation,
    )
    return clusterer.fit_predict(vectors, photos=np.arange(len(vectors)))


GATHERING: dict[str, Spoil] = {
    "none": lambda picture: picture,
    **{f"blurred by {n}": lambda picture, n=n: blurred(picture, n) for n in (4, 6, 8)},  # type: ignore[misc]
    **{f"{n} pixels": lambda picture, n=n: shrunk(picture, n) for n in (7, 10)},  # type: ignore[misc]
    "noise 100": lambda picture: noisy(picture, 100),
}


def hub_rows(sitters: Sitters) -> Iterator[tuple[str, ...]]:
    """Yield what is taken for a hub when poor faces of all people are among their good ones, whatever their tiers."""
    info, first = sitters.engine.info, np.unique(sitters.people, return_index=True)[1][:MOST_POOR]
    assert info.normalisation is not None
    for name, spoil in GATHERING.items():
        poor, _ = embedded(sitters.engine, preprocessing.stretched(spoil_all(sitters.crops[first], spoil)))
        vectors = np.concatenate([sitters.vectors, poor[: 0 if name == "none" else None]])
        labels = grouped(vectors, info)
        is_poor = np.arange(len(vectors)) >= len(sitters.vectors)
        found = hubs(vectors, labels, info.normalisation)
        of_people, of_poor = (np.unique(labels[(labels >= 0) & which]) for which in (~is_poor, is_poor))
        of_poor = np.setdiff1d(of_poor, of_people)
        yield (
            *(name, str(len(of_people)), str(len(np.intersect1d(found, of_people)))),
            *(str(len(of_poor)), str(len(np.intersect1d(found, of_poor)))),
            *(str(int(np.isin(labels, group).sum())) for group in (of_poor, np.intersect1d(found, of_poor))),
        )


MOST_POOR = 120
"""Poor faces that are put among the good ones."""
HUB_COLUMNS = ("poor faces", "groups of people", "hubs", "groups of poor faces", "hubs", "faces", "of hubs")


RIGHTS_COLUMNS = (
    *("", "faces", "found", "match", "show", "covered", "norm"),
    *("own near", "strangers", "of founding: own near", "strangers", "to good: own near", "strangers"),
    "mixed groups",
)


def show(title: str, columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    table = Table(title=title)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


# --- the commands ---


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("table", type=click.Choice(["light", "poor", "covers", "hubs"]))
@click.argument("labelled", type=click.Path(path_type=Path))
@click.option("--engine", default="face_recognition", show_default=True, help="Whose faces.")
@click.option("--models", type=click.Path(path_type=Path), help="The folder of model packs, where it is not yours.")
@click.option("--only", default="", metavar="PREFIX", help="Only photos whose path begins with this.")
@click.option(
    "--people",
    default=100,
    show_default=True,
    type=click.IntRange(min=2),
    help="Of each two photos are taken, for hubs four.",
)
@click.option("--seed", default=0, show_default=True, help="Of the people and photos.")
def main(table: str, labelled: Path, engine: str, models: Path | None, only: str, people: int, seed: int) -> None:
    """Print what an engine makes of the faces in LABELLED, spoiled in many ways. Photos are only read.

    \b
    light   dark and flat ones, as they are and stretched
    poor    blurred, small, noisy and dark ones: what they may do, and how near they are to each other and to good ones
    covers  the same of covered ones
    hubs    which groups are taken for near everybody when poor faces are among good ones

    \b
    Example:
      scripts/spoiled light ~/Labelled --engine insightface:buffalo_s
    """
    try:
        loaded = load_engine(engine, EngineOptions(models=str(models.absolute()) if models else ""))
        assert isinstance(loaded, Embedder)
        labels, title = read_labels(labelled, only=only), f"{table}: {people} people, {engine}"
        if table == "light":
            show(title, LIGHT_COLUMNS, light_rows(sitters_of(loaded, labels, people, seed)))
        elif table == "poor":
            show(title, RIGHTS_COLUMNS, poor_rows(sitters_of(loaded, labels, people, seed)))
        elif table == "hubs":
            show(title, HUB_COLUMNS, hub_rows(sitters_of(loaded, labels, people, seed, n_each=4)))
        else:
            show(title, RIGHTS_COLUMNS, cover_rows(loaded, labels, people, seed))
    except FacewatchError as error:
        click.echo(f"spoiled: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
