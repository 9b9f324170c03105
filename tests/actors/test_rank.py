"""What a rank says where the group breaks under it, without Ray and without DeepSpeed."""

import pytest

from toolrl.actors.rank import LearnerActor
from toolrl.config.learning import LearnerConfig
from toolrl.errors import CheckpointError, LearnerLostError

GLOO = "[/pytorch/third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 300000ms for recv operation to complete"


class Rank:
    """Fails at whatever it is asked with `failure`."""

    def __init__(self, failure):
        self._failure = failure

    def __getattr__(self, name):
        def fail(*arguments, **named):
            raise self._failure

        return fail


def rank(failure):
    actor = LearnerActor(1, 2, {"model": None, "learner": LearnerConfig()}, None, 1.0)
    actor._learner = Rank(failure)
    actor._sender = Rank(failure)
    return actor


class Shard:
    def __init__(self):
        self.handles = {}


def calls(actor, folder):
    return {
        "setup": lambda: actor.setup("host", 1),
        "step": lambda: actor.step(Shard()),
        "inspect": lambda: actor.inspect(Shard(), None),
        "sft_step": lambda: actor.sft_step(None),
        "sft_losses": lambda: actor.sft_losses(None),
        "send": lambda: actor.send(),
        "probe": lambda: actor.probe([]),
        "onload": lambda: actor.onload(),
        "offload": lambda: actor.offload(True),
        "save": lambda: actor.save(folder),
        "load": lambda: actor.load(folder),
        "export": lambda: actor.export(folder),
    }


NAMES = list(calls(None, None))


@pytest.mark.parametrize("name", NAMES)
def test_a_group_that_breaks_is_lost_whatever_the_ranks_were_doing_and_though_none_has_died(name, tmp_path, monkeypatch):
    monkeypatch.setattr("toolrl.actors.rank.fetch", lambda *given, **named: [])
    with pytest.raises(LearnerLostError) as raised:
        calls(rank(RuntimeError(GLOO)), str(tmp_path))[name]()
    assert str(raised.value) == f"learner-1: {name}: the ranks cannot reach each other any more: {GLOO}"


def test_a_checkpoint_is_not_to_blame_for_a_group_that_broke_while_it_was_read(tmp_path):
    blamed = CheckpointError("does not fit this learner")
    blamed.__cause__ = RuntimeError(GLOO)
    with pytest.raises(LearnerLostError, match="cannot reach each other"):
        rank(blamed).load(str(tmp_path))
    blamed.__cause__ = RuntimeError("size mismatch")
    with pytest.raises(CheckpointError, match="does not fit"):
        rank(blamed).load(str(tmp_path))


def test_what_a_rank_has_by_itself_stays_what_it_is():
    with pytest.raises(RuntimeError, match=r"^CUDA out of memory$"):
        rank(RuntimeError("CUDA out of memory")).sft_step(None)
