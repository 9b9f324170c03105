"""The transfer group, its ranks as threads."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from toolrl.weights.group import TransferGroup, address_towards, join_store, open_store

HOST = "127.0.0.1"


def form(ranks, timeout_s=20.0):
    """Form a group of `ranks` ranks in one process."""
    store = open_store(HOST, ranks, timeout_s)

    def join(rank):
        mine = store if rank == 0 else join_store(HOST, store.port, ranks, timeout_s)
        return TransferGroup(mine, rank=rank, world_size=ranks, address=HOST, timeout_s=timeout_s)

    with ThreadPoolExecutor(ranks) as threads:
        return list(threads.map(join, range(ranks)))


def broadcast(groups, value):
    """Broadcast `value` from rank 0; return what every rank then holds."""
    buffers = [torch.full((5,), value if rank == 0 else 0, dtype=torch.uint8) for rank in range(len(groups))]
    with ThreadPoolExecutor(len(groups)) as threads:
        list(threads.map(lambda group, buffer: group.broadcast(buffer), groups, buffers))
    return [buffer.unique().item() for buffer in buffers]


def test_every_rank_receives_what_rank_0_sends():
    groups = form(3)
    assert broadcast(groups, 7) == [7, 7, 7]
    assert broadcast(groups, 9) == [9, 9, 9]


def test_a_new_group_is_formed_beside_the_old_one():
    old, new = form(2), form(2)
    assert broadcast(new, 3) == [3, 3]
    for group in old:
        group.close()
    assert broadcast(new, 4) == [4, 4]


def test_a_rank_that_leaves_wakes_the_one_that_waits():
    sender, worker = form(2)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(worker.broadcast, torch.zeros(5, dtype=torch.uint8))
        sender.close()
        with pytest.raises(RuntimeError):
            waiting.result(timeout=10)


def test_a_sender_that_never_comes_ends_at_the_deadline():
    _, worker = form(2, timeout_s=0.5)
    with pytest.raises(RuntimeError):
        worker.broadcast(torch.zeros(5, dtype=torch.uint8))


def test_a_store_that_is_not_there_ends_at_the_deadline():
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(RuntimeError):
        join_store(HOST, port, 2, 0.5)


def test_the_address_towards_this_machine_is_its_loopback():
    assert address_towards(HOST) == HOST


def test_a_store_is_heard_on_its_own_address_alone():
    store = open_store("127.0.0.1", 2, 5.0)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", store.port), timeout=5)  # loopback too, but another address of this machine
    socket.create_connection(("127.0.0.1", store.port), timeout=5).close()


def test_a_store_is_opened_at_the_port_that_was_asked_for(free_tcp_port):
    assert open_store(HOST, 2, 5.0, port=free_tcp_port).port == free_tcp_port


def test_a_store_does_not_share_a_port_with_another():
    taken = open_store(HOST, 2, 5.0)
    with pytest.raises(OSError, match="in use"):
        open_store(HOST, 2, 5.0, port=taken.port)
