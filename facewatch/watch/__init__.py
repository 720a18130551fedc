"""File events become settled paths. Events are hints: late, doubled or lost ones do no harm, scans see to that."""

from facewatch.fs.looking import is_folder_below, look_below
from facewatch.watch.ears import Ears, Listener, Skips, listen
from facewatch.watch.heard import Heard
from facewatch.watch.settle import Settled, SettleQueue

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
