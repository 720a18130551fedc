"""A known pack from the release page of insightface, when somebody asks for it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from facewatch.errors import EngineError
from facewatch.models.importing import unpack_known
from facewatch.models.packs import (
    ENGINE,
    REGISTRY,
    KnownPack,
    Pack,
    did_you_mean,
    find_pack,
    is_folder,
    megabytes,
    plain_name,
    sha256_of,
    verify,
    write_manifest,
)
from facewatch.models.placing import check_room, disk_errors, free_bytes, locked, put_in_place, scratch
from facewatch.types import Progress

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)


def fetch(
    name: str,
    folder: Path,
    report: Callable[[Progress], None],
    *,
    base_url: str | None = None,
    registry: Mapping[str, KnownPack] = REGISTRY,
    free: Callable[[Path], int] = free_bytes,
) -> Pack:
    """Return a known pack, downloaded where it is not whole; nothing is sent where it is.

    Every file is compared with the SHA-256 that facewatch knows. Stands in its place as a whole or not at all; what
    was downloaded before an interruption is kept, and the next call carries on there.

    Args:
        report: is called with the bytes so far.
        base_url: where the archive lies, instead of $FACEWATCH_MODELS_URL or insightface's release page.

    Raises:
        EngineError: the pack is not known, cannot be reached, is not what it should be, or does not fit on the disk.
    """
    pack = known_pack(name, registry)
    if is_whole(pack.name, folder, registry):
        return find_pack(pack.name, folder, registry=registry)
    with disk_errors(folder), locked(folder, pack.name, lambda: report(_waiting(pack))):
        # The one that was waited for may have brought it.
        if not is_whole(pack.name, folder, registry):
            try:
                _bring(pack, folder, report, base_url, free)
            except EngineError as error:
                raise EngineError(f"engine {ENGINE}{pack.name}: {error}") from error
    return find_pack(pack.name, folder, registry=registry)


def known_pack(name: str, registry: Mapping[str, KnownPack] = REGISTRY) -> KnownPack:
    """Return what is known of a pack.

    Raises:
        EngineError: nothing is.
    """
    name = plain_name(name)
    if name not in registry:
        raise EngineError(
            f"engine {ENGINE}{name}: only {', '.join(sorted(registry))} can be fetched"
            f"{did_you_mean(name, registry)}; "
            "`facewatch models import DIR` takes files that you have"
        )
    return registry[name]


def archive_address(name: str, base_url: str | None = None, *, registry: Mapping[str, KnownPack] = REGISTRY) -> str:
    """Return where the archive of a known pack is fetched from.

    Raises:
        EngineError: the pack is not known, or $FACEWATCH_MODELS_URL is no web address.
    """
    pack = known_pack(name, registry)
    base = base_url or os.environ.get("FACEWATCH_MODELS_URL") or _release_page()
    if not _is_web_address(base):
        raise EngineError(f"{base!r} is no web address; {ADDRESS_ADVICE}")
    return f"{base.rstrip('/')}/{pack.archive.name}"


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _release_page() -> str:
    # Before onnxruntime is imported, which insightface does: its wheels otherwise report their use.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    from insightface.utils.storage import MODEL_ZOO_RELEASE_DOWNLOAD_URL

    return str(MODEL_ZOO_RELEASE_DOWNLOAD_URL)


def is_whole(name: str, folder: Path, registry: Mapping[str, KnownPack] = REGISTRY) -> bool:
    """Whether a pack is there and undamaged; reads its files."""
    return is_folder(folder / name) and not verify(name, folder, registry=registry)


def _waiting(pack: KnownPack) -> Progress:
    return Progress(0, pack.archive.size, "another facewatch is at it")


def _bring(
    pack: KnownPack, folder: Path, report: Callable[[Progress], None], base_url: str | None, free: Callable[[Path], int]
) -> None:
    part = partial_file(folder, pack.archive.name)
    _download(pack, part, report, base_url, free)
    report(Progress(pack.archive.size, pack.archive.size, "unpacking"))
    with scratch(folder, pack.name) as place:
        built = place / pack.name
        built.mkdir()
        try:
            unpack_known(part, pack, built)
        except EngineError as error:
            discard(part)
            raise EngineError(
                f"what was downloaded is not {pack.archive.name}: {error}. It was removed; try again, or get the files "
                "elsewhere and `facewatch models import DIR`"
            ) from error
        write_manifest(built, pack)
        put_in_place(built, folder / pack.name)
    discard(part)


def _download(
    pack: KnownPack, part: Path, report: Callable[[Progress], None], base_url: str | None, free: Callable[[Path], int]
) -> None:
    """Bring the archive, unless all of it came before."""
    if _is_archive(part, pack):
        return
    check_room(part.parent, [max(0, pack.archive.size - _n_there(part)), pack.size], free)
    address = archive_address(pack.name, base_url, registry={pack.name: pack})
    download(address, part, report, size=pack.archive.size, note=pack.archive.name)
    if not _is_archive(part, pack):
        # Perhaps packed again; what it holds decides.
        log.warning("%s is not the archive that facewatch knows; its files are compared", address)


def _is_archive(part: Path, pack: KnownPack) -> bool:
    return _n_there(part) == pack.archive.size and sha256_of(part) == pack.archive.sha256


_CONNECT_SECONDS, _READ_SECONDS = 20.0, 60.0
_CHUNK = 1 << 18
"""Bytes between two reports: four a second where 1 MB a second comes in."""

ADDRESS_ADVICE = (
    "$FACEWATCH_MODELS_URL must name a mirror, for example https://example.org/models; without it the release page of "
    "insightface is asked"
)

_LATER = "try again later: what came is kept"


def partial_file(folder: Path, name: str) -> Path:
    """Return where a file is kept while it is on its way."""
    return folder / f".{name}.part"


def discard(part: Path) -> None:
    """Forget what came, so that the next try starts from the beginning."""
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _version_file(part: Path) -> Path:
    """The file that says which version of the server's file was begun."""
    return part.with_suffix(".version")


def download(address: str, part: Path, report: Callable[[Progress], None], *, size: int, note: str) -> None:
    """Bring the whole file behind an address into `part`, on top of what is there of it already.

    What is there is dropped where the server has another version of the file or a shorter one, or cannot begin in
    the middle. `size` in bytes is for servers that do not say theirs.

    Raises:
        EngineError: the server cannot be reached, does not have the file, or the connection was cut.
        OSError: the disk is full, or `part` cannot be written.
    """
    # Takes 0.2 s.
    import requests

    with requests.Session() as session:
        try:
            response = _answer(session, address, part)
        except requests.RequestException as error:
            raise EngineError(_why_unreachable(error, address)) from error
        with response:
            if response.status_code != requests.codes.range_not_satisfiable:
                _receive(response, part, lambda done, total: report(Progress(done, total or size, note)))


def _answer(session: requests.Session, address: str, part: Path) -> requests.Response:
    """Return the server's answer: from the middle (206), from the start (200), or that nothing is left (416)."""
    n_there = _n_there(part)
    headers = {"Accept-Encoding": "identity"}
    if n_there:
        headers["Range"] = f"bytes={n_there}-"
        if version := _read_version(part):
            headers["If-Range"] = version
    response = session.get(address, headers=headers, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS))
    if response.status_code == 200 or (n_there and _fits(response, part, n_there)):
        return response
    with response:
        if n_there and response.status_code in (206, 416):
            discard(part)
            return _answer(session, address, part)
        raise EngineError(_why_refused(response.status_code, address))


def _n_there(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _fits(response: requests.Response, part: Path, n_there: int) -> bool:
    """Whether an answer continues what is there, or says that it is all."""
    content_range = response.headers.get("Content-Range", "")
    if response.status_code == 416:
        return content_range == f"bytes */{n_there}"
    known, sent = _read_version(part), _version(response)
    is_same = not known or not sent or known == sent
    return response.status_code == 206 and is_same and content_range.startswith(f"bytes {n_there}-")


def _version(response: requests.Response) -> str:
    """Return what If-Range may name: a strong ETag, else the time of the last change."""
    tag: str = response.headers.get("ETag", "")
    modified: str = response.headers.get("Last-Modified", "")
    return tag if tag.startswith('"') else modified


def _read_version(part: Path) -> str:
    file = _version_file(part)
    return file.read_text(encoding="latin-1") if file.exists() else ""


def _receive(response: requests.Response, part: Path, report: Callable[[int, int], None]) -> None:
    import requests

    is_continued = response.status_code == 206
    n_there = _n_there(part) if is_continued else 0
    total = _total(response)
    # Unbuffered, so that a killed process leaves all that came.
    with part.open("ab" if is_continued else "wb", buffering=0) as sink:
        if not is_continued:
            _version_file(part).write_text(_version(response), encoding="latin-1")
        report(n_there, total)
        try:
            for chunk in response.iter_content(_CHUNK):
                # A write without a buffer may take less than all of it, before the disk is full.
                view = memoryview(chunk)
                while view:
                    view = view[sink.write(view) :]
                n_there += len(chunk)
                report(n_there, total)
        except requests.RequestException as error:
            raise EngineError(_why_cut(n_there, total)) from error
    if n_there < total:
        raise EngineError(_why_cut(n_there, total))


def _total(response: requests.Response) -> int:
    """Return the whole file's size in bytes, 0 where the server does not say it."""
    said = re.search(r"/(\d+)$", response.headers.get("Content-Range", "")) or re.fullmatch(
        r"(\d+)", response.headers.get("Content-Length", "")
    )
    return int(said[1]) if said else 0


def _why_cut(n_there: int, total: int) -> str:
    of = f" of {megabytes(total)}" if total else ""
    return f"the connection was cut after {megabytes(n_there)}{of}; what came is kept, the same command carries on"


def _why_unreachable(error: requests.RequestException, address: str) -> str:
    import requests

    host = urlsplit(address).hostname
    elsewhere = "or fetch it on another machine, and `facewatch models import DIR` here"
    if isinstance(error, requests.exceptions.ProxyError):
        return (
            f"the proxy that ${_proxy_variable(address)} names does not let us through; mend the variable, {elsewhere}"
        )
    if isinstance(error, requests.exceptions.SSLError):
        return f"{host} has no certificate that can be trusted; a proxy may need $REQUESTS_CA_BUNDLE, {elsewhere}"
    if isinstance(error, requests.exceptions.Timeout):
        return f"{host} does not answer; {_LATER}, {elsewhere}"
    if isinstance(error, requests.exceptions.ConnectionError):
        return f"{host} cannot be reached; connect to the network, {elsewhere}"
    # requests says in its own words what is wrong with an address, and its exceptions for that are ValueErrors.
    if isinstance(error, ValueError):
        return f"{address!r} is no web address; {ADDRESS_ADVICE}"
    return f"{host} answers what cannot be understood ({type(error).__name__}); {_LATER}, {elsewhere}"


def _proxy_variable(address: str) -> str:
    scheme = urlsplit(address).scheme
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    return next((name for name in names if os.environ.get(name)), f"{scheme}_proxy")


def _why_refused(status: int, address: str) -> str:
    if status == 407:
        return (
            f"the proxy that ${_proxy_variable(address)} names wants a name and a password; put them into the variable"
        )
    if status in (404, 410):
        return (
            f"{address} is not there (HTTP {status}); it may have moved: update insightface, or get the files "
            "elsewhere and `facewatch models import DIR`"
        )
    if status >= 500:
        return f"{address}: the server is in trouble (HTTP {status}); {_LATER}"
    return (
        f"{address} is refused (HTTP {status}), perhaps by a proxy or because too much was asked for; {_LATER}, or get "
        "the files elsewhere and `facewatch models import DIR`"
    )
