"""What exiv2, exiftool and Exempi read in XMP: other people's code, which has the last word."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from browsers import lacks

PACKAGES = {"exiv2": "exiv2", "exiftool": "libimage-exiftool-perl", "exempi": "exempi"}
"""Programs, and Debian's packages of them."""


def run(program: str, *arguments: str | Path) -> str:
    """Return what a program writes."""
    if shutil.which(program) is None:
        lacks(f"needs {program} (Debian: apt install {PACKAGES[program]})")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=True).stdout


Rectangles = dict[str, tuple[float, float, float, float]]
"""Of named faces: x, y, w, h with the corner, in fractions."""


def cornered(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    return x - w / 2, y - h / 2, w, h


def properties(path: Path) -> dict[str, Any]:
    """Return everything that exiftool finds, structured."""
    [found] = json.loads(run("exiftool", "-struct", "-json", "-G1", "-XMP:all", path))
    return {key: value for key, value in found.items() if key not in ("SourceFile", "XMP-x:XMPToolkit")}


def by_exiftool(path: Path) -> tuple[Rectangles, Rectangles]:
    """Return the rectangles of both schemes, MWG's first."""
    found = properties(path)
    mwg = {
        str(r["Name"]): cornered(*(float(r["Area"][key]) for key in "XYWH"))
        for r in found["XMP-mwg-rs:RegionInfo"]["RegionList"]
        if r["Type"] == "Face"
    }
    microsoft = {str(r["PersonDisplayName"]): numbers(r["Rectangle"]) for r in found["XMP-MP:RegionInfoMP"]["Regions"]}
    return mwg, microsoft


def numbers(text: str) -> tuple[float, float, float, float]:
    x, y, w, h = map(float, text.split(","))
    return x, y, w, h


def by_exiv2(path: Path) -> tuple[Rectangles, Rectangles]:
    values = dict(re.findall(r"^(\S+) +(.*)$", run("exiv2", "-PXkt", path), re.MULTILINE))
    mwg, microsoft = {}, {}
    for key, name in values.items():
        if key.endswith("/mwg-rs:Name") and values[key.replace(":Name", ":Type")] == "Face":
            area = key.replace(":Name", ":Area/stArea:")
            mwg[name] = cornered(*(float(values[area + field]) for field in "xywh"))
        if key.endswith("/MPReg:PersonDisplayName"):
            microsoft[name] = numbers(values[key.replace(":PersonDisplayName", ":Rectangle")])
    return mwg, microsoft
