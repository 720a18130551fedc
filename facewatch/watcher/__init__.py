"""File events become settled paths. Events are hints: late, doubled or lost ones do no harm, scans see to that."""

from facewatch.fs.looking import is_folder_below, look_below
from facewatch.watcher.ears import Ears, Listener, Skips, listen
from facewatch.watcher.heard import Heard
from facewatch.watcher.settle import Settled, SettleQueue

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
