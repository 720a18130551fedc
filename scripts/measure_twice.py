"""Measure what facewatch/clustering/twice.py rests on: how far apart one person's groups are, and two people's.

    scripts/measure_twice shared/photos --only lfw/ --keep /tmp/lfw.npz

A person's faces are parted as collages part them: of each collage the face that is less like the other photos goes to
the second group. Of two people who look alike all faces are taken. A gap is in squares of the engine's ceiling.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from facewatch.clustering.twice import COPY, compare

# Python -P leaves out even the script's own folder.
sys.path.append(str(Path(__file__).resolve().parent))

from calibrate import analysed_sample, thresholds_of

ROUNDS = 8
MANY = 11
"""Faces of a person who is asked about collages."""
MOST_ALIKE = 10


def collage_gaps(people: list[NDArray[np.float32]], n_singles: int, n_collages: int, ceiling: float) -> list[float]:
    """Return the gap between a person and the second faces of its collages, for each person several times."""
    random = np.random.default_rng(0)
    gaps = []
    for faces in people * ROUNDS:
        order = random.permutation(len(faces))[: n_singles + 2 * n_collages]
        if len(order) < n_singles + 2 * n_collages:
            continue
        singles, pairs = order[:n_singles], order[n_singles:].reshape(-1, 2)
        likeness = faces[pairs] @ faces[singles].mean(axis=0)
        pairs = np.take_along_axis(pairs, np.argsort(-likeness, axis=1), axis=1)
        first, second = np.concatenate([singles, pairs[:, 0]]), pairs[:, 1]
        gaps.append(compare(faces, np.arange(len(faces)), first, second, ceiling).gap)
    return gaps


def stranger_gaps(people: list[NDArray[np.float32]], ceiling: float) -> list[float]:
    """Return the gaps between those people who are most alike."""
    gaps = []
    for one, other in combinations(people, 2):
        faces, n = np.concatenate([one, other]), len(one)
        rows = np.arange(len(faces))
        gaps.append(compare(faces, rows, rows[:n], rows[n:], ceiling).gap)
    return sorted(gaps)[:MOST_ALIKE]


def share_of_copies(people: list[NDArray[np.float32]], ceiling: float) -> float:
    """Return how many pairs of faces of one person are as near as copies of one face."""
    cosines = np.concatenate([(faces @ faces.T)[np.triu_indices(len(faces), 1)] for faces in people])
    return float((2 - 2 * cosines < (COPY * ceiling) ** 2).mean())


@click.command(help=__doc__)
@click.argument("labelled", type=click.Path(exists=True, path_type=Path))
@click.option("--engine", default="face_recognition")
@click.option("--only", default="")
@click.option("--keep", type=click.Path(path_type=Path))
def main(labelled: Path, engine: str, only: str, keep: Path | None) -> None:
    settings = {"engine.name": engine}
    sample, ceiling = analysed_sample(labelled, settings, only=only, keep=keep), thresholds_of(settings).cluster
    people = [sample.embeddings[sample.person == person] for person in range(len(sample.names))]
    many = [faces for faces in people if len(faces) >= MANY]
    click.echo(f"{engine}: {len(many)} people with {MANY} faces and more")
    for n_singles, n_collages in ((4, 1), (4, 2), (4, 3), (3, 3), (6, 2)):
        half, most = np.quantile(collage_gaps(many, n_singles, n_collages, ceiling), [0.5, 0.95])
        click.echo(f"{n_singles} photos and {n_collages} collages: gap {half:.2f} in half, {most:.2f} in 0.95 of all")
    alike = stranger_gaps([faces for faces in people if len(faces) >= 5], ceiling)
    click.echo(f"the {MOST_ALIKE} most alike strangers: gaps {', '.join(f'{gap:.2f}' for gap in alike)}")
    click.echo(f"pairs of one person as near as copies: {share_of_copies(many, ceiling):.4f}")


if __name__ == "__main__":
    sys.exit(main())
