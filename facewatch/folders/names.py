"""Names for folders and links that every file system takes."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from itertools import count, islice

from facewatch.ids import label_of
from facewatch.text import is_harmless

UNNAMED = "_unnamed"
MARKER = ".facewatch"
"""The file that says whose people folder this is."""
SHEET = "Everybody.html"
"""A page with a face of everybody, of facewatch itself; in view, because browsers in a sandbox see no hidden files."""
PART = ".facewatch.part"
"""A copy that is still being written; in the people folder itself, so that one place needs tidying after a crash."""

N_CANDIDATES = 4
"""How many of a person's possible folder names are looked into."""

_MAX_BYTES = 255
"""Longest name on ext4, APFS and btrfs; NTFS and exFAT allow 255 UTF-16 units, which is never less."""
_SUFFIX_BYTES = 60
"""Longest folder name that goes into a link's suffix, and longest extension that is kept when a name is cut."""
_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_JOINERS = "\u200c\u200d"
"""Persian names and many emoji are spelt with them."""
_UNSEEN = _SPACES + _JOINERS
"""Not at the ends of a name."""
_FORBIDDEN = frozenset('/\\:*?"<>|')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)", re.IGNORECASE)


def safe_name(name: str) -> str:
    """Return the name as one path component that Linux, macOS, Windows and exFAT all take; doing it twice is the same.

    At most 255 bytes of UTF-8, never empty, hidden, ".", ".." or a device; an extension survives the cut.
    """
    clean = unicodedata.normalize("NFC", "".join(map(_safe_character, name))).strip(_UNSEEN)
    clean = re.sub(r"^\.+", "_", clean).rstrip(_UNSEEN + ".")
    return _with_suffix(f"_{clean}" if _RESERVED.match(clean) else clean or "_", "")


@functools.lru_cache(maxsize=4096)
def _safe_character(character: str) -> str:
    """Return what stands for the character: "_" for an unsafe one, nothing for a mark that could fake a name unseen."""
    category = unicodedata.category(character)
    if category == "Cf":
        return character if character in _JOINERS else ""
    return "_" if character in _FORBIDDEN or category in {"Cc", "Cs", "Zl", "Zp"} else character


def _with_suffix(name: str, suffix: str) -> str:
    """Return the name with the suffix before its extension, the stem cut so that it all fits."""
    stem, extension = os.path.splitext(name)
    if len(extension.encode()) > _SUFFIX_BYTES:
        stem, extension = name, ""
    tail = suffix + extension
    return _cut(stem, _MAX_BYTES - len(tail.encode())) + tail


def _cut(text: str, n_bytes: int) -> str:
    """Return the beginning of a text in whole characters; one that fits is not changed."""
    data = text.encode()
    return text if len(data) <= n_bytes else data[:n_bytes].decode(errors="ignore").rstrip(_UNSEEN + ".")


def name_key(name: str) -> str:
    """Return what two names share on a disk that ignores case and Unicode composition."""
    return unicodedata.normalize("NFC", name.casefold())


def folder_names(person_id: int, name: str | None) -> Iterator[str]:
    """Yield the folders that would do for a person (None: not named yet), best first, without end."""
    base = f"{UNNAMED}/{label_of(person_id)}" if name is None else safe_name(name)
    short = _cut(base, _MAX_BYTES - 12 - len(str(person_id)))
    yield base
    yield f"{short} ({person_id})"
    for n in count(2):
        yield f"{short} ({person_id}.{n})"


def fits_folder(person_id: int, name: str | None, folder: str) -> bool:
    """Whether a person of this name may have its links in this folder."""
    return folder in islice(folder_names(person_id, name), N_CANDIDATES)


def link_names(source: str) -> Iterator[str]:
    """Yield the names that would do for a link to the file, best first, without end."""
    head, name = os.path.split(source)
    base = safe_name(name)
    yield base
    yield _with_suffix(base, f" ({_cut(safe_name(os.path.basename(head)), _SUFFIX_BYTES)})")
    for n in count():
        digest = hashlib.sha256(os.fsencode(source) + b"\0%d" % n).hexdigest()
        yield _with_suffix(base, f" ({digest[:8]})")


def temporary_folder(person_id: int) -> str:
    """Return where a person's folder waits while others move round in a circle."""
    return f"{MARKER}-{person_id}"


def printable(text: str) -> str:
    return "".join(c if is_harmless(c) else c.encode("unicode_escape").decode() for c in text)
