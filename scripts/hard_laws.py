"""How easy photos are made hard: each law takes a photo with its labels and a generator, and returns another one.

Faces of the LFW part of shared/photos are 95 pixels wide on average, in photos of 250 x 250; all lengths are in such
pixels. What a law draws, it draws for each photo again: U(a, b) is uniform, N(a, b) normal with deviation b.

    blurred   Gaussian blur, deviation U(1, 3.5) pixels
    noisy     Gaussian noise, deviation U(15, 50) of 255 grey levels
    dark      light times 2 ** -U(2, 4): a quarter to a sixteenth
    flat      contrast times U(.1, .3) about the mean, which stays
    tight     cut to the labelled box, widened by U(0, .1) of its size on each side
    turned    every other photo lies on a side or on its head, without a word about it in its EXIF
    film      stills of one film: tight (U(0, .25) of the box), tilted by N(0, 10) degrees, stretched by exp(N(0, .15))
              across and down; made up: gamma exp(N(0, .5)); lit from one side by exp(N(0, .6)), from above by
              exp(N(0, .3)); soft: FILM_WIDTH pixels a face, and back;
              then what is alike in all: grey, teal, low in contrast, a vignette, JPEG of quality 35
    mixed     one photo in two as it is, the others by one of blurred, noisy, dark, flat, tight, film
    varied    another photo of the same moment: mirrored or not, tilted by N(0, 10) degrees, U(.4, 1.1) of its size,
              light times 2 ** N(0, .4), and by one of the laws of `mixed`
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

VERSION = 1
"""Counted up when a law changes, so that sets are made again."""

Box = tuple[float, float, float, float]
"""x, y, w, h in pixels."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One photo, and who is where on it."""

    image: Image.Image
    faces: tuple[tuple[str, Box], ...]
    """Nobody has said whose faces others are."""
    quality: int = 92
    """Of the JPEG that it becomes."""

    def cut(self, left: float, top: float, right: float, bottom: float) -> Labelled:
        """Return what is inside of these edges and of the photo."""
        width, height = self.image.size
        edges = max(0, round(left)), max(0, round(top)), min(width, round(right)), min(height, round(bottom))
        moved = tuple((who, (x - edges[0], y - edges[1], w, h)) for who, (x, y, w, h) in self.faces)
        return replace(self, image=self.image.crop(edges), faces=moved)

    def scaled(self, across: float, down: float) -> Labelled:
        size = max(1, round(self.image.width * across)), max(1, round(self.image.height * down))
        faces = tuple((who, (x * across, y * down, w * across, h * down)) for who, (x, y, w, h) in self.faces)
        return replace(self, image=self.image.resize(size, Image.Resampling.BICUBIC), faces=faces)

    def mirrored(self) -> Labelled:
        faces = tuple((who, (self.image.width - x - w, y, w, h)) for who, (x, y, w, h) in self.faces)
        return replace(self, image=ImageOps.mirror(self.image), faces=faces)

    def turned(self, quarters: int) -> Labelled:
        """Return it turned to the left by this many quarters."""
        turned = self
        for _ in range(quarters):
            width = turned.image.width
            faces = tuple((who, (y, width - x - w, h, w)) for who, (x, y, w, h) in turned.faces)
            turned = replace(turned, image=turned.image.transpose(Image.Transpose.ROTATE_90), faces=faces)
        return turned

    def tilted(self, degrees: float, fill: tuple[int, ...] = ()) -> Labelled:
        """Return it turned a little about the first face, whose box stays; corners get this colour, or the mean one."""
        x, y, w, h = self.faces[0][1]
        fill = fill or tuple(int(level) for level in np.asarray(self.image).mean((0, 1)))
        about = (x + w / 2, y + h / 2)
        return replace(self, image=self.image.rotate(degrees, Image.Resampling.BICUBIC, center=about, fillcolor=fill))

    def unlabelled(self) -> Labelled:
        return replace(self, faces=())

    def levels(self) -> NDArray[np.float64]:
        """Return the grey levels, shape (height, width, 3)."""
        return np.asarray(self.image, np.float64)

    def with_levels(self, levels: NDArray[np.float64]) -> Labelled:
        return replace(self, image=Image.fromarray(np.clip(levels.round(), 0, 255).astype(np.uint8)))

    def jpeg(self) -> bytes:
        file = io.BytesIO()
        self.image.save(file, "JPEG", quality=self.quality)
        return file.getvalue()


Law = Callable[[Labelled, np.random.Generator], Labelled]


def plain(photo: Labelled, draw: np.random.Generator) -> Labelled:
    return photo


def blurred(photo: Labelled, draw: np.random.Generator) -> Labelled:
    return replace(photo, image=photo.image.filter(ImageFilter.GaussianBlur(draw.uniform(1.0, 3.5))))


def noisy(photo: Labelled, draw: np.random.Generator) -> Labelled:
    levels = photo.levels()
    return photo.with_levels(levels + draw.normal(0.0, draw.uniform(15.0, 50.0), levels.shape))


def dark(photo: Labelled, draw: np.random.Generator) -> Labelled:
    return replace(photo.with_levels(photo.levels() * 2.0 ** -draw.uniform(2.0, 4.0)), quality=95)


def flat(photo: Labelled, draw: np.random.Generator) -> Labelled:
    levels = photo.levels()
    return replace(photo.with_levels(levels.mean() + (levels - levels.mean()) * draw.uniform(0.1, 0.3)), quality=95)


def tight(photo: Labelled, draw: np.random.Generator) -> Labelled:
    return cut_to_face(photo, draw.uniform(0.0, 0.1, 4))


def cut_to_face(photo: Labelled, wider: NDArray[np.float64]) -> Labelled:
    """Return it cut to the first face; `wider`: left, top, right, bottom, as shares of the face's width or height."""
    x, y, w, h = photo.faces[0][1]
    left, top, right, bottom = wider.tolist()
    return photo.cut(x - left * w, y - top * h, x + w + right * w, y + h + bottom * h)


def turned(photo: Labelled, draw: np.random.Generator) -> Labelled:
    return photo.turned(int(draw.integers(1, 4))) if draw.random() < 0.5 else photo


FILM_WIDTH = (16.0, 36.0)
"""U of these: pixels that a face is wide before it is enlarged again. With them facewatch of November 2026 (6a74cd3)
does about as well on these stills as on other people's."""


def film(photo: Labelled, draw: np.random.Generator) -> Labelled:
    still = photo.tilted(draw.normal(0.0, 10.0)).scaled(*np.exp(draw.normal(0.0, 0.15, 2)).tolist())
    still = cut_to_face(still, draw.uniform(0.0, 0.25, 4))
    size = still.image.size
    soft = draw.uniform(*FILM_WIDTH) / still.faces[0][1][2]
    small = still.image.resize((round(size[0] * soft), round(size[1] * soft)), Image.Resampling.BOX)
    levels = np.asarray(small.resize(size, Image.Resampling.BICUBIC), np.float64)
    across, down = np.linspace(-1, 1, size[0])[None, :, None], np.linspace(-1, 1, size[1])[:, None, None]
    levels = 255.0 * (levels / 255.0) ** np.exp(draw.normal(0.0, 0.5))
    levels *= np.exp(draw.normal(0.0, 0.6) * across + draw.normal(0.0, 0.3) * down)
    grey = levels.mean(2, keepdims=True)
    levels = 60.0 + 0.6 * (grey + 0.45 * (levels - grey) - 60.0)
    levels = (levels * (0.78, 0.95, 1.05) + (-4.0, 6.0, 14.0)) * (1.0 - 0.3 * (across**2 + down**2))
    return replace(still.with_levels(levels + draw.normal(0.0, 3.0, levels.shape)), quality=35)


SPOILING: tuple[Law, ...] = (blurred, noisy, dark, flat, tight, film)


def mixed(photo: Labelled, draw: np.random.Generator) -> Labelled:
    law = plain if draw.random() < 0.5 else SPOILING[int(draw.integers(len(SPOILING)))]
    return law(photo, draw)


def varied(photo: Labelled, draw: np.random.Generator) -> Labelled:
    moment = photo.mirrored() if draw.random() < 0.5 else photo
    moment = moment.tilted(draw.normal(0.0, 10.0)).scaled(*[draw.uniform(0.4, 1.1)] * 2)
    return mixed(moment.with_levels(moment.levels() * 2.0 ** draw.normal(0.0, 0.4)), draw)


def beside(photos: Sequence[Labelled]) -> Labelled:
    """Return photos side by side in one, all as high as the first."""
    fitted = [photo.scaled(*[photos[0].image.height / photo.image.height] * 2) for photo in photos]
    whole = Image.new("RGB", (sum(one.image.width for one in fitted), fitted[0].image.height))
    faces: list[tuple[str, Box]] = []
    left = 0
    for one in fitted:
        whole.paste(one.image, (left, 0))
        faces += [(who, (x + left, y, w, h)) for who, (x, y, w, h) in one.faces]
        left += one.image.width
    return Labelled(whole, tuple(faces), min(photo.quality for photo in photos))
