"""What engines make of spoiled faces: the tables behind the limits in facewatch/engines and facewatch/quality.py.

Run as scripts/spoiled.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from facewatch.decode import decode
from facewatch.engines import load_engine, stretching
from facewatch.engines.arcface import ArcFaceEngine
from facewatch.engines.standard import StandardEngine
from facewatch.errors import FacewatchError
from facewatch.evaluation.labelled import Labelled, LabelledPhoto, read_labels
from facewatch.types import DetectedFace, EngineOptions

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
        return np.array([face.embedding for face in self.faces])


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


def sitters_of(engine: Embedder, labelled: Labelled, n_people: int, seed: int) -> Sitters:
    """Return the faces of two photos each of random people, where the engine finds any."""
    found = (
        (person, sorted(engine.analyse(open_photo(labelled, photo)), key=_area))
        for person, photo in choose(labelled, n_people, 2, seed)
    )
    rows = [(person, faces[-1]) for person, faces in found if faces]
    return Sitters(engine, [face for _, face in rows], np.array([person for person, _ in rows]))


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
        levels = stretching.levels_of(crops)
        low, high = np.median(levels, axis=0)
        answers = [sitters.engine.embed(some) for some in (crops, stretching.stretched(crops, least_range=256))]
        own = (f"{np.median((vectors * good).sum(1)):.3f}" for vectors in answers)
        strangers = (f"{np.median(strangers_of(vectors, sitters.people)):.3f}" for vectors in answers)
        share = (np.ptp(levels, axis=1) < stretching.LEAST_RANGE).mean()
        yield name, f"{low:.0f}-{high:.0f}", f"{share:.3f}", *own, *strangers


def strangers_of(vectors: NDArray[np.float32], people: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the cosines of all pairs of different people."""
    cosines: NDArray[np.float32] = (vectors @ vectors.T)[people[:, None] < people[None]]
    return cosines


LIGHT_COLUMNS = (
    *("", "levels", "share that is stretched"),
    *("cosine to itself, plain", "stretched", "strangers among each other, plain", "stretched"),
)


def show(title: str, columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    table = Table(title=title)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


# --- the commands ---


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("table", type=click.Choice(["light"]))
@click.argument("labelled", type=click.Path(path_type=Path))
@click.option("--engine", default="face_recognition", show_default=True, help="Whose faces.")
@click.option("--models", type=click.Path(path_type=Path), help="The folder of model packs, where it is not yours.")
@click.option("--only", default="", metavar="PREFIX", help="Only photos whose path begins with this.")
@click.option(
    "--people", default=100, show_default=True, type=click.IntRange(min=2), help="Of each two photos are taken."
)
@click.option("--seed", default=0, show_default=True, help="Of the people and photos.")
def main(table: str, labelled: Path, engine: str, models: Path | None, only: str, people: int, seed: int) -> None:
    """Print what an engine makes of the faces in LABELLED, spoiled in many ways. Photos are only read.

    \b
    light  dark and flat ones, as they are and stretched

    \b
    Example:
      scripts/spoiled light ~/Labelled --engine insightface:buffalo_s
    """
    try:
        loaded = load_engine(engine, EngineOptions(models=str(models.absolute()) if models else ""))
        assert isinstance(loaded, Embedder)
        sitters = sitters_of(loaded, read_labels(labelled, only=only), people, seed)
        show(f"{table}: {len(sitters.faces)} faces of {people} people, {engine}", LIGHT_COLUMNS, light_rows(sitters))
    except FacewatchError as error:
        click.echo(f"spoiled: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
