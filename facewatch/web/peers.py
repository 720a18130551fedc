"""Whose program is at the other end of a connection within this machine, as its kernel says.

Any program of any user can connect to a loopback address. Linux says of each socket who owns it; where nothing does,
nobody is taken for a stranger, and a token says who may ask.

It is asked for the one socket (man 7 sock_diag), which takes 0.1 ms. Where that is not allowed, or knows nothing of it,
all sockets are read (man 5 proc_net): 74 ms among 28,000.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

Address = tuple[str, int]
"""An IP address and a port."""

TABLES = Path("/proc/net")

_ROOT = 0
"""Reads and writes whatever we can, page or not."""


_SOCK_DIAG = 4
"""The protocol of NETLINK_SOCK_DIAG."""
_BY_FAMILY = 20
"""SOCK_DIAG_BY_FAMILY: what is asked, and answered, is about a socket of the internet."""
_ANY = 0xFFFFFFFF
_MOST_ANSWERED = 4096
_QUESTION = struct.Struct("=IHHII BBBxI HH16s16s4xII")
"""nlmsghdr: length, kind, flags, number, sender; inet_diag_req_v2: family, protocol, what else, states, then
inet_diag_sockid: ports, addresses, (interface,) cookie."""
_ANSWER = struct.Struct("=4xH10x 4xHH44x 12xII")
"""nlmsghdr: kind; inet_diag_msg: ports, owner, inode."""


def owner_of(client: Address, server: Address) -> int | None:
    """Return the owner of the client's end as the kernel says it of this one socket; None: it does not."""
    if sys.platform != "linux":
        return None
    with suppress(OSError), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.send(_question(client, server))
        answer = kernel.recv(_MOST_ANSWERED, socket.MSG_DONTWAIT)
        if len(answer) >= _ANSWER.size:
            kind, *ports, owner, inode = _ANSWER.unpack_from(answer)
            # Where nobody has this connection it is who listens at that port, if somebody does: connected to port 0.
            if kind == _BY_FAMILY and ports == [socket.htons(client[1]), socket.htons(server[1])] and inode:
                return int(owner)
    return None


def _question(client: Address, server: Address) -> bytes:
    ends = [ipaddress.ip_address(end[0]) for end in (client, server)]
    # A socket of IPv6 that is used for an address of IPv4 is found by that.
    family = socket.AF_INET if ends[0].version == 4 else socket.AF_INET6
    asked = (family, socket.IPPROTO_TCP, 0, _ANY)
    ports = socket.htons(client[1]), socket.htons(server[1])
    return _QUESTION.pack(
        _QUESTION.size, _BY_FAMILY, 1, 0, 0, *asked, *ports, *(end.packed for end in ends), _ANY, _ANY
    )


def is_own(
    client: Address | None,
    server: Address | None,
    *,
    ask: Callable[[Address, Address], int | None] = owner_of,
    tables: Path = TABLES,
    user: int | None = None,
) -> bool:
    """Whether a program of this user, or of root, made a connection; also where the system does not say.

    Whoever has closed its end already is nobody's: the kernel does not know the owner any more, and only who does not
    want to be known asks without waiting for the answer.

    Args:
        client: its end, which is on this machine.
        server: our end.
        ask: returns the owner of the client's end; None: that is looked up in the tables.
        tables: where the kernel lists sockets.
        user: the id of this user; None: as the process has it.
    """
    if client is None or server is None:
        return True
    owner = ask(client, server)
    try:
        owners = list(_owners(client, server, tables)) if owner is None else [owner]
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
