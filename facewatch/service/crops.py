"""Faces cut out of their photos, and a folder that keeps them.

cut_faces   photo, boxes -> pictures        decodes the photo once
Crops       face -> path of a JPEG          kept beside the catalog; may be deleted at any time
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facewatch import decode
from facewatch.errors import PhotoError
from facewatch.types import Box, Decoded

SIDE = 192
"""Pixels of a kept crop: six lines of text on an ordinary screen take 96, on a fine one twice that."""

MARGIN = 0.3
"""How much is shown around a face on each side, as a share of it: hair and chin help the eye."""

MOST = 2000
"""How many crops are kept: about 20 MB."""

MAX_WORKING_SIDE = 4000
"""Pixels; small faces of a 12 megapixel photo keep all of theirs, and none needs more than 50 MB."""

_OVERSAMPLED = 1.5
"""A face is decoded at least this much larger than it is wanted, where the photo has it, and then reduced."""


def cut_faces(
    file: Path, boxes: Sequence[Box], *, side: int = SIDE, max_pixels: int = decode.MAX_PIXELS
) -> list[NDArray[np.uint8] | None]:
    """Return a square picture of each face of a photo, decoding it once and no larger than they need.

    Args:
        file: the photo.
        boxes: the faces, in pixels of the upright photo at full size.
        side: of the pictures, in pixels.
        max_pixels: a photo with a larger width times height is not decoded.

    Returns:
        RGB uint8, shape (side, side, 3), in the order of `boxes`; None where the face lies outside the photo, and for
        all when it is gone or cannot be read.
    """
    if not boxes:
        return []
    try:
        with file.open("rb") as data:
            photo = decode.peek(data, max_pixels=max_pixels)
            working_side = _working_side(max(photo.width, photo.height), boxes, side)
            decoded = decode.decode(data, max_pixels=max_pixels, working_side=working_side)
    except (OSError, PhotoError):
        return [None] * len(boxes)
    return [cut(decoded, box, side) if _is_within(box, decoded) else None for box in boxes]


def cut(decoded: Decoded, box: Box, side: int) -> NDArray[np.uint8]:
    """Return a face with a margin, RGB uint8, shape (side, side, 3); beyond the photo's edge it is black.

    A photo that is nothing but the face is shown without a margin.
    """
    height, width = decoded.pixels.shape[:2]
    scale = width / decoded.width
    # No more than shows all of the photo, wherever the face is: boxes are not always this program's own.
    length = min(max(1, round(_length(box, decoded) * scale)), 2 * max(width, height))
    left = round((box.x + box.w / 2) * scale - length / 2)
    top = round((box.y + box.h / 2) * scale - length / 2)
    window = np.zeros((length, length, 3), np.uint8)
    x0, x1 = (min(max(x, 0), width) for x in (left, left + length))
    y0, y1 = (min(max(y, 0), height) for y in (top, top + length))
    window[y0 - top : y1 - top, x0 - left : x1 - left] = decoded.pixels[y0:y1, x0:x1]
    picture = Image.fromarray(window).resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture, dtype=np.uint8)


def as_jpeg(pixels: NDArray[np.uint8], *, quality: int = 85) -> bytes:
    """Return an RGB picture, uint8, shape (H, W, 3), as JPEG."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, format="JPEG", quality=quality)
    return target.getvalue()


def _length(box: Box, decoded: Decoded) -> float:
    """The side of the square that is shown of a face, in pixels of the full-size photo."""
    longer = max(box.w, box.h, 1)
    is_all = box.x <= 0 and box.y <= 0 and box.x + box.w >= decoded.width and box.y + box.h >= decoded.height
    return longer if is_all else longer * (1 + 2 * MARGIN)


def _is_within(box: Box, decoded: Decoded) -> bool:
    return box.x < decoded.width and box.y < decoded.height and box.x + max(box.w, 1) > 0 and box.y + max(box.h, 1) > 0


def _working_side(longer: int, boxes: Sequence[Box], side: int) -> int:
    """How large a photo has to be decoded for its smallest face; a JPEG is quicker to decode small."""
    smallest = min(max(box.w, box.h, 1) for box in boxes)
    scale = _OVERSAMPLED * side / (smallest * (1 + 2 * MARGIN))
    return max(1, min(math.ceil(longer * scale), longer, MAX_WORKING_SIDE))


class Crops:
    """Faces as JPEG files in a private folder beside the catalog.

    The folder holds nothing that cannot be made again from the photos. Where it cannot be written the crops lie in a
    temporary folder, which `close` removes.
    """

    def __init__(
        self,
        catalog: Path,
        *,
        max_pixels: int = decode.MAX_PIXELS,
        most: int = MOST,
        make_temporary: Callable[[], str] = lambda: tempfile.mkdtemp(prefix="facewatch-crops-"),
    ) -> None:
        """`make_temporary` returns a new folder that only this user can read, or raises OSError."""
        self.folder = catalog.with_name(catalog.name + ".crops")
        self._max_pixels = max_pixels
        self._most = most
        self._make_temporary = make_temporary
        self._temporary: Path | None = None

    def __enter__(self) -> Crops:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary folder, if one had to be made."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def path_of(self, face_id: int, file: Path, box: Box) -> Path | None:
        """Return a JPEG of a face; None when there is none and none can be made."""
        return self.paths_of(file, {face_id: box})[face_id]

    def forget(self, faces: Iterable[int]) -> None:
        """Remove the crops of these faces."""
        gone = {str(face_id) for face_id in faces}
        for crop in self.folder.glob("*.jpg"):
            if crop.name.partition("-")[0] in gone:
                crop.unlink(missing_ok=True)

    def paths_of(self, file: Path, boxes: Mapping[int, Box]) -> dict[int, Path | None]:
        """Return a JPEG of each face (by its id) of one photo, which is decoded once, and only for those not kept.

        A kept crop serves while the photo is away. None: there is none and none can be made.
        """
        names = {face_id: _name(face_id, file, box) for face_id, box in boxes.items()}
        paths = {face_id: self._kept(name) for face_id, name in names.items()}
        absent = [face_id for face_id, path in paths.items() if path is None]
        pictures = cut_faces(file, [boxes[face_id] for face_id in absent], max_pixels=self._max_pixels)
        for face_id, picture in zip(absent, pictures, strict=True):
            if picture is not None:
                paths[face_id] = self._keep(names[face_id], as_jpeg(picture))
        if any(picture is not None for picture in pictures):
            self._prune(set(names.values()))
        return paths

    def _folders(self) -> list[Path]:
        return [self.folder] if self._temporary is None else [self.folder, self._temporary]

    def _kept(self, name: str) -> Path | None:
        return next((folder / name for folder in self._folders() if _has_content(folder / name)), None)

    def _keep(self, name: str, jpeg: bytes) -> Path | None:
        for folder in (self._beside, self._elsewhere):
            with contextlib.suppress(OSError):
                return _write(folder() / name, jpeg)
        return None

    def _beside(self) -> Path:
        """The folder beside the catalog, made if need be.

        Raises:
            OSError: it cannot be made, or somebody else's or a link is in its place.
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)
        status = self.folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise PermissionError(f"{self.folder}: not a folder of our own")
        if stat.S_IMODE(status.st_mode) != 0o700:
            self.folder.chmod(0o700)
        return self.folder

    def _elsewhere(self) -> Path:
        if self._temporary is None or not self._temporary.is_dir():
            self._temporary = Path(self._make_temporary())
        return self._temporary

    def _prune(self, spared: Collection[str]) -> None:
        """Delete what was made longest ago and is too much, but none of `spared`: somebody is about to look at them."""
        for folder in self._folders():
            for path in _by_age(folder)[: -self._most or None]:
                if path.name not in spared:
                    with contextlib.suppress(OSError):
                        path.unlink()


def _name(face_id: int, file: Path, box: Box) -> str:
    """The name of a crop. Where the photo is belongs to it: a new catalog counts its faces from 1 again."""
    place = hashlib.sha256(os.fsencode(file)).hexdigest()[:12]
    return f"{face_id}-{box.x}-{box.y}-{box.w}-{box.h}-{place}.jpg"


def _has_content(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


def _write(path: Path, content: bytes) -> Path:
    """Write a file that only its owner can read; it appears with all its content or not at all."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as target:
            target.write(content)
        return Path(part).replace(path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def _by_age(folder: Path) -> list[Path]:
    """The files of a folder, oldest first; none when it is gone. Another process may delete meanwhile."""
    ages = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                ages.append((entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)))
    return [path for _, path in sorted(ages)]
