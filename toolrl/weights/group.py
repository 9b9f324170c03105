"""The process group of a transfer over Gloo: rank 0 sends, every engine worker is a rank above it.

    sender ── opens a store on a free port ── tells the engines host and port ──┐
    workers ────────────────────────────────── join the store ──────────────────┴── ProcessGroupGloo

The group lives beside torch.distributed's own groups and knows nothing of them. A group is never mended: after a failure, or when an
engine is replaced, it is closed and a new one is opened with a store of its own, so a late message of the old one reaches nobody.
"""

from __future__ import annotations

import socket
from datetime import timedelta

import torch
from torch._C._distributed_c10d import ProcessGroupGloo, TCPStore


class TransferGroup:
    """A Gloo group in which rank 0 broadcasts."""

    def __init__(self, store: TCPStore, *, rank: int, world_size: int, address: str, timeout_s: float) -> None:
        self._timeout = timedelta(seconds=timeout_s)
        options = ProcessGroupGloo._Options()  # type: ignore[attr-defined] # the stubs do not know it
        options._timeout = self._timeout
        options._devices = [ProcessGroupGloo.create_device(hostname=address)]
        self._store = store  # the sender's is the server: it must live as long as the group
        self._group: ProcessGroupGloo | None = ProcessGroupGloo(store, rank, world_size, options)

    def broadcast(self, buffer: torch.Tensor) -> None:
        """Fill `buffer` on every rank with that of rank 0.

        Raises:
            RuntimeError: A rank did not take part before the deadline, or has left.
        """
        if self._group is None:
            raise RuntimeError("the transfer group is closed")
        self._group.broadcast(buffer, 0).wait(self._timeout)  # type: ignore[attr-defined] # the stubs do not know it

    def close(self) -> None:
        """Leave at once. Whoever is still in a broadcast with this rank is woken with an error."""
        self._group = None  # only its destructor closes the connections; its own abort and shutdown leave the peers to their deadline


def open_store(host: str, world_size: int, timeout_s: float, *, port: int = 0) -> TCPStore:
    """Open the store of a new group on a port of `host`, 0 being any free one; does not wait for anyone.

    It is heard on the address `host` alone: torch's own way is to listen on every network of the machine, and a store asks for no password.

    Raises:
        OSError: Something listens there already, or the address is not this machine's.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listening = socket.create_server((host, port), family=family)
    port = listening.getsockname()[1]
    return TCPStore(
        host,
        port,
        world_size,
        is_master=True,
        timeout=timedelta(seconds=timeout_s),
        wait_for_workers=False,
        master_listen_fd=listening.detach(),  # the store closes it
    )


def join_store(host: str, port: int, world_size: int, timeout_s: float) -> TCPStore:
    """Join the store at `host`:`port`. Raises torch's DistError past the deadline."""
    return TCPStore(host, port, world_size, is_master=False, timeout=timedelta(seconds=timeout_s), wait_for_workers=False)


def address_towards(host: str) -> str:
    """Return the address by which this machine reaches `host`: the one `host` can reach it by, whatever its hostname resolves to."""
    family, kind, proto, _, target = socket.getaddrinfo(host, 1, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, proto) as probe:
        probe.connect(target)  # datagram: sends nothing
        return str(probe.getsockname()[0])
