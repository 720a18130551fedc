"""The photo libraries, how the kernel reports their changes, who scans or watches, and which photos could not be
used."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from facewatch.catalog import by_cause
from facewatch.catalog.metadata import Way
from facewatch.checks import Finding
from facewatch.checks.doctor.case import Case, broken, counted, fine, mentioned, remark, shown
from facewatch.checks.doctor.environment import child_environment
from facewatch.errors import FacewatchError
from facewatch.fs.mounts import reports_changes
from facewatch.heartbeat import HeartbeatFile, heartbeat_file_of
from facewatch.library.scan import drive_of
from facewatch.people.sidecar_rules import Doubt, Why
from facewatch.types import Fingerprint

LIBRARIES = "libraries"

OFFLINE = "plug its drive in or mount it, or correct photos under [library]; nothing of it was removed"


def known_files(case: Case, root: Path) -> int:
    """Return how many files of a library the catalog knows."""
    known = case.catalog.roots.one(root) if case.catalog else None
    return len(case.catalog.files.known(known[0])) if case.catalog and known else 0


def presence(case: Case) -> Iterator[Finding]:
    """Whether every library is there, with what was in it."""
    if not case.roots:
        yield remark(LIBRARIES, "no library is known", "facewatch scan PHOTOS, or facewatch init PHOTOS")
    for root in case.roots:
        yield from _presence(case, root)


def _presence(case: Case, root: Path) -> Iterator[Finding]:
    name = shown(root)
    if root not in case.present_roots:
        yield broken(LIBRARIES, f"{name}: {_absence(root)}", OFFLINE)
        return
    walked = case.walks[root]
    if str(root) in walked.unread_folders:
        yield broken(LIBRARIES, f"{name}: cannot be listed", _right_to_read(root))
        return
    if walked.marker:
        yield _passed_over(case, root, walked.marker)
        return
    if not walked.n_files and (n_known := known_files(case, root)):
        what = f"{name}: empty, but {counted(n_known, 'file')} were there: counts as offline"
        yield broken(LIBRARIES, what, OFFLINE)
        return
    is_writable = case.world.can(str(root), os.W_OK)
    facts = [f"{counted(walked.n_files, 'file')} in {counted(walked.n_folders, 'folder')}"]
    facts += [case.file_system_of(root) or "file system not known"]
    facts += ["case of names does not matter"] if walked.is_case_blind else []
    facts += [] if is_writable else ["read-only, which is all that is needed"]
    yield fine(LIBRARIES, f"{name}: {', '.join(facts)}")


def _absence(root: Path) -> str:
    """Return why a library is not a folder that can be reached."""
    try:
        root.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "offline: it is not there"
    except OSError as error:
        return f"offline: {error.strerror}"
    return "not a folder"


def _passed_over(case: Case, root: Path, marker: str) -> Finding:
    n_known = known_files(case, root)
    lost = f"; {counted(n_known, 'file')} that it held count as offline" if n_known else ""
    what = f"{shown(root)}: has a {marker}, so that nothing in it is scanned{lost}"
    return remark(LIBRARIES, what, f"delete '{shown(root / marker)}' if its photos are to be scanned")


def devices(case: Case) -> Iterator[Finding]:
    """Whether each library is on the drive that it was on before, and so is what was mounted within it."""
    for root in case.present_roots:
        known = case.catalog.roots.one(root) if case.catalog else None
        if known is None or case.catalog is None:
            continue
        root_id, device = known
        if device not in (-1, drive_of(root)):
            yield _other_device(root, list(case.catalog.files.known(root_id)))
        for folder in sorted(case.catalog.roots.mounts(root_id)):
            if not os.path.ismount(root / folder):
                what = f"{shown(root / folder)}: offline: another drive was mounted there, and is not now"
                yield broken(LIBRARIES, what, OFFLINE)


def _other_device(root: Path, known: list[str]) -> Finding:
    """A drive may get another number when it is plugged in again, so that what it holds decides."""
    n_absent = sum(not os.path.lexists(f"{root}/{path}") for path in known)
    if n_absent > len(known) / 2:
        what = f"{shown(root)}: on another drive than before, and {n_absent:,} of {len(known):,} files are not there"
        return broken(LIBRARIES, what, f"plug the right one in; if it is, facewatch scan --new-drive '{shown(root)}'")
    return fine(LIBRARIES, f"{shown(root)}: on another device than before, with what was there")


def readable(case: Case) -> Iterator[Finding]:
    """Whether everything in the libraries can be read."""
    for root, walked in case.walks.items():
        below = [path for path in walked.unread_folders if path != str(root)]
        for paths, what in ((below, "folder"), (walked.unread_files, "file")):
            if paths:
                examples = ", ".join(mentioned([shown(path) for path in paths], 1))
                said = f"{shown(root)}: {counted(len(paths), what)} cannot be read: {examples}"
                yield broken(LIBRARIES, said, _right_to_read(root))


def _right_to_read(root: Path) -> str:
    # No group or rights to type: which of them is wanted only the owner knows.
    return f"give this user the right to read: chmod -R u+rX '{shown(root)}', or add the user to the photos' group"


def links(case: Case) -> Iterator[Finding]:
    """What in the libraries leads elsewhere and is passed over."""
    for root, walked in case.walks.items():
        if walked.n_links:
            what = f"{shown(root)}: {counted(walked.n_links, 'symlink is', 'symlinks are')} not followed"
            remedy = "name what they lead to as a library of its own, if it is to be scanned"
            yield remark(LIBRARIES, what, remedy)


def changes(case: Case) -> Iterator[Finding]:
    """Whether the kernel reports changes there; where it does not, facewatch scans again and again."""
    always = case.config["watch.poll"] == "always"
    seconds = case.config["watch.poll_seconds"]
    for root in case.present_roots:
        kind = case.file_system_of(root)
        if always:
            said = f"{shown(root)}: scanned every {seconds:g} s, as the settings want (poll under [watch])"
            yield fine(LIBRARIES, said)
        elif not reports_changes(kind):
            what = f"{shown(root)}: on {kind}, where not every change is reported, so it is scanned every {seconds:g} s"
            remedy = "poll_seconds under [watch] says how often; or run facewatch where the disk is"
            yield remark(LIBRARIES, what, remedy)
        yield from _nested(case, root, is_polled=always or not reports_changes(kind))


def _nested(case: Case, root: Path, *, is_polled: bool) -> Iterator[Finding]:
    """Other file systems that are mounted below a library."""
    top = root.resolve()
    for mount in case.mounts:
        place = Path(mount.mountpoint)
        if place == top or not place.is_relative_to(top):
            continue
        if is_polled or reports_changes(mount.fstype):
            yield fine(LIBRARIES, f"{shown(place)}: mounted within the library ({mount.fstype})")
        else:
            what = f"{shown(place)}: mounted within the library, on {mount.fstype}, where not every change is reported"
            remedy = 'poll = "always" under [watch], or make it a library of its own outside'
            yield remark(LIBRARIES, what, remedy)


LIBRARIES_CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (presence, devices, readable, links, changes)


WATCHING = "watching"

SYSCTL_FILE = "/etc/sysctl.d/60-facewatch.conf"

LEAST_WATCHES = 524_288
"""What most distributions give by now; a watch takes about 1 kB of the kernel's memory, and only while it is used."""

LEAST_EVENTS = 16_384
"""The kernel's own default. When the queue overflows all is compared again, so more only saves work."""

SPARE = 1.1
"""Folders that will come, and other programs of the same user that will start."""


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """The kernel's inotify limits for one user."""

    watches: int
    instances: int
    events: int
    """Of one instance, waiting to be read."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of these limits a user's processes use."""

    watches: Counter[int]
    """By process."""
    n_instances: int


def read_limits(proc: Path) -> WatchLimits | None:
    """Return the limits, or None where there is no inotify."""
    folder = proc / "sys" / "fs" / "inotify"
    names = ("max_user_watches", "max_user_instances", "max_queued_events")
    try:
        return WatchLimits(*(int((folder / name).read_text(encoding="ascii")) for name in names))
    except (OSError, ValueError):
        return None


def read_usage(proc: Path, user_id: int) -> Usage:
    """Return what this user's processes watch now; what cannot be seen is not counted."""
    watches: Counter[int] = Counter()
    n_instances = 0
    for process in filter(str.isdigit, _names(proc)):
        folder = f"{proc}/{process}"
        if not _is_owned(folder, user_id):
            continue
        for descriptor in _names(f"{folder}/fd"):
            if _target(f"{folder}/fd/{descriptor}") == "anon_inode:inotify":
                n_instances += 1
                watches[int(process)] += _n_watches(f"{folder}/fdinfo/{descriptor}")
    return Usage(watches, n_instances)


def _names(folder: Path | str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []


def _is_owned(path: str, user_id: int) -> bool:
    try:
        return Path(path).stat().st_uid == user_id
    except OSError:
        return False


def _target(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def _n_watches(path: str) -> int:
    try:
        with open(path, encoding="ascii", errors="replace") as lines:  # noqa: PTH123 - thousands of these
            return sum(line.startswith("inotify wd:") for line in lines)
    except OSError:
        return 0


def limits(case: Case) -> Iterator[Finding]:
    """Whether every folder of the libraries can be listened to."""
    if case.config["watch.poll"] == "always" or not case.walks:
        return
    found = read_limits(case.world.proc)
    if found is None:
        return
    usage = read_usage(case.world.proc, os.geteuid())
    own = case.runner.pid if case.runner else None
    by_others = sum(n for process, n in usage.watches.items() if process != own)
    folders = sum(walked.n_folders for root, walked in case.walks.items() if reports_changes(case.file_system_of(root)))
    yield from check_limits(found, n_folders=folders, n_used=by_others)
    free = found.instances - usage.n_instances
    if free < len(case.walks) and own is None:
        what = f"{found.instances} programs of a user may watch folders, and {usage.n_instances} do already"
        yield remark(WATCHING, what, raise_limit("max_user_instances", 2 * found.instances))


def check_limits(limits: WatchLimits, *, n_folders: int, n_used: int) -> Iterator[Finding]:
    """Compare the limits with the folders to watch, and with the watches that other programs have."""
    needed = int(n_folders * SPARE) + n_used
    said = f"{counted(n_folders, 'folder')} to watch, {n_used:,} watched by other programs of yours"
    if needed > limits.watches:
        what = f"{said}, but the kernel allows only {limits.watches:,} for a user: the rest is scanned again and again"
        wanted = max(LEAST_WATCHES, 1 << (2 * needed - 1).bit_length())
        yield remark(WATCHING, what, raise_limit("max_user_watches", wanted))
    else:
        yield fine(WATCHING, f"{said}; the kernel allows {limits.watches:,}")
    if limits.events < LEAST_EVENTS:
        what = f"the kernel keeps only {limits.events:,} events: a large import makes facewatch compare all again"
        yield remark(WATCHING, what, raise_limit("max_queued_events", LEAST_EVENTS))


def raise_limit(name: str, value: int) -> str:
    """Return the command that raises a limit now and for good."""
    line = f"fs.inotify.{name}={value}"
    return f"echo {line} | sudo tee -a {SYSCTL_FILE} && sudo sysctl -p {SYSCTL_FILE}"


WATCHING_CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (limits,)


AT_WORK = "at work"
PHOTOS = "photos"

MOST_CAUSES = 10
"""Causes that are listed one by one."""

DECODE_SECONDS = 120.0
"""What a sample photo may take; 200 megapixels in HEIF take twenty seconds on a slow machine."""


# --- at work ---


def runner(case: Case) -> Iterator[Finding]:
    """Who scans or watches, and whether it still says something."""
    if case.runner is None:
        yield fine(AT_WORK, "nobody scans or watches now")
        return
    now, live = case.world.now(), HeartbeatFile(heartbeat_file_of(case.config.catalog)).read()
    if live is not None and not live.is_fresh(now):
        minutes = live.age_seconds(now) / 60
        what = f"{case.runner}: running, but it has reported nothing for {minutes:.0f} minutes"
        yield remark(AT_WORK, what, "read its log; if it hangs, kill it and start it again: nothing is lost")
    else:
        yield fine(AT_WORK, f"{case.runner}")


def last_run(case: Case) -> Iterator[Finding]:
    """Whether the last scan or watch came to its end."""
    run = case.catalog.unended_run() if case.catalog else None
    # Not by its process: the number may be another's by now, or that of one that is dead and not yet buried. The lock
    # goes with whoever held it.
    if run is not None and case.runner is None:
        what = f"the last run ({run.kind}, of {run.started_at}, process {run.pid}) was cut off"
        yield remark(AT_WORK, what, f"nothing is lost, the next carries on: facewatch {run.kind}")


def service(case: Case) -> Iterator[Finding]:
    """Whether a watcher is started by the system, and how that one is."""
    try:
        state = case.world.manager().state()
    except FacewatchError:
        yield fine(AT_WORK, "no service manager for this user here")
        return
    name = f"service of {state.manager}"
    if not state.is_installed:
        yield fine(AT_WORK, f"no {name}; facewatch service install keeps a watcher running")
    elif state.activity == "failed":
        what = f"{name}: failed (exit code {state.exit_code})"
        yield broken(AT_WORK, what, "facewatch service logs says why")
    elif not state.is_running:
        yield remark(AT_WORK, f"{name}: {state.activity}", "facewatch service install starts it")
    elif not state.is_enabled:
        yield remark(AT_WORK, f"{name}: does not start by itself", "facewatch service install")
    else:
        yield fine(AT_WORK, f"{name}: {state.activity}")
    if state.is_installed and state.is_lingering is False:
        what = f"{name}: ends when you log out"
        yield remark(AT_WORK, what, "sudo loginctl enable-linger $USER")


def pause(case: Case) -> Iterator[Finding]:
    """Whether the watcher is paused."""
    since = case.catalog.settings.get("paused") if case.catalog else None
    if since is not None:
        yield remark(AT_WORK, f"paused since {since}: no photo is analysed", "facewatch resume")


# --- photos ---


def faulty_files(case: Case) -> Iterator[Finding]:
    """Which files could not be used, by cause."""
    if case.catalog is None:
        return
    causes = by_cause(case.catalog.files.faulty())
    if not causes:
        yield fine(PHOTOS, "every photo could be used")
    for files in causes[:MOST_CAUSES]:
        first = files[0]
        what = f"{counted(len(files), 'file')}: {first.fault.text}, for example {shown(first.path)}"
        yield remark(PHOTOS, what, first.fault.advice or "facewatch status lists them")
    if len(causes) > MOST_CAUSES:
        rest = sum(map(len, causes[MOST_CAUSES:]))
        yield remark(PHOTOS, f"{counted(rest, 'file')} for other reasons", "facewatch status lists them")


_DECODE = """
import sys
from facewatch.decode import decode
from facewatch.errors import PhotoError
try:
    with open(sys.argv[1], "rb") as file:
        decode(file)
except (PhotoError, OSError) as error:
    sys.exit(str(error))
"""


def samples(case: Case) -> Iterator[Finding]:
    """Whether a photo of every format can be decoded, each in a process of its own; only --deep does that."""
    if case.catalog is None or not case.is_deep:
        return
    found = {kind: path for kind, (path, known) in case.catalog.samples().items() if _is_as_it_was(path, known)}
    faults = {kind: fault for kind, path in found.items() if (fault := decode_fault(path)) is not None}
    for kind, fault in faults.items():
        remedy = "it could be before: if other programs show it whole, pip install --force-reinstall pillow pillow-heif"
        yield broken(PHOTOS, f"{kind}: {shown(found[kind])} cannot be decoded: {fault}", remedy)
    if good := [kind for kind in found if kind not in faults]:
        yield fine(PHOTOS, f"a sample was decoded of {', '.join(mentioned(good, 20))}")


def _is_as_it_was(path: Path, known: Fingerprint) -> bool:
    """Whether nobody wrote to a file since it was read; one that was changed may be anything now."""
    try:
        return Fingerprint.of(path.lstat()) == known
    except OSError:
        return False


def decode_fault(path: Path, *, seconds: float = DECODE_SECONDS) -> str | None:
    """Return why a photo cannot be decoded, or None; a decoder that crashes or hangs takes nothing with it."""
    command = [sys.executable, "-P", "-W", "ignore", "-c", _DECODE, str(path)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env=child_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it takes more than {seconds:.0f} s"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"the decoder crashes (signal {-done.returncode})"
    return (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason was given"])[-1]


AT_WORK_CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (runner, last_run, pause, service)


def sidecars(case: Case) -> Iterator[Finding]:
    """Whether names that facewatch wrote into sidecars are still there, as it was seen when they were written last."""
    doubts = case.catalog.metadata.doubtful(Way.WRITTEN) if case.catalog else []
    whys = Counter(doubt.why for row in doubts if (doubt := Doubt.of(row)) is not None)
    if whys[Why.VANISHED]:
        what = f"names that facewatch wrote are gone from {counted(whys[Why.VANISHED], 'sidecar')}"
        yield remark(PHOTOS, what, "facewatch regions --write --again writes them once more, --leave leaves them out")
    if whys[Why.DAMAGED]:
        what = f"{counted(whys[Why.DAMAGED], 'sidecar')} cannot be used, so that no names are written there"
        yield remark(PHOTOS, what, "facewatch regions --write says which and why; delete or mend them")


PHOTO_CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (faulty_files, samples, sidecars)
