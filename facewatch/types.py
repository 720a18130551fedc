"""The named results that modules hand to each other.

All are frozen. Distances are Euclidean between unit vectors: 0 is the same vector, sqrt(2) is unrelated.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    # Arrays, by what they hold.
    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Pixels = NDArray[np.uint8]
    Closer = Callable[[], Pixels]
    """Gives the same picture with more pixels."""

_T = TypeVar("_T")


class Vectors(Protocol):
    """Vectors, one a row: an array, or what gives some of them as one. It holds for any rows that an array can be asked
    for, and what is given is the caller's own where those are numbers."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the full-size photo as decoded; x and y are its left upper corner."""

    x: int
    y: int
    w: int
    h: int
    turn: int = 0
    """By how many degrees clockwise what is in it has to be turned to be upright: 0, 90, 180 or 270."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What shows whether a file changed without reading it.

    Two are equal when they agree in all but the ctime, which a move and new rights change as well, and which only
    `scan.compare` compares.
    """

    size: int
    """Bytes."""
    mtime_ns: int
    inode: int
    ctime_ns: int | None = field(default=None, compare=False)
    """When anything of the file changed last, which no program can set; None: not known."""

    @classmethod
    def of(cls, status: os.stat_result) -> Fingerprint:
        """Return what a file system says, cut to what a column of the catalog holds: 63 bits and a sign.

        Pooled and network file systems number with 64 bits; nanoseconds after 2262 need more than 63.
        """
        inode = status.st_ino & _MOST
        return cls(_bounded(status.st_size), _bounded(status.st_mtime_ns), inode, _bounded(status.st_ctime_ns))


_MOST = 2**63 - 1


def _bounded(number: int | None) -> int:
    """Return the nearest number that fits; a status that was made by hand may lack one."""
    return max(-_MOST, min(_MOST, number or 0))


def written_at(status: os.stat_result) -> datetime:
    """Return when a file was written to last, UTC; a time that no calendar has becomes the nearest that one has."""
    return datetime.fromtimestamp(max(_FIRST_SECOND, min(_LAST_SECOND, status.st_mtime)), UTC)


_FIRST_SECOND, _LAST_SECOND = -62_100_000_000, 253_300_000_000
"""In the years 2 and 9996: a day before or after is a date, too, in whatever time zone."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What of a library is passed over for one reason."""

    rule: str
    """"hidden", or what says so: an entry of a setting, or the name of a file that marks its folder."""
    n_folders: int
    """Each with all below it, which nobody counts."""
    n_files: int


@dataclass(frozen=True, slots=True)
class Description:
    """What the header of a photo says about its picture."""

    orientation: int
    """How the picture is to be turned to be upright, 1 to 8, also where its decoder does that by itself."""
    xmp: tuple[bytes, ...]
    """Its packets of XMP, as they are."""


@dataclass(frozen=True, slots=True)
class FileSays:
    """What a file says about the people in one photo or in several."""

    sha256: bytes
    """Of the file, or of a photo's packets of XMP."""
    by_photo: Mapping[str, str]
    """JSON (see `regions.stored`) by the name of a photo's file; "": of whatever photo the file belongs to."""
    orientation: int | None = None
    """Of the photo itself: how its stored picture is to be turned, 1 to 8; None: the file is no photo."""
    doubt: str | None = None
    """Why it says nothing that can be used; None: it can."""
    contacts: Mapping[str, str] = field(default_factory=dict)
    """Names by the ids that other files have instead of them."""


class Tier(StrEnum):
    """What a face may do by its quality."""

    ENROLL = "found"
    """Start new people, move centroids and be matched."""
    MATCH = "match"
    """Be matched, at a stricter distance; never start a person or move a centroid."""
    SHOW = "show"
    """Only be shown."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A photo as an engine sees it.

    `pixels` is upright RGB, uint8, shape (H, W, 3), C-contiguous. It may be smaller than the photo: `width` and
    `height` are those of the upright photo at full size.
    """

    pixels: Pixels
    width: int
    height: int
    format: str
    """The decoder's name of the format: JPEG, PNG, HEIF..."""
    taken_at: str = ""
    """When the photo was taken by the camera's clock, YYYY-MM-DDTHH:MM:SS; empty: the file does not say."""


@dataclass(frozen=True, slots=True)
class Detection:
    """Where a face may be, in pixels of the array that an engine was given; it is not known whose it is."""

    box: tuple[float, float, float, float]
    """x, y, w, h"""
    score: float
    """As in `DetectedFace`."""


@dataclass(frozen=True, slots=True)
class DetectedFace:
    """One face as an engine found it, in pixels of the array it was given (not of the full-size photo)."""

    box: tuple[float, float, float, float]
    """x, y, w, h"""
    landmarks: Floats
    """Shape (5, 2), x and y: eye, eye, nose, mouth corner, mouth corner; engines without a mouth repeat the nose."""
    score: float
    """The detector's own confidence: higher is surer; its scale belongs to the engine."""
    crop: Pixels
    """The aligned face, RGB, uint8, shape (s, s, 3)."""
    embedding: Floats
    """A unit vector, shape (n_dims,)."""
    norm: float | None = None
    """The embedding's length before it was made 1; None: of this engine it says nothing about the face."""
    crop_landmarks: Floats | None = None
    """Where the landmarks lie in the crop, shape (5, 2), the corners of the mouth among them; None: not known."""


class Covered(StrEnum):
    """What of a face something hides, as far as the crop shows it."""

    NOTHING = ""
    EYES = "eyes"
    MOUTH = "mouth"
    BOTH = "eyes and mouth"


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a face is, in numbers that do not depend on the engine, but for the norm."""

    sharpness: float
    """Variance of the Laplacian of the grey aligned crop scaled to 112 x 112 pixels, at ordinary contrast (a standard
    deviation of 50) and with rounding noise taken off."""
    brightness: float
    """Mean of the grey aligned crop, 0 to 255."""
    pixels: int
    """The shorter side of the box in pixels of the full-size photo."""
    pose: float
    """How far the face is turned away, from its landmarks: 0 faces the camera, 1 is a profile."""
    score: float
    """All of it in one number, 0 to 1."""
    tier: Tier
    norm: float | None = None
    """See `DetectedFace.norm`."""
    covered: Covered = Covered.NOTHING


@dataclass(frozen=True, slots=True)
class Face:
    """One face of one photo, ready for the catalog."""

    box: Box
    landmarks: tuple[float, ...]
    """Ten numbers: x and y of five points, in pixels of the upright photo."""
    score: float
    quality: Quality
    embedding: Floats
    is_drawn: bool = False
    """A user drew its box; the engine was given that, because its detector had not found the face."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one engine found in one photo. No faces is an ordinary answer."""

    width: int
    height: int
    format: str
    faces: tuple[Face, ...]
    taken_at: str = ""
    """When the photo was taken by the camera's clock, YYYY-MM-DDTHH:MM:SS; empty: the file does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchThresholds:
    """Distances at which a face is somebody known; how they were measured stands where they are set."""

    match: float
    """A face must be nearer than this to a member of a person, in a gallery of `gallery_size` faces."""
    centroid: float
    """And nearer than this to the person's centroid."""
    gallery_size: int
    """The gallery size, in faces, up to which `match` and `centroid` hold."""
    per_decade: float
    """How much both shrink when the gallery grows tenfold beyond that: a stranger's best match comes nearer."""
    margin: float
    """The runner-up must be farther than the winner by this much."""
    low_quality_penalty: float
    """A face of tier MATCH must be nearer to both by this much."""
    years: float = 0.0
    """A face taken ten years before or after the nearest of a person must be nearer by this; see `matching.member`."""
    no_rival_bonus: float = 0.0
    """A match without a near runner-up may be farther off by this; see `matching.gallery`."""
    confirmed: float = 0.0
    """And one whose nearest member a user confirmed by this."""
    by_minimum: float = 0.0
    """What takes the place of `match` and `centroid` where `match.aggregation` is "minimum"."""
    by_mean: float = 0.0
    """Where it is "mean"."""
    by_centroid: float = 0.0
    """And where it is "centroid"."""

    def less(self, n_faces: int) -> float:
        """Return what `match` and `centroid` lose in a gallery of so many faces.

        The best match of a stranger comes nearer the more faces it is compared with; so both shrink with the
        logarithm of their number. A gallery smaller than the calibration's is not given more room.
        """
        return self.per_decade * max(0.0, math.log10(max(1, n_faces) / self.gallery_size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds(MatchThresholds):
    """All distances that belong to an engine: those of matching, and those of grouping."""

    cluster: float
    """No machine-made group may join parts whose mean distance is above this."""
    singleton_penalty: float
    """Two single faces must be nearer than `cluster` by this to make a group: one distance is weak evidence."""
    cluster_margin: float
    """A leftover face joins a group when the runner-up group is farther by this."""
    copy: float = 0.0
    """Faces of different photos that are nearer than this are one picture, saved twice."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """The distribution of an engine's similarities between strangers, and the excess that two groups need to be one.

    All are cosines of centred vectors (see `cohort`), normalised where they are limits: less the mean of what both
    sides have with strangers.
    """

    usual: float
    """The mean cosine to near strangers in ordinary photos."""
    link: float | None
    """Two groups must be as similar as this on the mean over all pairs of faces to be joined from single faces up;
    None: what similarities as they come make of single faces is taken over."""
    singleton_penalty: float
    """Two single faces must be nearer than that, as a distance, by this, groups of a and b faces by this / (a * b)."""
    merge: float
    """The middles of two groups must be as similar as this to be one."""
    likeness: float
    """And the mean over all pairs of their faces at least this share of what it is inside them."""
    attach: float
    """A single face must be as similar as this to the middle of a group to join it."""
    outlier: float
    """And at least as much as this share of what the faces of the group are to the others."""
    no_rival_bonus: float
    """And as this together with the lead over the next group."""
    per_decade: float
    """How much more is asked for in a library with ten times as many faces."""
    mean: tuple[float, ...] = ()
    """The mean of the unit vectors of many people's faces; empty: that is near 0 in all directions."""

    def stricter(self, by: float) -> Normalisation:
        """Return limits that are nearer by this much, as distances."""
        merge, attach, clear = (
            cosine_of(distance_of(cosine) - by) for cosine in (self.merge, self.attach, self.no_rival_bonus)
        )
        link = self.link and cosine_of(distance_of(self.link) - by)
        return replace(self, link=link, merge=merge, attach=attach, no_rival_bonus=clear)


def distance_of(cosine: float) -> float:
    """Return the Euclidean distance of two unit vectors with this cosine."""
    return math.sqrt(max(0.0, 2.0 - 2.0 * cosine))


def cosine_of(distance: float) -> float:
    """Return the cosine of two unit vectors that are this far apart."""
    return 1.0 - distance * distance / 2.0


@dataclass(frozen=True, slots=True)
class Needs:
    """What a recogniser needs to see of a face; how it was measured stands where it is set. Below `match_*` a face is
    only shown, and with less than all the others it starts no person."""

    match_pixels: int
    """The shorter side of the box in pixels of the full-size photo; so is `enroll_pixels`."""
    enroll_pixels: int
    match_sharpness: float
    """See `Quality.sharpness`; so are `enroll_sharpness` and `most_sharpness`."""
    enroll_sharpness: float
    enroll_norm: float = 0.0
    """See `DetectedFace.norm`."""
    covered_norm: float = 0.0
    """The same where the mouth is covered."""
    most_sharpness: float = math.inf
    """What is sharper than this is noise."""
    without: tuple[Covered, ...] = (Covered.BOTH,)
    """What must not be covered."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What identifies an engine: embeddings of two different infos are never compared."""

    name: str
    n_dims: int
    fingerprint: str
    """SHA-256 over the model files and the way they are used."""
    licence: str
    thresholds: Thresholds
    needs: Needs
    sure_score: float
    """Detections with a lower score than this, on the detector's own scale, start no person."""
    upright_score: float
    """The same for faces that lie on their side or head: a stranger upside down rarely has as much."""
    normalisation: Normalisation | None = None
    """None: similarities are used as they come."""
    read_as: str = field(default="", compare=False)
    """How the model files were when they were read for the fingerprint; "": that takes no time worth remembering."""


class ReadModels(NamedTuple):
    """What was found in the model files of an engine."""

    name: str
    """Of the engine."""
    fingerprint: str
    n_dims: int
    licence: str


Read = Mapping[str, ReadModels]
"""That, by how the files were when they were read (`EngineInfo.read_as`)."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The faces of a picture, and whether it may show more when it is turned."""

    faces: list[DetectedFace]
    """Largest first."""
    may_show_turned: bool = True
    """False: nothing looks, however faintly, like a face, but these that are surely upright."""


class Engine(Protocol):
    """Detector and embedder in one. Engines are made in worker processes and never shared between threads."""

    @property
    def info(self) -> EngineInfo: ...

    def analyse(self, pixels: Pixels, *, closer: Closer | None = None) -> list[DetectedFace]:
        """Return the faces of an upright RGB uint8 array of shape (H, W, 3), largest first.

        `closer` gives the same picture with more pixels, for an engine that wants to see small faces; None: these
        are all there are.

        Raises:
            PhotoError: this photo makes the models give nonsense.
        """
        ...

    def survey(self, pixels: Pixels, *, closer: Closer | None = None) -> Survey:
        """Return the faces of `analyse`, and what the detector's faintest signs say of turned ones."""
        ...

    def find(self, pixels: Pixels) -> list[Detection]:
        """Return where `analyse` would look for whose face it is; cheap."""
        ...

    def analyse_aligned(self, crops: Sequence[Pixels]) -> list[DetectedFace]:
        """Return one face for each tight, upright crop of a face (RGB, uint8, any size), embedded in one batch.

        Nothing is detected: the box is the whole crop and the score 1.
        """
        ...


@dataclass(frozen=True, slots=True)
class Match:
    """The person whom a face matches, and the distances of the match."""

    person_id: int
    distance: float
    """To the nearest member of that person."""
    centroid_distance: float
    runner_up_id: int | None
    runner_up_distance: float | None
    """To the nearest member of the next person."""
    rule: str
    """Why it was accepted or refused, in a few words."""
    is_accepted: bool


@dataclass(frozen=True, slots=True)
class RecordedLink:
    """One link that the catalog says we made."""

    link_id: int
    person_id: int
    photo_id: int
    path: str
    source: str
    stamp: str
    """What stood there when we had made it (see `FolderEntry.stamp`)."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a long piece of work."""

    done: int
    total: int
    """0: nobody knows."""
    note: str
    stage: str = ""
    """What is being done, where the work has several parts; "": as before."""


class Kept(Generic[_T]):
    """A place for a value that is kept from one question to the next. Threads may share it: the value is replaced as a
    whole, never changed, and says what it is true of."""

    def __init__(self) -> None:
        self.value: _T | None = None
        self.renewing = threading.Lock()
        """Held by who finds out a new value, so that others wait for that and do not do the same beside it."""


DECODER_VERSION = 3
"""Raise it whenever files that could not be used before may be usable now: what had a fault is then read again. It
stands here because every scan asks for it, and decoders take 0.05 s to import."""


class OnDemand(Generic[_T]):
    """A part that is made when it is asked for first, because most commands need none."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self.made: _T | None = None

    def __call__(self) -> _T:
        if self.made is None:
            self.made = self._make()
        return self.made
