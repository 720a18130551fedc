"""The one error tree; `cli.main` turns it into text and exit codes.

FacewatchError (1)
├── ConfigError (3)           the settings, with every fault found
├── LibraryError (4)          the photo library is not there or cannot be read
├── CatalogError (5)          the catalog is damaged, newer than the program, or in a place it cannot live
│   ├── DiskFullError (5)     no room for the catalog
│   ├── DiskFaultError (5)    the catalog's disk failed to read or write
│   └── BusyError (6)         another facewatch process is at work on this catalog
├── EngineError (7)           a model cannot be loaded or gave nonsense
├── FolderError (8)           the people folder cannot be written, or cannot hold links
├── NotKnownError (9)         a person, face or photo that nobody knows, or a name that fits several
├── DecisionError (10)        a decision that contradicts another, or that cannot be taken back
└── PhotoError                one bad photo: recorded in the catalog, never leaves the program

Exit code 2 is click's, for a command line it does not understand; 130 is Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Sequence


class FacewatchError(Exception):
    """Something the user has to mend; the message names the thing, what is wrong, and the next step."""

    exit_code = 1


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
    """The photo library does not exist, is offline, or cannot be read."""

    exit_code = 4


class CatalogError(FacewatchError):
    """The catalog is damaged, made by a newer facewatch, full, or in a place where it cannot live."""

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


class FolderError(FacewatchError):
    """The people folder cannot be written or cannot hold the wanted kind of link."""

    exit_code = 8


class NotKnownError(FacewatchError):
    """No person, face or photo of that name, or more than one."""

    exit_code = 9


class DecisionError(FacewatchError):
    """A decision contradicts itself or another one, or cannot be taken back; nothing was changed."""

    exit_code = 10


class PhotoError(FacewatchError):
    """One photo cannot be used. `fault` says what is wrong with it, `advice` what to do."""

    def __init__(self, fault: str, advice: str) -> None:
        self.fault = fault
        self.advice = advice
        super().__init__(f"{fault} ({advice})")
