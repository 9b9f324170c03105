"""The ranks of a learner group find each other, or say by a deadline who is missing."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from toolrl.errors import DeadlineError, LearnerLostError
from toolrl.weights.group import address_towards, join_store, open_store

_SIOCGIFADDR = 0x8915
"""Linux: ask for the IPv4 address of a network interface."""
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


def join(
    rank: int, world_size: int, master_addr: str, master_port: int, *, device: str, start_timeout_s: float, step_timeout_s: float
) -> None:
    """Make this process rank `rank` of the group; returns once all are there.

    Args:
        rank: 0 listens, the others call it.
        world_size: Ranks of the group.
        master_addr: Host of rank 0.
        master_port: A free port there.
        device: `cpu` (Gloo) or `cuda` (NCCL; this process must see its own GPU only).
        start_timeout_s: Longest wait for the others.
        step_timeout_s: Longest wait for the others in any collective afterwards.

    Raises:
        DeadlineError: Not everyone came; names who is missing.
        LearnerLostError: Rank 0 cannot listen where it is to be met, since another process has taken the port: a new group finds another.
    """
    os.environ.update(  # DeepSpeed and Transformers read these
        RANK=str(rank),
        LOCAL_RANK="0",
        WORLD_SIZE=str(world_size),
        MASTER_ADDR=master_addr,
        MASTER_PORT=str(master_port),
        DS_ACCELERATOR=device,
    )
    if device == "cuda":
        torch.cuda.set_device(0)
    store = _meet(rank, world_size, master_addr, master_port, timedelta(seconds=start_timeout_s))
    if interface := interface_towards(master_addr):
        # Gloo would take the address that the hostname resolves to, which on many machines is their loopback.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
    dist.init_process_group(BACKENDS[device], store=store, rank=rank, world_size=world_size, timeout=timedelta(seconds=step_timeout_s))


def leave() -> None:
    """Take this process out of its group, if it is in one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def interface_towards(host: str) -> str | None:
    """Return the network interface by which this machine reaches `host`; None where that is not by IPv4."""
    address = address_towards(host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:  # this one has no IPv4 address
                continue
            if socket.inet_ntoa(found[20:24]) == address:
                return name
    return None


def _meet(rank: int, world_size: int, addr: str, port: int, timeout: timedelta) -> TCPStore:
    meet = open_store if rank == 0 else join_store
    try:
        store = meet(addr, world_size=world_size, port=port, timeout_s=timeout.total_seconds())
    except OSError as error:
        raise LearnerLostError(f"learner rank {rank}: cannot listen at {addr}:{port}: {error}") from error
    except (dist.DistError, RuntimeError) as error:
        raise DeadlineError(f"learner rank {rank}: no rank 0 at {addr}:{port} within {timeout.total_seconds():.0f} s ({error})") from error
    here = [f"toolrl/here/{other}" for other in range(world_size)]
    store.set(here[rank], "1")
    try:
        store.wait(here, timeout)
    except (dist.DistError, RuntimeError) as error:
        missing = [str(other) for other, key in enumerate(here) if not store.check([key])]
        who = f"{'rank' if len(missing) == 1 else 'ranks'} {', '.join(missing)} of {world_size} did not join"
        raise DeadlineError(f"learner rank {rank}: {who} within {timeout.total_seconds():.0f} s") from error
    return store
