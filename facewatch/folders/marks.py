"""JPEGs that say themselves that facewatch made them: in a comment, with what they show and what the rest of them was.

So they need no record, and what somebody else put in their place, or made of them, is known from them.
"""

from __future__ import annotations

import hashlib

HEAD_BYTES = 256
"""The comment is in these."""

FACE_KEY = "face-"
"""What the keys of faces begin with that stand for photos, before the id of the face or 0; those of covers begin
otherwise."""

_MARK = b"facewatch:"
_COMMENT = b"\xff\xfe"


def marked(jpeg: bytes, key: str) -> bytes:
    """Return a JPEG with a comment that holds a key, of letters, digits and "-": what it shows."""
    at, text = _start(jpeg), _MARK + f"{key}:{_digest(jpeg)}".encode("ascii")
    return jpeg[:at] + _COMMENT + (len(text) + 2).to_bytes(2, "big") + text + jpeg[at:]


def key_of(head: bytes) -> str | None:
    """Return the key in the beginning of a file; None: facewatch did not make it."""
    at = _start(head)
    text = head[at + 4 : _end(head, at)]
    if head[at : at + 2] != _COMMENT or not text.startswith(_MARK) or text.count(b":") != 2:
        return None
    return text.split(b":")[1].decode("ascii", "replace")


def is_as_made(data: bytes) -> bool:
    """Whether a file is what facewatch made, to the last byte."""
    at = _start(data)
    end = _end(data, at)
    return key_of(data) is not None and data[at + 4 : end].endswith(f":{_digest(data[:at] + data[end:])}".encode())


def _start(jpeg: bytes) -> int:
    """Return where the comment is: behind the segment that has to come first."""
    return 4 + int.from_bytes(jpeg[4:6], "big") if jpeg[2:4] == b"\xff\xe0" else 2


def _end(jpeg: bytes, at: int) -> int:
    return at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")


def _digest(jpeg: bytes) -> str:
    return hashlib.sha256(jpeg).hexdigest()[:16]
