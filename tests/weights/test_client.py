"""The learner's line to the engines."""

from concurrent.futures import Future

import pytest

from toolrl.errors import DeadlineError, WeightSyncError
from toolrl.weights.client import EngineLink, SyncClient


class Engine:
    """Records its calls and answers each with `answer`: a value, an exception, or never."""

    def __init__(self, name, workers=1, answer=None, silent=False):
        self.calls = []
        self.link = EngineLink(name, workers, self.submit)
        self._answer, self._silent = answer, silent

    def submit(self, method, *args):
        self.calls.append((method, *args))
        future = Future()
        if isinstance(self._answer, Exception):
            future.set_exception(self._answer)
        elif not self._silent:
            future.set_result(self._answer)
        return future


def test_every_engine_joins_at_ranks_of_its_own():
    engines = [Engine("a", workers=2), Engine("b", workers=1), Engine("c", workers=4)]
    client = SyncClient([e.link for e in engines], 1.0)
    client.init_weight_transfer_engine({"rank_offset": 1, "world_size": 8})
    offsets = [call[1]["rank_offset"] for e in engines for call in e.calls]
    assert offsets == [1, 3, 4]
    assert client.num_workers == 7


def test_a_method_is_called_on_every_engine():
    engines = [Engine("a"), Engine("b")]
    client = SyncClient([e.link for e in engines], 1.0)
    client.start_weight_update()
    client.update_weights({"names": ["w"]})
    client.finish_weight_update()
    client.shutdown_weight_transfer_engine()
    expected = [
        ("start_weight_update",),
        ("update_weights", {"names": ["w"]}),
        ("finish_weight_update",),
        ("shutdown_weight_transfer_engine",),
    ]
    assert [e.calls for e in engines] == [expected, expected]


def test_past_the_deadline_the_method_and_the_silent_engines_are_named():
    engines = [Engine("engine-0", silent=True), Engine("engine-1"), Engine("engine-2", silent=True)]
    with pytest.raises(DeadlineError) as caught:
        SyncClient([e.link for e in engines], 0.01).start_weight_update()
    assert str(caught.value) == "start_weight_update: no answer from engine-0, engine-2 within 0.01 s"


def test_an_engine_that_fails_is_named_with_its_own_exception_while_another_is_silent():
    cause = ValueError("no such tensor")
    engines = [Engine("engine-0", silent=True), Engine("engine-1", answer=cause)]
    with pytest.raises(WeightSyncError, match=r"engine-1: update_weights failed: ValueError\('no such tensor'\)") as caught:
        SyncClient([e.link for e in engines], 60.0).update_weights({})
    assert caught.value.__cause__ is cause


def test_a_version_cannot_be_committed_with_the_load():
    with pytest.raises(ValueError, match="after they are verified"):
        SyncClient([], 1.0).finish_weight_update("3")
