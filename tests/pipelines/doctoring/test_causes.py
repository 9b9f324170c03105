"""What an error came of, read off its words."""

from pathlib import Path

import pytest

from toolrl.pipelines.doctoring.causes import cause_of

DIED = "sampling draw 17: engine-1 has died: "


@pytest.mark.parametrize(
    ("error", "culprit", "cause"),
    [
        (
            "learner, training version 3: learner-0: OutOfMemoryError: CUDA out of memory.",
            "GPU memory",
            "GPU has",
        ),
        ("engine-0: torch.OutOfMemoryError: Allocation on device 0 would exceed allowed memory", "GPU memory", "GPU has"),
        # the memory of a node, of which Ray tells by the same name
        (DIED + "OutOfMemoryError: Task was killed due to the node running low on memory.", "engine-1", "want of memory"),
        (DIED + "it was killed by the OOM killer of the node", "engine-1", "want of memory"),
        (DIED + "worker exit type: NODE_OUT_OF_MEMORY", "engine-1", "want of memory"),
        (DIED + "SIGKILL", "engine-1", "want of memory"),
        # no room is no OOM
        ("training a batch: learner-1 has died: KeyError: 'room'", "learner-1", "its process ended"),
        ("saving: OSError: [Errno 28] No space left on device", "disk", "is full"),
        ("training a batch: no answer within 600 s (learner.step_timeout_s) from learner-0, learner-1", "learner-0, learner-1", "it hangs"),
        ("something else", "the run", "see what it says"),
    ],
)
def test_an_error_names_who_and_why(error, culprit, cause):
    found = cause_of(error, run=Path("runs/a"), resume="toolrl rl …")
    assert found.culprit == culprit
    assert cause in found.cause
