"""Whose program is at the other end of a connection within this machine, as its kernel says.

Any program of any user can connect to a loopback address. Linux lists each socket with its owner; where nothing does,
nobody is taken for a stranger, and a token says who may ask.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator
from pathlib import Path

Address = tuple[str, int]
"""An IP address and a port."""

TABLES = Path("/proc/net")

_ROOT = 0
"""Reads and writes whatever we can, page or not."""


def is_own(client: Address | None, server: Address | None, *, tables: Path = TABLES, user: int | None = None) -> bool:
    """Whether a program of this user, or of root, made a connection; also where the system does not say.

    Whoever has closed its end already is nobody's: the kernel does not know the owner any more, and only who does not
    want to be known asks without waiting for the answer.

    Args:
        client: its end, which is on this machine.
        server: our end.
        tables: where the kernel lists sockets.
        user: the id of this user; None: as the process has it.
    """
    if client is None or server is None:
        return True
    try:
        owners = list(_owners(client, server, tables))
    except OSError:
        return True
    return bool(owners) and set(owners) <= {_ROOT, os.geteuid() if user is None else user}


def _owners(client: Address, server: Address, tables: Path) -> Iterator[int]:
    """Yield the owner of the client's end, if it is there.

    Raises:
        OSError: nothing is listed.
    """
    wanted = {_listed(client, is_wide) + _listed(server, is_wide) for is_wide in (False, True)}
    # A program may use a socket of IPv6 for an address of IPv4.
    for line in (tables / "tcp").read_text("ascii").splitlines()[1:] + _lines_of_ipv6(tables):
        _, local, remote, _, _, _, _, owner, _, inode, *_ = line.split()
        if local + remote in wanted and inode != "0":
            yield int(owner)


def _lines_of_ipv6(tables: Path) -> list[str]:
    """Return the lines about sockets of IPv6; none, where that is switched off."""
    try:
        return (tables / "tcp6").read_text("ascii").splitlines()[1:]
    except FileNotFoundError:
        return []


def _listed(address: Address, is_wide: bool) -> str:
    """Return an address as the kernel lists it: 32 bits at a time, in the order of bytes that the machine has."""
    ip = ipaddress.ip_address(address[0])
    packed = ip.packed
    if is_wide and ip.version == 4:
        packed = bytes(10) + b"\xff\xff" + packed
    words = (int.from_bytes(packed[i : i + 4], sys.byteorder) for i in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"
