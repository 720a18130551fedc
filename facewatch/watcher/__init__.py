"""File events become settled paths. Events are hints: late, doubled or lost ones do no harm, scans see to that."""

from facewatch.fs.looking import is_folder_below, look_below
from facewatch.watcher.buffer import Heard
from facewatch.watcher.debounce import Settled, SettleQueue
from facewatch.watcher.events import Ears, Listener, Skips, listen

__all__ = [
    "Ears",
    "Heard",
    "Listener",
    "SettleQueue",
    "Settled",
    "Skips",
    "is_folder_below",
    "listen",
    "look_below",
]
