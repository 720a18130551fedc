"""Measure what an engine's threshold `copy` rests on: how far a face is from itself in a photo that was saved again.

    scripts/measure_copies shared/photos --only lfw/ --engine face_recognition --keep /tmp/lfw.npz

Every so many photos are saved as JPEG at several qualities and at half size, analysed, and compared with the photo as
it is; beside that stands how near the nearest pairs of two photos of one person are.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facewatch.engines import load_engine
from facewatch.engines.options import EngineOptions

# Python -P leaves out even the script's own folder.
sys.path.append(str(Path(__file__).resolve().parent))

from calibrate import analysed_sample, thresholds_of

WAYS = ((95, 1), (85, 1), (75, 1), (60, 1), (90, 2))
"""Quality of the JPEG, and how many times smaller than the photo it is."""


def saved_again(photo: Image.Image, quality: int, times: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    photo.resize((photo.width // times, photo.height // times)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


@click.command(help=__doc__)
@click.argument("labelled", type=click.Path(exists=True, path_type=Path))
@click.option("--engine", default="face_recognition")
@click.option("--only", default="")
@click.option("--keep", type=click.Path(path_type=Path))
@click.option("--every", default=40, help="One photo in so many is saved again.")
def main(labelled: Path, engine: str, only: str, keep: Path | None, every: int) -> None:
    settings = {"engine.name": engine}
    sample, limit = analysed_sample(labelled, settings, only=only, keep=keep), thresholds_of(settings).copy
    looker = load_engine(engine, EngineOptions())
    found: dict[tuple[int, int], list[float]] = {way: [] for way in WAYS}
    for number in np.unique(sample.photo)[::every]:
        photo = Image.open(labelled / sample.photos[number].path).convert("RGB")
        for way in WAYS:
            faces = [face.embedding for face in looker.analyse(saved_again(photo, *way))]
            for own in sample.embeddings[sample.photo == number] if faces else ():
                found[way].append(float(np.linalg.norm(np.array(faces) - own, axis=1).min()))
    click.echo(f"{engine}: copies are nearer than {limit}")
    for (quality, times), apart in found.items():
        half, most = np.quantile(apart, [0.5, 0.9])
        share = np.mean(np.array(apart) < limit)
        click.echo(
            f"quality {quality}, 1/{times} size: {half:.3f} in half, {most:.3f} in 0.9 of all; {share:.2f} copies"
        )
    people = [sample.embeddings[sample.person == person] for person in range(len(sample.names))]
    pairs = np.concatenate([2 - 2 * (faces @ faces.T)[np.triu_indices(len(faces), 1)] for faces in people])
    near = np.count_nonzero(pairs < limit**2)
    click.echo(f"of {len(pairs)} pairs of photos of one person {near} are copies")


if __name__ == "__main__":
    sys.exit(main())
