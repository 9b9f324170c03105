"""What a push makes of a transport that fails, whatever its library raises: tried again where that helps, else the learner is lost."""

import pytest
import torch
import torch.distributed as dist
from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory

from toolrl.errors import DeadlineError, LearnerLostError, WeightSyncError
from toolrl.weights.sender import WeightSender

NCCL = RuntimeError("NCCL error: remote process exited or there was a network error")


def raising(error):
    def fail(*arguments, **named):
        raise error

    return fail


@pytest.fixture
def sending():
    return WeightSender(torch.nn.Linear(2, 2), rank=0, backend="gloo", bucket_bytes=100)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(98, "Address already in use"), WeightSyncError),
        (dist.DistNetworkError("The server socket has failed to listen"), WeightSyncError),
        (NCCL, WeightSyncError),
        (WeightSyncError("engine-0: init_weight_transfer_engine failed"), WeightSyncError),
        (DeadlineError("no answer from engine-0"), DeadlineError),
        (ValueError("unknown backend"), ValueError),
    ],
)
def test_a_transfer_group_that_is_not_formed_can_be_tried_again(sending, monkeypatch, error, raised):
    monkeypatch.setattr(WeightTransferTrainerFactory, "trainer_init", raising(error))
    with pytest.raises(raised) as found:
        sending.connect("127.0.0.1", [], 1.0)
    assert type(found.value) is raised
    assert str(error) in str(found.value)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (NCCL, LearnerLostError),
        (WeightSyncError("engine-0: update_weights failed"), WeightSyncError),
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError),
        (dist.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp"), dist.DistBackendError),  # the learner's own: its rank knows
    ],
)
def test_a_broadcast_that_breaks_leaves_ranks_that_are_of_no_use_any_more(sending, error, raised):
    class Trainer:
        send_weights = staticmethod(raising(error))

    sending._trainer = Trainer()
    with pytest.raises(raised, match=str(error)) as found:
        sending.send()
    assert type(found.value) is raised
