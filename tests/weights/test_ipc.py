"""The hand-over between processes of one GPU, through vLLM's own `ipc` engines on both sides. A CPU has no memory to share so: the few
calls that need CUDA are answered from host memory here, and what really crosses a GPU is for `make gpu-smoke`."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
import torch
from vllm.distributed.weight_transfer import ipc_engine, packed_tensor

from toolrl.weights.client import EngineLink, SyncClient
from toolrl.weights.packing import num_bytes
from toolrl.weights.sender import WeightSender

GPU = "GPU-0"
BUCKET_BYTES = 300


class Model(torch.nn.Module):
    """Tied: the head is an alias of the embedding."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(20, 5)
        self.inner = torch.nn.Linear(5, 7)
        self.norm = torch.nn.LayerNorm(5)
        self.head = torch.nn.Linear(5, 20, bias=False)
        self.head.weight = self.embed.weight


@pytest.fixture
def shared_memory(monkeypatch):
    """Answer for CUDA from host memory: a handle is the number of a tensor."""
    exported = []
    empty = torch.empty

    def reduce_tensor(tensor):
        exported.append(tensor)
        return None, (len(exported) - 1, *range(1, 7))

    def on_host(*shape, device=None, **options):
        return empty(*shape, **options)

    properties = SimpleNamespace(uuid=GPU)
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 0)
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(synchronize=lambda: None))
    monkeypatch.setattr(torch.cuda, "ipc_collect", lambda: None)
    monkeypatch.setattr(packed_tensor.torch, "empty", on_host)
    monkeypatch.setattr(packed_tensor, "reduce_tensor", reduce_tensor)
    monkeypatch.setattr("torch.multiprocessing.reductions.rebuild_cuda_tensor", lambda index, *rest: exported[index])
    return exported


class Engine:
    """vLLM's worker-side engine around a model that keeps what it is given."""

    def __init__(self, name):
        self.name, self.calls, self.loaded = name, [], {}
        self._worker = object.__new__(ipc_engine.IPCWeightTransferEngine)
        self._worker.packed = False
        self._worker._packed_importer = packed_tensor.PackedBufferImporter()
        self._worker.device = torch.device("cpu", 0)
        self._worker.model = SimpleNamespace(load_weights=lambda weights: self.loaded.update(weights))

    def submit(self, method, *arguments):
        self.calls.append(method)
        if method == "init_weight_transfer_engine":
            self._worker.init_transfer_engine(self._worker.parse_init_info(*arguments))
        elif method == "update_weights":
            self._worker.update_weights(*arguments)
        answer = Future()
        answer.set_result(None)
        return answer


def sender(model, *, rank=0):
    return WeightSender(model, rank=rank, backend="ipc", bucket_bytes=BUCKET_BYTES, dtype=torch.bfloat16)


def test_engines_load_every_tensor_under_each_of_its_names_a_buffer_at_a_time(shared_memory):
    model, engines = Model(), [Engine("engine-0"), Engine("engine-1")]
    sending = sender(model)
    sending.connect("host", [EngineLink(e.name, 1, e.submit) for e in engines], 1.0)
    sent = sending.send()
    wanted = {name: parameter.to(torch.bfloat16) for name, parameter in model.named_parameters(remove_duplicate=False)}
    for engine in engines:
        assert engine.loaded.keys() == wanted.keys()
        assert all(torch.equal(engine.loaded[name], wanted[name]) for name in wanted)
        assert engine.calls[:2] == ["init_weight_transfer_engine", "start_weight_update"]
        assert engine.calls[2:-1] == ["update_weights"] * 2  # embedding and inner, 284 bytes; norm and head, 220
        assert engine.calls[-1] == "finish_weight_update"
    assert {spec.name for spec in sent.tensors} == wanted.keys()
    assert all(spec.digest for spec in sent.tensors if spec.name != "norm.bias")


def test_a_second_push_sends_the_weights_as_they_are_then(shared_memory):
    model, engine = Model(), Engine("engine-0")
    sending = sender(model)
    sending.connect("host", [EngineLink("engine-0", 1, engine.submit)], 1.0)
    sending.send()
    with torch.no_grad():
        model.inner.weight.add_(1)
    sending.send()
    assert torch.equal(engine.loaded["inner.weight"], model.inner.weight.to(torch.bfloat16))


def test_the_shared_buffer_holds_the_largest_tensor_whole(shared_memory):
    model, engine = torch.nn.Linear(100, 10), Engine("engine-0")  # 2,000 bytes of weights
    sending = sender(model)
    sending.connect("host", [EngineLink("engine-0", 1, engine.submit)], 1.0)
    sending.send()
    assert [buffer.numel() for buffer in shared_memory] == [2000]
    assert torch.equal(engine.loaded["weight"], model.weight.to(torch.bfloat16))


def test_every_rank_copies_since_each_serves_the_worker_on_its_own_gpu():
    model = Model()
    for rank in (0, 1):
        tensors = dict(iter(sender(model, rank=rank)._source))
        assert all(tensors[meta.name].nbytes == num_bytes(meta) for meta in sender(model, rank=rank)._declared)


def test_handles_of_shared_memory_survive_the_way_from_vllms_front_to_its_workers(monkeypatch):
    """What `reduce_tensor` describes memory with, on vLLM's own wire, under the environment that our engines are given."""
    from vllm.v1.serial_utils import MsgpackDecoder, MsgpackEncoder

    from toolrl.rollout.settings import EngineSettings, environment

    settings = EngineSettings("engine-0", "m", "bfloat16", 2, 1, 1, 1.0, 0.5, True, 1, "cuda", "ipc", 1.0)
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    handle = (
        torch.Tensor,
        torch.Size([4]),
        (1,),
        0,
        torch.UntypedStorage,
        torch.uint8,
        0,
        b"\x01handle",
        4,
        0,
        False,
        b"\x02counter",
        0,
        b"",
        True,
    )
    info = {"names": ["w"], "ipc_handles": {GPU: handle}, "tensor_sizes": [4]}
    found = MsgpackDecoder().decode(MsgpackEncoder().encode(info))
    assert found["names"] == ["w"]
    assert tuple(found["ipc_handles"][GPU][4:9]) == handle[4:9]
    assert tuple(found["ipc_handles"][GPU][1]) == (4,)


def test_a_transport_without_ranks_gets_the_same_word_at_every_engine():
    said = []

    def submit(method, *arguments):
        said.append(arguments)
        answer = Future()
        answer.set_result(None)
        return answer

    SyncClient([EngineLink("a", 2, submit), EngineLink("b", 1, submit)], 1.0).init_weight_transfer_engine({"packed": True})
    assert said == [({"packed": True},)] * 2
