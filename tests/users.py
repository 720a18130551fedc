"""Work done by a user who may not read everything, also where the tests run as root, who may."""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from collections.abc import Callable

CAPABILITIES = 0x20080522
"""The version of the kernel's structure (linux/capability.h) that `capset` is told."""


def as_a_user(work: Callable[[], None]) -> None:
    """Do this in a child process that has no rights beyond those of its user."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                give_up_rights()
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def give_up_rights() -> None:
    assert sys.platform == "linux", "elsewhere run the tests as somebody else than root"
    head, none = (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None, use_errno=True).capset(head, none) == 0
