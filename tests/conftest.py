"""Fixtures that tests of several packages share."""

import asyncio
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


# A shell's background job, as CI may be, ignores Ctrl-C, and so would whatever it starts: tests end by it what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_RUN = ("tests/pipelines/test_export.py", "tests/pipelines/test_replay.py", "tests/pipelines/test_rl.py")
"""Files whose tests of the stack want the fixture `real_run`."""

settings.register_profile("toolrl", deadline=None)  # how long an example takes depends on what else the machine does
settings.load_profile("toolrl")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give the files that look at one real run to one worker, which then makes it once."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # not there on a GPU machine

    class RealRunInOneWorker(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "the real run" if file in REAL_RUN else file

    return RealRunInOneWorker(config, log)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real rows, which is no part of the project."""
    folder = Path(os.environ.get("TOOLRL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "tool_calling" / "train.jsonl").is_file():
        pytest.skip("the real rows are not there; set TOOLRL_SHARED_DATA to their folder")
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of a size (`64k`) that ends with the test; where this machine lets nobody mount one, the test is skipped."""
    disks = []

    def make(size):
        folder = tmp_path / f"disk-{len(disks)}"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounts a file system, which is not allowed here: {done.stderr.strip()}")
        disks.append(folder)
        return folder

    yield make
    for folder in disks:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="session")
def make_byte_tokenizer():
    """Write a tokenizer of 256 bytes, the tokens of turns and the added `tags` into a folder: one token a byte.

    `begin` is a token that it puts before every text, unless told not to.
    """

    def make(
        folder, *, tags=("<think>", "</think>", "<tool_call>", "</tool_call>"), special=False, chat_template=CHAT_TEMPLATE, begin=None
    ):
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokenizer = Tokenizer(BPE({piece: i for i, piece in enumerate(alphabet)}, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<|im_start|>", "<|im_end|>", "<|endoftext|>")])
        tokenizer.add_tokens([AddedToken(tag, special=special) for tag in tags])
        if begin:
            tokenizer.post_processor = TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, tokenizer.token_to_id(begin))])
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
        fast.chat_template = chat_template
        fast.save_pretrained(folder)
        return str(folder)

    return make


@pytest.fixture(scope="session")
def byte_tokenizer(tmp_path_factory, make_byte_tokenizer):
    """The folder of a byte tokenizer whose tags are ordinary text to the decoder."""
    return make_byte_tokenizer(tmp_path_factory.mktemp("byte-tokenizer"))


@pytest.fixture(scope="session")
def ray_cluster():
    """A local Ray cluster for tests of actors; other tests start their own drivers, each with a cluster of its own."""
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR", _node_ip_address="127.0.0.1")
    yield
    ray.shutdown()


class EngineHost:
    """Real vLLM engines, whose loop runs in a thread of this process; blocking calls come from any other."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def submit(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine, timeout_s=240):
        return self.submit(coroutine).result(timeout_s)

    def start(self, *settings):
        from toolrl.rollout.engine import VllmEngine

        engines = [VllmEngine(each) for each in settings]
        self.run(_together(engine.start() for engine in engines))
        return engines

    def stop(self, engines):
        self.run(_together(engine.shutdown() for engine in engines))

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


@pytest.fixture(scope="session")
def make_engine_host():
    """Make an `EngineHost`; the environment of its engines is the caller's to set, and its end to call."""
    return EngineHost


async def _together(coroutines):
    return await asyncio.gather(*coroutines)


def engine_settings(path, *, name="engine-0", tensor_parallel=1):
    from toolrl.rollout.settings import EngineSettings

    return EngineSettings(
        name=name,
        model_path=str(path),
        dtype="float32",
        tensor_parallel=tensor_parallel,
        max_num_seqs=128,
        max_model_len=1024,
        kv_cache_gib=0.125,
        gpu_memory_utilization=0.5,
        enforce_eager=True,
        threads=1,
        device="cpu",
        weights_backend="gloo",
        sample_timeout_s=120.0,
    )


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """Folders of tiny random models with the demo's tokenizer, by whether the head is tied."""
    from toolrl.testing.demo_model import tiny_model

    folders = {tied: tmp_path_factory.mktemp("tied" if tied else "untied") for tied in (False, True)}
    for tied, folder in folders.items():
        tiny_model(folder, tied=tied)
    return folders


@pytest.fixture(scope="session")
def engine_host(tiny_models):
    """Where engines are started: `start(*settings)`, `run(coroutine)`, `stop(engines)`."""
    from toolrl.rollout.settings import environment

    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment(engine_settings(tiny_models[False])).items():
            patch.setenv(key, value)
        patch.setenv("VLLM_ALLOW_INSECURE_SERIALIZATION", "1")  # tests plant faults in the workers
        host = EngineHost()
        yield host
        host.close()


@pytest.fixture(scope="session")
def engine(engine_host, tiny_models):
    """One engine with the untied tiny model, float32, on one worker. Its weights are those of whoever pushed last."""
    (started,) = engine_host.start(engine_settings(tiny_models[False]))
    yield started
    engine_host.stop([started])


class Pushing:
    """A Transformers model in the learner's place, and what carries its weights to `engines`."""

    def __init__(self, host, engines, path, **settings):
        import numpy as np
        import torch
        from transformers import AutoModelForCausalLM

        from toolrl.config.schema import WeightsConfig
        from toolrl.weights.client import EngineLink
        from toolrl.weights.gate import Gate
        from toolrl.weights.membership import Membership
        from toolrl.weights.push import Publisher
        from toolrl.weights.sender import WeightSender

        def link(engine):
            call = lambda method, *args: host.submit(getattr(engine, method)(*args))  # noqa: E731
            return EngineLink(engine.name, engine.settings.tensor_parallel, call)

        self._host = host
        self._links = [link(engine) for engine in engines]
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self.sender = WeightSender(self.model, rank=0, backend="gloo", bucket_bytes=2**17)  # a few buckets
        self.gate = Gate()
        self.probes = list(np.random.default_rng(0).integers(10, 1000, (4, 100)).astype(np.int32))
        config = WeightsConfig(timeout_s=60.0, **settings)
        self.publisher = Publisher(Membership(engines), self, self.gate, config, dtype="float32", probes=self.probes, drain_timeout_s=60.0)

    async def connect(self, engines):
        await asyncio.to_thread(self.sender.connect, "127.0.0.1", self._links, 30.0)

    async def send(self):
        return await asyncio.to_thread(self.sender.send)

    async def probe(self, sequences):
        return await asyncio.to_thread(lambda: [self.logprobs(ids) for ids in sequences])

    def publish(self, version):
        """Push the model as `version`, and return the metrics."""
        return self._host.run(self.publisher.publish(version)).metrics

    def disturb(self, seed):
        """Give the model other weights."""
        import torch

        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))

    def logprobs(self, ids, temperature=1.0):
        """Log-probabilities of tokens 1 to T - 1 under the model as it is now."""
        import torch

        ids = torch.as_tensor(ids, dtype=torch.int64)
        with torch.no_grad():
            logp = torch.log_softmax(self.model(ids[None], use_cache=False).logits[0, :-1] / temperature, dim=-1)
        return logp.gather(1, ids[1:, None])[:, 0].numpy()

    def likeliest(self, ids):
        """The likeliest next token."""
        import torch

        with torch.no_grad():
            return int(self.model(torch.as_tensor(ids, dtype=torch.int64)[None], use_cache=False).logits[0, -1].argmax())


@pytest.fixture
def pushing(engine_host):
    """Make a `Pushing`: `pushing(engines, model folder, **weights settings)`."""
    made = []

    def make(engines, path, **settings):
        made.append(Pushing(engine_host, engines, path, **settings))
        return made[-1]

    yield make
    for each in made:
        each.sender.close()


@pytest.fixture
def other_checkpoint(tmp_path):
    """Save the model of a folder with other weights: returns where, and the Transformers model; `without` leaves tensors out."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def make(path, *, without=()):
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        torch.manual_seed(7)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        model.save_pretrained(tmp_path, state_dict={name: value for name, value in model.state_dict().items() if name not in without})
        AutoTokenizer.from_pretrained(path).save_pretrained(tmp_path)
        return tmp_path, model

    return make


@pytest.fixture(scope="session")
def make_engine_settings():
    """Make settings of an engine like those of `engine`."""
    return engine_settings
