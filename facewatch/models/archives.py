"""Models out of zip archives. Only names at the end of a member's path count, so nothing is written elsewhere."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from facewatch.errors import EngineError
from facewatch.models.graphs import is_model
from facewatch.models.packs import differs
from facewatch.models.placing import copy_hashed
from facewatch.models.registry import KnownPack


def unpack_known(archive: Path, pack: KnownPack, folder: Path) -> None:
    """Write the two files of a known pack into a folder, and nothing else of the archive.

    Raises:
        EngineError: it is no whole zip archive, or a file is not in it or not the one that is known.
        OSError: a file cannot be read or written.
    """
    with _opened(archive) as content:
        for file in pack.files:
            member = next((m for m in content.infolist() if _base_name(m) == file.name), None)
            if member is None:
                raise EngineError(f"there is no {file.name} in it")
            if member.file_size != file.size:
                raise EngineError(f"{file.name} has {member.file_size} bytes instead of {file.size}")
            with content.open(member) as source:
                found = copy_hashed(source, folder / file.name)
            if found.sha256 != file.sha256:
                raise EngineError(f"{file.name} is another one ({differs(found.sha256, file.sha256)})")


def unpack_models(archive: Path, folder: Path) -> None:
    """Write every ONNX file of an archive into a folder.

    Raises:
        EngineError: it is no whole zip archive, or two files in it have the same name.
        OSError: a file cannot be read or written.
    """
    with _opened(archive) as content:
        for member in _models(content):
            if (folder / _base_name(member)).exists():
                raise EngineError(
                    f"there are two files called {_base_name(member)} in it; unpack it, and name a folder"
                )
            with content.open(member) as source:
                copy_hashed(source, folder / _base_name(member))


def models_size(archive: Path) -> int:
    """Return how many bytes the ONNX files of an archive have when they are unpacked."""
    with _opened(archive) as content:
        return sum(member.file_size for member in _models(content))


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as content:
            yield content
    # zipfile says RuntimeError to a password and NotImplementedError to a compression that it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise EngineError(f"it is no whole zip archive ({error})") from error


def _models(content: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [member for member in content.infolist() if is_model(Path(_base_name(member)))]


def _base_name(member: zipfile.ZipInfo) -> str:
    return "" if member.is_dir() else PurePosixPath(member.filename).name
