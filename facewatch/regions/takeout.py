"""The JSON that Google Takeout puts beside each photo -> who is in it; where they are it does not say."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any

from facewatch.errors import RegionsError
from facewatch.regions.model import PhotoRegions, Place
from facewatch.regions.xmp import MAX_NAME, MAX_REGIONS
from facewatch.text import whole_text

MOST_BYTES = 1_048_576
"""Of one file; they have some hundred to some thousand."""

LONGEST = 46
"""Characters of a file's name before ".json", behind which Google cuts it off."""

_SUPPLEMENTAL = ".supplemental-metadata"
_NUMBERED = re.compile(r"(.+)(\(\d+\))", re.DOTALL)
_EDITED = ("-edited", "-bearbeitet", "-modifié", "-editado", "-ha editado", "-modificato", "-bewerkt", "-redigerad")
"""What an edited copy is called behind the name of its photo, by the language of the account."""


def read(data: bytes) -> PhotoRegions:
    """Return whom a file of Google Takeout names; nobody where it is another kind of JSON.

    Raises:
        RegionsError: it is damaged, or larger than anything honest.
    """
    if len(data) > MOST_BYTES:
        raise RegionsError(f"more than {MOST_BYTES // 1_048_576} MB of JSON about one photo")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RegionsError(f"damaged JSON ({str(error)[:120]})") from error
    names = tuple(dict.fromkeys(_names(content)))
    if len(names) > MAX_REGIONS:
        raise RegionsError(f"more than {MAX_REGIONS} people in one photo")
    return PhotoRegions(keywords=MappingProxyType({Place.PERSON_IN_IMAGE: names} if names else {}))


def _names(content: Any) -> list[str]:
    people = content.get("people") if isinstance(content, Mapping) else None
    said = [one.get("name") for one in people if isinstance(one, Mapping)] if isinstance(people, list) else []
    names = [name.strip()[:MAX_NAME] for name in said if isinstance(name, str) and name.strip()]
    # JSON can spell half a character, which no name has, and no database takes.
    return [name for name in names if name == whole_text(name)]


def files_of(photos: Collection[str], files: Collection[str]) -> dict[str, str]:
    """Return which file of a folder is about which photo there, both by their names; some photos have none."""
    known = {name.casefold(): name for name in files}
    found = {}
    for photo in photos:
        wanted = chain(_names_of_files(photo), (name for one in _originals(photo) for name in _names_of_files(one)))
        file = next((known[name.casefold()] for name in wanted if name.casefold() in known), None)
        if file is not None:
            found[photo] = file
    return found


def _names_of_files(photo: str) -> Iterator[str]:
    """What the file about a photo may be called: today, until 2024, and as each is for IMG_1(2).JPG."""
    for name in _cut(photo):
        yield f"{name}.json"
    stem, dot, ending = photo.rpartition(".")
    numbered = _NUMBERED.fullmatch(stem)
    if numbered is not None:
        # The number moves behind the ending, and is never cut off.
        for name in _cut(f"{numbered[1]}{dot}{ending}"):
            yield f"{name}{numbered[2]}.json"


def _cut(photo: str) -> Iterator[str]:
    """The likeliest first: where it is cut off has changed before."""
    whole = f"{photo}{_SUPPLEMENTAL}"
    yield from (whole[:LONGEST], photo, photo[:LONGEST])
    yield from (whole[:n] for n in range(len(whole), len(photo) + 1, -1))


def _originals(photo: str) -> Iterator[str]:
    """Yield the photo of which this is an edited copy, by its name, where it is one."""
    stem, dot, ending = photo.rpartition(".")
    numbered = _NUMBERED.fullmatch(stem)
    stem, number = (numbered[1], numbered[2]) if numbered else (stem, "")
    suffix = next((suffix for suffix in _EDITED if stem.casefold().endswith(suffix)), "")
    if suffix:
        yield f"{stem[: len(stem) - len(suffix)]}{number}{dot}{ending}"
