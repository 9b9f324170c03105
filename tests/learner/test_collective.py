"""Which failures are the group's own: those that Gloo really raises, and none that a rank has by itself."""

import multiprocessing
import os
import time
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from toolrl.errors import DeadlineError, WeightSyncError
from toolrl.learner.collective import is_broken

TIMEOUT_S = 2.0


def leave(port, how):
    """Rank 1: meets the other once, and then is silent, or gone."""
    group = of_two(1, port)
    group.allreduce(torch.ones(2)).wait()
    if how == "die":
        os._exit(3)
    time.sleep(30)


def of_two(rank, port):
    store = dist.TCPStore("127.0.0.1", port, 2, is_master=rank == 0, timeout=timedelta(seconds=60), wait_for_workers=False)
    store.set(f"here/{rank}", "1")
    store.wait(["here/0", "here/1"], timedelta(seconds=60))  # a process takes its time to start, and the group has a short deadline
    return dist.ProcessGroupGloo(store, rank, 2, timedelta(seconds=TIMEOUT_S))


@pytest.mark.parametrize("how", ["die", "hang"])
def test_a_rank_that_is_gone_or_silent_breaks_the_group_at_once_and_for_good(unused_port, how):
    other = multiprocessing.get_context("spawn").Process(target=leave, args=(unused_port, how))
    other.start()
    try:
        group = of_two(0, unused_port)
        group.allreduce(torch.ones(2)).wait()
        for _ in range(2):
            with pytest.raises(RuntimeError) as raised:
                group.allreduce(torch.ones(2)).wait()
            assert is_broken(raised.value), raised.value
    finally:
        other.kill()
        other.join()


def test_what_nccl_and_the_store_raise_is_the_groups_failure():
    assert is_broken(dist.DistBackendError("NCCL communicator was aborted on rank 0"))
    assert is_broken(dist.DistStoreError("wait timeout after 1000ms"))


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("shape '[2]' is invalid for input of size 3"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("ProcessGroupGloo::allgather: invalid tensor size at index 0 (expected (3), got (4))"),
        WeightSyncError("the transfer group broke: [third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer"),
        DeadlineError("rank 0 did not join"),
    ],
)
def test_what_a_rank_has_by_itself_and_what_is_of_another_group_is_not(failure):
    assert not is_broken(failure)
