"""Who people are, as a file that is carried from one machine to another: JSON, one thing a line.

The first line says what the file is and which engine saw the faces; each of the others is a person, a face, a face that
is not somebody, a photo that somebody is in without a face, or two people who are not one. Whoever reads such a file
trusts nothing in it: all is bounded and checked before the first person is made.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from facewatch.catalog.carried import Carried, CarriedFace, CarriedPerson, CarriedPhoto, CarriedPlace
from facewatch.errors import LibraryError, NotKnownError
from facewatch.people.lookup import clean_name, name_key
from facewatch.types import Box, Covered, Face, Quality, Tier

if TYPE_CHECKING:
    from facewatch.types import Floats

FORMAT = "facewatch people"
VERSION = 1

MOST_LINE = 131_072
"""Bytes of a line; that of a face by an engine of 512 dimensions has some 3 500."""
MOST_LINES = 2_000_000
MOST_BYTES = 1_073_741_824
"""Of a file: some 300 000 faces."""
MOST_DIMS = 8192
MOST_PIXELS = 1_000_000
"""Of a side of a photo."""
NOT_UNIT = 1e-3
"""By how much the length of an embedding may differ from 1."""


_TAKEN = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")


class _Fault(Exception):
    """What is wrong with a line."""


# --- writing ---


def write(carried: Carried, file: BinaryIO) -> None:
    """Write it; what is equal is written alike."""
    for line in _lines(carried):
        file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def _lines(carried: Carried) -> Iterator[dict[str, Any]]:
    engine = {"name": carried.engine, "fingerprint": carried.fingerprint, "n_dims": carried.n_dims}
    yield {"format": FORMAT, "version": VERSION, "engine": engine}
    for person in carried.people:
        yield {"kind": "person", "name": person.name, "born": person.born, "is_hidden": person.is_hidden}
        for face in person.faces:
            yield {"kind": "face", "name": person.name} | _face_row(face)
        for place in person.rejected:
            yield {"kind": "not", "name": person.name, "sha256": place.sha256.hex(), "box": _box_row(place.box)}
        for photo in person.photos:
            yield {"kind": "present", "name": person.name, "photo": _photo_row(photo)}
    yield from ({"kind": "apart", "names": list(names)} for names in carried.apart)


def _face_row(carried: CarriedFace) -> dict[str, Any]:
    face, quality = carried.face, carried.face.quality
    return {
        "photo": _photo_row(carried.photo),
        "box": _box_row(face.box),
        "turn": face.box.turn,
        "is_said": carried.is_said,
        "landmarks": list(face.landmarks),
        "score": face.score,
        "sharpness": quality.sharpness,
        "brightness": quality.brightness,
        "pose": quality.pose,
        "quality": quality.score,
        "tier": quality.tier.value,
        "norm": quality.norm,
        "covered": quality.covered.value,
        "is_drawn": face.is_drawn,
        "vector": base64.b64encode(face.embedding.astype("<f4").tobytes()).decode(),
    }


def _photo_row(photo: CarriedPhoto) -> dict[str, Any]:
    size = [photo.width, photo.height]
    return {"sha256": photo.sha256.hex(), "size": size, "format": photo.format, "taken_at": photo.taken_at}


def _box_row(box: Box) -> list[int]:
    return [box.x, box.y, box.w, box.h]


# --- reading ---


def read(file: BinaryIO, name: str) -> Carried:
    """Return what a file says; `name` is what errors call it.

    Raises:
        LibraryError: it is no such file, damaged, of a newer version, or larger than anything honest.
    """
    lines = _Lines(file)
    try:
        engine, n_dims = _header(next(iter(lines), {}))
        reading = _Reading(n_dims)
        for line in lines:
            reading.take(line)
    except _Fault as fault:
        again = "write it again with facewatch people export"
        raise LibraryError(f"{name}: line {max(lines.number, 1)}: {fault}; {again}") from None
    return Carried(engine["name"], engine["fingerprint"], n_dims, reading.people(), tuple(reading.apart))


class _Lines:
    """The lines of a file, one after the other."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0
        """Of the one that was read last."""
        self._n_bytes = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while line := self._file.readline(MOST_LINE + 1):
            self.number += 1
            self._n_bytes += len(line)
            if len(line) > MOST_LINE or self.number > MOST_LINES or self._n_bytes > MOST_BYTES:
                raise _Fault("longer than such files are")
            try:
                content = json.loads(line)
            except (ValueError, RecursionError):
                raise _Fault("is no line of a file of people") from None
            if not isinstance(content, dict):
                raise _Fault("is no line of a file of people")
            yield content


def _header(line: Mapping[str, Any]) -> tuple[Mapping[str, str], int]:
    if line.get("format") != FORMAT:
        raise _Fault("is not the beginning of a file of people")
    version = line.get("version")
    if version != VERSION:
        raise _Fault(f"version {str(version)[:20]}, of which this facewatch knows nothing: update it")
    engine = _mapping(line, "engine")
    n_dims = _whole(engine.get("n_dims"), 1, MOST_DIMS, "n_dims")
    return {key: _text(engine, key, 200) for key in ("name", "fingerprint")}, n_dims


class _Reading:
    """What was read so far."""

    def __init__(self, n_dims: int) -> None:
        self._n_dims = n_dims
        self._people: dict[str, CarriedPerson] = {}
        self._faces = defaultdict[str, list[CarriedFace]](list)
        self._rejected = defaultdict[str, list[CarriedPlace]](list)
        self._photos = defaultdict[str, list[CarriedPhoto]](list)
        self.apart: list[tuple[str, str]] = []

    def take(self, line: Mapping[str, Any]) -> None:
        match line.get("kind"):
            case "person":
                name, born = _name(line.get("name")), line.get("born")
                self._people[name_key(name)] = CarriedPerson(name, _born(born), line.get("is_hidden") is True)
            case "face":
                self._faces[self._key(line)].append(self._face(line))
            case "not":
                self._rejected[self._key(line)].append(CarriedPlace(_sha256(line), _box(line)))
            case "present":
                self._photos[self._key(line)].append(_photo(line))
            case "apart":
                names = line.get("names")
                if not isinstance(names, list) or len(names) != 2:
                    raise _Fault("two names are wanted")
                self.apart.append((_name(names[0]), _name(names[1])))
            case _:
                pass  # of a newer version that says more

    def people(self) -> tuple[CarriedPerson, ...]:
        return tuple(
            CarriedPerson(
                person.name,
                person.born,
                person.is_hidden,
                tuple(self._faces[key]),
                tuple(self._rejected[key]),
                tuple(self._photos[key]),
            )
            for key, person in self._people.items()
        )

    def _key(self, line: Mapping[str, Any]) -> str:
        key = name_key(_name(line.get("name")))
        if key not in self._people:
            raise _Fault("is about somebody who was not named before")
        return key

    def _face(self, line: Mapping[str, Any]) -> CarriedFace:
        box = _box(line)
        landmarks = line.get("landmarks")
        if not isinstance(landmarks, list) or len(landmarks) not in (0, 10):
            raise _Fault("landmarks: ten numbers are wanted")
        quality = Quality(
            sharpness=_number(line.get("sharpness"), "sharpness"),
            brightness=_number(line.get("brightness"), "brightness"),
            pixels=min(box.w, box.h),
            pose=_number(line.get("pose"), "pose"),
            score=_number(line.get("quality"), "quality", most=1.0),
            tier=_one_of(Tier, line.get("tier"), "tier"),
            norm=None if line.get("norm") is None else _number(line.get("norm"), "norm"),
            covered=_one_of(Covered, line.get("covered"), "covered"),
        )
        points = tuple(_number(value, "landmarks", least=-MOST_PIXELS) for value in landmarks)
        score = _number(line.get("score"), "score", least=-1e6)
        face = Face(box, points, score, quality, self._vector(line), line.get("is_drawn") is True)
        return CarriedFace(_photo(line), face, line.get("is_said") is True)

    def _vector(self, line: Mapping[str, Any]) -> Floats:
        try:
            data = base64.b64decode(_text(line, "vector", MOST_LINE), validate=True)
        except (binascii.Error, ValueError):
            raise _Fault("vector: no base64") from None
        if len(data) != 4 * self._n_dims:
            raise _Fault(f"vector: {self._n_dims} numbers are wanted")
        vector = np.frombuffer(data, "<f4").astype(np.float32)
        with np.errstate(all="ignore"):
            length = float(np.sqrt((vector.astype(np.float64) ** 2).sum()))
        if not abs(length - 1.0) <= NOT_UNIT:  # also where it is no number
            raise _Fault("vector: its length is not 1")
        return vector


def _mapping(line: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = line.get(key)
    if not isinstance(value, dict):
        raise _Fault(f"{key} is missing")
    return value


def _text(line: Mapping[str, Any], key: str, most: int) -> str:
    value = line.get(key)
    if not isinstance(value, str) or len(value) > most:
        raise _Fault(f"{key}: a text is wanted")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > MOST_LINE:
        raise _Fault("name: a text is wanted")
    try:
        return clean_name(value)
    except NotKnownError as error:
        raise _Fault(str(error)) from None


def _born(value: object) -> str | None:
    from facewatch.people.corrections import clean_date

    if value is None:
        return None
    try:
        return clean_date(str(value)[:20])
    except NotKnownError as error:
        raise _Fault(str(error)) from None


def _whole(value: object, least: int, most: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _Fault(f"{what}: a whole number from {least} to {most} is wanted")
    return value


def _number(value: object, what: str, *, least: float = 0.0, most: float = 1e9) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not least <= value <= most:  # type: ignore[arg-type, operator]
        raise _Fault(f"{what}: a number from {least:g} to {most:g} is wanted")
    return float(value)  # type: ignore[arg-type]


def _one_of(kind: Any, value: object, what: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise _Fault(f"{what}: one of {', '.join(map(str, kind))} is wanted") from None


def _sha256(line: Mapping[str, Any]) -> bytes:
    text = _text(line, "sha256", 64)
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise _Fault("sha256: 64 hexadecimal digits are wanted")
    return digest


def _box(line: Mapping[str, Any]) -> Box:
    value, turn = line.get("box"), line.get("turn", 0)
    if not isinstance(value, list) or len(value) != 4 or turn not in (0, 90, 180, 270):
        raise _Fault("box: four whole numbers are wanted")
    x, y = (_whole(one, -MOST_PIXELS, MOST_PIXELS, "box") for one in value[:2])
    w, h = (_whole(one, 1, MOST_PIXELS, "box") for one in value[2:])
    return Box(x, y, w, h, int(turn))


def _photo(line: Mapping[str, Any]) -> CarriedPhoto:
    photo = _mapping(line, "photo")
    size = photo.get("size")
    if not isinstance(size, list) or len(size) != 2:
        raise _Fault("size: width and height are wanted")
    width, height = (_whole(side, 1, MOST_PIXELS, "size") for side in size)
    taken_at = _text(photo, "taken_at", 19)
    if taken_at and not _TAKEN.fullmatch(taken_at):
        raise _Fault("taken_at: YYYY-MM-DDTHH:MM:SS is wanted")
    return CarriedPhoto(_sha256(photo), width, height, _text(photo, "format", 20), taken_at)
