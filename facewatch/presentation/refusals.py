"""What is answered to who may not ask the page for something, or asks for what is not there."""

from __future__ import annotations

FOREIGN_NAME = "this page is not reached by that name; the setting web.hosts can allow it"
FOREIGN_USER = "another user of this machine started this page; it can be shared by a token"
FOREIGN_SITE = "another site may not ask this page for anything"
WRONG_TOKENS = "too many wrong tokens; wait a minute"
NEEDS_TOKEN = "the token is wanted; `facewatch web --new-token` prints one"
NOT_UNDERSTOOD = "the request is not understood"
FAILED = "facewatch failed on this; the log says why"
NO_PICTURE = "there is no such picture"
NO_FACE = "there is no such face any more"
NO_BODY = "there is no photo in the request; send its bytes as the body"


def too_large(most_bytes: int) -> str:
    return f"at most {most_bytes // 1_000_000} MB can be sent here"
