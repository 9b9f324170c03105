"""One rank of a ZeRO-3 group, run as a program by test_source: gathers and sends tiny models, and writes what came out.

Usage: zero3_rank.py RANK WORLD PORT OUT MODEL…
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import torch


class Receiver(torch.nn.Module):
    """Keeps what it is given to load."""

    def __init__(self):
        super().__init__()
        self.loaded = {}

    def load_weights(self, weights):
        self.loaded |= {name: tensor.clone() for name, tensor in weights}


def receiving_engine():
    """An engine worker in this process: the real transport around a model that keeps what it is given."""
    from toolrl.weights.client import EngineLink
    from toolrl.weights.gloo_engine import GlooEngine

    model = Receiver()
    parallel = SimpleNamespace(data_parallel_index=0, world_size=1, rank=0)
    worker = GlooEngine(None, SimpleNamespace(parallel_config=parallel, model_config=None), torch.device("cpu"), model)
    threads = ThreadPoolExecutor(1)

    def call(method, *args):
        if method == "init_weight_transfer_engine":
            worker.init_transfer_engine(worker.parse_init_info(*args))
        elif method == "update_weights":
            worker.receive_weights(worker.parse_update_info(*args))

    return model, EngineLink("engine-0", 1, lambda method, *args: threads.submit(call, method, *args))


def with_lora(model):
    """Give `model` LoRA whose matrices are random, the same on every rank."""
    from peft import LoraConfig, inject_adapter_in_model

    inject_adapter_in_model(LoraConfig(r=2, lora_alpha=3, target_modules="all-linear"), model, "default")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 10)


def whole(model):
    """Every parameter as it lies, gathered by itself."""
    import deepspeed

    found = {}
    for name, parameter in model.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter]):
            found[name] = parameter.detach().clone()
    return found


def run(rank, out, path, *, lora=False):
    import deepspeed
    from deepspeed.utils import safe_get_full_fp32_param
    from transformers import AutoModelForCausalLM
    from transformers.integrations import HfDeepSpeedConfig

    from toolrl.weights.sender import WeightSender
    from toolrl.weights.source import Zero3Source

    config = {
        "train_micro_batch_size_per_gpu": 1,
        "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 100},
        "zero_allow_untested_optimizer": True,
    }
    alive = HfDeepSpeedConfig(config)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    del alive
    if lora:
        with_lora(model)
    engine, *_ = deepspeed.initialize(
        model=model, optimizer=torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3), config=config
    )

    source = Zero3Source(model, bucket_bytes=2**17, sender=rank == 0)
    shapes = {meta.name: tuple(meta.shape) for meta in source.metadata()}
    before_any_forward = dict(source)

    engine.backward(engine(torch.arange(40)[None], labels=torch.arange(40)[None]).loss)
    engine.step()
    after_a_step = dict(source)
    truth = whole(model) if lora else {name: safe_get_full_fp32_param(parameter) for name, parameter in model.named_parameters()}

    receiver, link = receiving_engine()
    sender = WeightSender(model, rank=rank, backend="gloo", bucket_bytes=2**17)
    sender.connect("127.0.0.1", [link], 60.0)
    manifest = sender.send()
    sender.close()
    held = sum(parameter.numel() for parameter in model.parameters() if parameter.numel() > 100)
    torch.save(
        {
            "shapes": shapes,
            "before_any_forward": before_any_forward,
            "after_a_step": after_a_step,
            "truth": truth,
            "received": receiver.loaded,
            "manifest": {spec.name: spec.digest for spec in manifest.tensors},
            "held": held,
        },
        out / f"{Path(path).name}{'-lora' if lora else ''}-{rank}.pt",
    )


def main():
    rank, world, port, out, *paths = sys.argv[1:]
    os.environ |= {"RANK": rank, "LOCAL_RANK": "0", "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    import deepspeed

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # as in the learner: it would be compiled, for half a minute
    deepspeed.init_distributed(dist_backend="gloo")
    for path in paths:
        run(int(rank), Path(out), path)
        run(int(rank), Path(out), path, lora=True)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()  # a group that is left to the end of the process may abort it: its threads still run


if __name__ == "__main__":
    main()
