"""The learner's end of a transfer, with an engine worker in a thread: what every failure leaves behind."""

from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from toolrl.errors import DeadlineError, WeightSyncError

pytestmark = pytest.mark.stack

TIMEOUT_S = 2.0


class Receiver(torch.nn.Module):
    """Keeps what it is given to load, until it is given `poison`."""

    def __init__(self):
        super().__init__()
        self.loaded, self.poison = {}, None

    def load_weights(self, weights):
        for name, tensor in weights:
            if name == self.poison:
                raise KeyError(f"no parameter {name}")
            self.loaded[name] = tensor.clone()


class Scene:
    """A sender and one engine worker."""

    def __init__(self, *, rank=0, silent=()):
        from vllm.distributed.weight_transfer.base import ParamMeta, WeightSource

        from toolrl.weights.client import EngineLink, SyncClient
        from toolrl.weights.gloo_engine import GlooEngine
        from toolrl.weights.gloo_trainer import GlooTrainer, GlooTrainerInfo

        class Source(WeightSource):
            def __init__(self):
                self.tensors = [("a", torch.ones(3)), ("b", torch.arange(6.0)), ("c", torch.zeros(2))]
                self.replace, self.seen = {}, []

            def metadata(self):
                return [ParamMeta(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self.tensors]

            def __iter__(self):
                for name, tensor in self.tensors:
                    self.seen.append(name)
                    if isinstance(self.replace.get(name), Exception):
                        raise self.replace[name]
                    yield name, self.replace.get(name, tensor)

        self.model, self.source, self.calls = Receiver(), Source(), []
        parallel = SimpleNamespace(data_parallel_index=0, world_size=1, rank=0)
        self.worker = GlooEngine(None, SimpleNamespace(parallel_config=parallel, model_config=None), torch.device("cpu"), self.model)
        self._silent, self._threads = silent, ThreadPoolExecutor(1)
        client = SyncClient([EngineLink("engine-0", 1, self._submit)], TIMEOUT_S)
        info = GlooTrainerInfo("127.0.0.1", 2, 1, TIMEOUT_S, rank=rank)
        self.trainer = lambda: GlooTrainer.trainer_init(info, client=client, source=self.source)

    def _submit(self, method, *args):
        self.calls.append(method)
        if method in self._silent:
            return Future()
        worker = self.worker
        act = {
            "init_weight_transfer_engine": lambda info: worker.init_transfer_engine(worker.parse_init_info(info)),
            "start_weight_update": worker.start_weight_update,
            "update_weights": lambda info: worker.receive_weights(worker.parse_update_info(info)),
            "finish_weight_update": worker.finish_weight_update,
        }[method]
        self.last = self._threads.submit(act, *args)
        return self.last


def test_every_tensor_arrives_and_again_in_the_next_push():
    scene = Scene()
    trainer = scene.trainer()
    for factor in (1, 2):
        scene.source.replace = {name: tensor * factor for name, tensor in scene.source.tensors}
        trainer.send_weights()
        assert all(torch.equal(scene.model.loaded[name], tensor * factor) for name, tensor in scene.source.tensors)
    assert scene.calls == ["init_weight_transfer_engine", *["start_weight_update", "update_weights", "finish_weight_update"] * 2]


def test_a_rank_that_does_not_send_gathers_and_calls_nobody():
    scene = Scene(rank=1)
    scene.trainer().send_weights()
    assert scene.source.seen == ["a", "b", "c"]
    assert scene.calls == []


@pytest.mark.parametrize("wrong", [torch.ones(4), torch.arange(6), torch.ones(2, 3)], ids=["length", "type", "shape"])
def test_a_tensor_that_is_not_what_was_declared_is_refused_by_name_and_the_engine_is_woken(wrong):
    scene = Scene()
    scene.source.replace = {"b": wrong}
    with pytest.raises(WeightSyncError, match=r"declared .*'b'"):
        scene.trainer().send_weights()
    with pytest.raises(RuntimeError, match="by peer"):
        scene.last.result(TIMEOUT_S / 2)


def test_a_source_that_breaks_is_raised_as_it_is_and_the_engine_is_woken():
    scene = Scene()
    scene.source.replace = {"b": ZeroDivisionError("gather")}
    with pytest.raises(ZeroDivisionError, match="gather"):
        scene.trainer().send_weights()
    with pytest.raises(RuntimeError, match="by peer"):
        scene.last.result(TIMEOUT_S / 2)


def test_an_engine_that_cannot_load_is_the_cause_and_the_gathers_are_finished():
    scene = Scene()
    scene.model.poison = "a"
    with pytest.raises(WeightSyncError, match="engine-0: update_weights failed: KeyError"):
        scene.trainer().send_weights()
    assert scene.source.seen == ["a", "b", "c"]  # the other ranks are in the same collectives
    assert "finish_weight_update" not in scene.calls


@pytest.mark.parametrize("method", ["start_weight_update", "update_weights", "finish_weight_update"])
def test_an_engine_that_falls_silent_is_named_at_the_deadline(method):
    scene = Scene(silent=[method])
    with pytest.raises(DeadlineError, match=f"{method}: no answer from engine-0 within 2 s"):
        scene.trainer().send_weights()
    assert scene.source.seen == ["a", "b", "c"]


def test_an_engine_that_never_joins_is_named_at_the_deadline():
    with pytest.raises(DeadlineError, match="init_weight_transfer_engine: no answer from engine-0 within 2 s"):
        Scene(silent=["init_weight_transfer_engine"]).trainer()


def test_after_a_failure_a_new_group_works():
    scene = Scene()
    scene.model.poison = "b"
    with pytest.raises(WeightSyncError):
        scene.trainer().send_weights()
    scene.model.poison = None
    scene.trainer().send_weights()
    assert set(scene.model.loaded) == {"a", "b", "c"}


def test_the_transport_is_registered_once_however_often_it_is_asked_for():
    from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory, WeightTransferTrainerFactory

    from toolrl.weights.plugin import register

    register()
    register()
    assert WeightTransferEngineFactory._registry["gloo"]().__name__ == "GlooEngine"
    assert WeightTransferTrainerFactory._registry["gloo"]().__name__ == "GlooTrainer"
