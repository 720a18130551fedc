"""The one error tree; `cli.main` turns it into text and exit codes.

FacewatchError (1)
├── ConfigError (3)           the settings, with every fault found
├── LibraryError (4)          the photo library is not there or cannot be read
├── CatalogError (5)          the catalog is damaged, newer than the program, or in a place it cannot live
│   ├── DiskFullError (5)     no room for the catalog
│   ├── DiskFaultError (5)    the catalog's disk failed to read or write
│   └── BusyError (6)         another facewatch process is using this catalog
├── EngineError (7)           a model cannot be loaded or gave nonsense
├── QueryError (2)            the words of a search that are not understood
├── WebError (1)              the page cannot be served
├── FolderError (8)           the people folder cannot be written, or cannot hold links
├── PublishError (11)         the database for readers does not answer, or cannot hold a copy
├── NotKnownError (9)         a person, face or photo that nobody knows, or a name that fits several
├── DecisionError (10)        a decision that contradicts another, or that cannot be taken back
│   └── OutdatedError (10)    what was shown and is to be done does not hold any more
├── RegionsError              metadata about faces that cannot be used: told of its file, never leaves the program
└── PhotoError                one bad photo: recorded in the catalog, never leaves the program

Exit code 2 is also click's, for a command line it does not understand; 130 is Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class FacewatchError(Exception):
    """Something the user has to fix; the message names the thing, what is wrong, and the next step."""

    exit_code = 1

    def __init__(self, message: str = "", *, on_page: str = "") -> None:
        super().__init__(message)
        self.on_page = on_page or message
        """The same for somebody who sees a page and types no commands."""


def n_problems(faults: Sequence[str]) -> str:
    return "1 problem" if len(faults) == 1 else f"{len(faults)} problems"


class ConfigError(FacewatchError):
    """The settings cannot be used; `faults` holds all of them, one sentence each."""

    exit_code = 3

    def __init__(self, source: str, faults: list[str]) -> None:
        self.source = source
        self.faults = faults
        super().__init__("\n".join([f"{source}: {n_problems(faults)}", *(f"- {fault}" for fault in faults)]))


class LibraryError(FacewatchError):
    """The photo library does not exist, is offline, or cannot be read; `reason` says why, without its path."""

    exit_code = 4

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


class CatalogError(FacewatchError):
    """The catalog is damaged, made by a newer facewatch, full, or on a file system that SQLite cannot use."""

    exit_code = 5


class DiskFullError(CatalogError):
    """The disk of the catalog is full; what was being written was not, all else stands."""


class DiskFaultError(CatalogError):
    """The disk of the catalog failed to read or write; what was being written was not, all else stands."""


class BusyError(CatalogError):
    """Another process holds the catalog: facewatch, or a program that has it open for writing."""

    exit_code = 6


class EngineError(FacewatchError):
    """An engine is unknown, its model files cannot be used, or a model gave nonsense."""

    exit_code = 7


class WebError(FacewatchError):
    """The page cannot be served: its address is taken, or is none of this machine's."""


class FolderError(FacewatchError):
    """The people folder cannot be written or cannot hold the wanted kind of link."""

    exit_code = 8


class PublishError(FacewatchError):
    """The copy for readers cannot be made, renewed or dropped; the message names the server, never a password."""

    exit_code = 11


class NotKnownError(FacewatchError):
    """No person, face or photo of that name, or more than one."""

    exit_code = 9


class QueryError(FacewatchError):
    """The words of a search are not understood; the message says which, and what they may be."""

    exit_code = 2


class DecisionError(FacewatchError):
    """A decision contradicts itself or another one, or cannot be taken back; nothing was changed."""

    exit_code = 10


class OutdatedError(DecisionError):
    """What was shown, and is to be done as it was shown, does not hold any more; nothing was changed."""


class RegionsError(FacewatchError):
    """The metadata of one file cannot be used; the message never names the file: who reads it does."""


class FaultCode(StrEnum):
    """What is wrong with a file that cannot be used, as the catalog stores it."""

    UNREADABLE = "unreadable"
    EMPTY = "empty"
    NOT_IMAGE = "not-image"
    UNSUPPORTED = "unsupported"
    RARE = "rare"
    RARE_OR_DAMAGED = "rare-or-damaged"
    UNKNOWN_RAW = "unknown-raw"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    TOO_MANY_PIXELS = "too-many-pixels"
    TOO_MANY_FOR_KIND = "too-many-for-kind"
    TOO_LARGE = "too-large"
    NO_MEMORY_TO_DECODE = "no-memory-to-decode"
    NO_MEMORY_TO_DETECT = "no-memory-to-detect"
    NO_MEMORY = "no-memory"
    NEEDS_MEMORY = "needs-memory"
    TAKES_MEMORY = "takes-memory"
    TAKES_LONG = "takes-long"
    CRASHES = "crashes"
    KILLED = "killed"
    DETECTOR_FAILED = "detector-failed"
    NO_EMBEDDING = "no-embedding"
    FAILED = "failed"
    OTHER = "other"
    """Recorded by an older version in words that this one does not know."""

    @property
    def is_momentary(self) -> bool:
        """Whether it says more about the machine at that moment than about photo and settings: each scan tries such a
        photo again. (Limits that it exceeds are settings; when those change, it is analysed again.)"""
        return self in (self.KILLED, self.NO_MEMORY, self.NO_MEMORY_TO_DECODE, self.NO_MEMORY_TO_DETECT)


COPY_AGAIN = "copy it again from the camera or a backup"
EXPORT = "export it as JPEG"
_MORE_MEMORY = "raise resources.memory_mb (or the container's limit)"
_NEXT_SCAN = "close other programs or lower engine.workers; the next scan tries it again"
_GENUINE = "if the photo is genuine, or exclude it"


@dataclass(frozen=True, slots=True)
class _Sentences:
    """What is said of a fault."""

    cause: str
    advice: str = ""
    details: str = ""
    """What differs from file to file; follows the cause."""
    text: str = ""
    """The whole fault, where it is not the cause and the details."""


_SENTENCES: Mapping[FaultCode, _Sentences] = MappingProxyType(
    {
        FaultCode.UNREADABLE: _Sentences("cannot be read", "make it readable, then scan again", ": {reason}"),
        FaultCode.EMPTY: _Sentences("empty file", COPY_AGAIN),
        FaultCode.NOT_IMAGE: _Sentences("not an image but {about}"),
        FaultCode.UNSUPPORTED: _Sentences("{about} is not supported"),
        FaultCode.RARE: _Sentences("a {about} of a rare kind that is not supported", EXPORT, " ({reason})"),
        FaultCode.RARE_OR_DAMAGED: _Sentences(
            "a {about} of a rare kind that is not supported, or damaged", EXPORT, " ({reason})"
        ),
        FaultCode.UNKNOWN_RAW: _Sentences("a RAW photo of an unknown kind, or damaged", "keep a JPEG beside it"),
        FaultCode.TRUNCATED: _Sentences("truncated {about}", COPY_AGAIN),
        FaultCode.DAMAGED: _Sentences("damaged {about}", COPY_AGAIN, " ({reason})"),
        FaultCode.TOO_MANY_PIXELS: _Sentences(
            "too many pixels",
            "raise max_megapixels if the photo is genuine",
            ": {width} x {height} is {n_pixels}, the cap is {cap}",
        ),
        FaultCode.TOO_MANY_FOR_KIND: _Sentences("too many pixels for a {about}", EXPORT),
        FaultCode.TOO_LARGE: _Sentences(
            "too large for a photo", "exclude it; or raise library.max_megapixels if it is genuine", ": {size}"
        ),
        FaultCode.NO_MEMORY_TO_DECODE: _Sentences(
            "not enough memory to decode this {about}", "lower max_megapixels or workers"
        ),
        FaultCode.NO_MEMORY_TO_DETECT: _Sentences("not enough memory to look for faces in it", _NEXT_SCAN),
        FaultCode.NO_MEMORY: _Sentences("not enough memory to analyse it", _NEXT_SCAN),
        FaultCode.NEEDS_MEMORY: _Sentences(
            "needs more memory to be decoded than there is for it",
            f"{_MORE_MEMORY}; or lower library.max_megapixels, so that it counts as too large",
            text="needs about {needed} of memory to be decoded, and there are {there} for it",
        ),
        FaultCode.TAKES_MEMORY: _Sentences(
            "takes too much memory", f"{_MORE_MEMORY} {_GENUINE}", text="takes more than {size} of memory"
        ),
        FaultCode.TAKES_LONG: _Sentences("takes longer than {about}", f"raise resources.photo_seconds {_GENUINE}"),
        FaultCode.CRASHES: _Sentences(
            "crashes the decoder or the detector", "open and save it again with another program", " ({reason})"
        ),
        FaultCode.KILLED: _Sentences(
            "a worker was killed, perhaps because memory was short",
            _NEXT_SCAN,
            text="a worker was killed ({reason}), perhaps because memory was short",
        ),
        FaultCode.DETECTOR_FAILED: _Sentences(
            "the detector failed on it", "save it again, or exclude it", ": {reason}"
        ),
        FaultCode.NO_EMBEDDING: _Sentences("{about} gave no usable embedding", details="{reason}"),
        FaultCode.FAILED: _Sentences("facewatch failed on it", "exclude it, and report this", ": {reason}"),
        FaultCode.OTHER: _Sentences("{about}"),
    }
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file, and what to do about it."""

    code: FaultCode
    text: str
    advice: str
    about: str = ""
    """What the cause names besides its code: a kind of file, an engine, a limit."""

    @classmethod
    def of(cls, code: FaultCode, about: str = "", *, advice: str = "", **details: object) -> Fault:
        """Make the sentences; `advice` where the code alone does not say what to do."""
        words = _SENTENCES[code]
        text = (words.text or words.cause + words.details).format(about=about, **details)
        return cls(code, text, advice or words.advice, about)

    @property
    def cause(self) -> str:
        """The fault without what differs from file to file."""
        return _SENTENCES[self.code].cause.format(about=self.about)


class PhotoError(FacewatchError):
    """One photo cannot be used."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(f"{fault.text} ({fault.advice})")
