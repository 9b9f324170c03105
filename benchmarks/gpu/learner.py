"""The learner alone on GPUs: step time, tokens per second, MFU and peak memory, with and without each switch.

    python benchmarks/gpu/learner.py --shape 7b [--cases all] [--row-tokens 4096] [--rows 8] [--sequence 1024] [--folder DIR]

Needs torch, Transformers and DeepSpeed; no Ray, no vLLM. A model of the shape with random weights is written to `--folder` once: neither
speed nor memory depends on the weights. Every case runs in processes of its own, one for each rank and GPU, through `LearnerRank` as a
run does: packed rows, log-probabilities, clipped loss, optimizer step. Half of each sequence is trained. Each case prints a line of JSON,
and all of them a table in Markdown. What does not fit in memory, or needs a kernel that is not installed, is a line that says so. Never
run on a GPU yet; a test runs it on CPU.

MFU is useful work over peak: 6·parameters·tokens + 12·layers·hidden·ΣT²/2 (causal attention) operations for a step; what gradient
checkpointing and the head's backward pass compute again is not counted. `computed_mfu` counts less: the input embedding, which multiplies
nothing, not at all, the head for trained tokens only, and frozen weights 4 times instead of 6.
"""

import argparse
import json
import os
import resource
import socket
import statistics
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import torch
from learner_shapes import Lengths, Shape
from learner_workers import Worker
from transformers import AutoModelForCausalLM, Qwen2Config

from toolrl.config.learning import AlgoConfig, LearnerConfig
from toolrl.config.schema import ModelConfig
from toolrl.learner.packing import shard_batch

QWEN = {  # Qwen2.5: hidden, intermediate, layers, heads, key-value heads, vocabulary, tied
    "tiny": (64, 128, 2, 4, 2, 1000, False),
    "0.5b": (896, 4864, 24, 14, 2, 151936, True),
    "7b": (3584, 18944, 28, 28, 4, 152064, False),
    "14b": (5120, 13824, 48, 40, 8, 152064, False),
}
PEAK = {"H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "B200": 2250e12}
"""Dense bfloat16 operations per second of a GPU whose name has the word, by its data sheet; the first that fits."""
WARM_UP_STEPS = 2
PARTS = ("forward_s", "backward_s", "optimizer_s")


@dataclass(frozen=True)
class Case:
    """One combination of switches."""

    model: dict[str, Any] = field(default_factory=dict)
    learner: dict[str, Any] = field(default_factory=dict)
    ranks: int = 1
    slice_elements: int = 0
    """Logits made at a time; 0: as shipped."""


BASE = Case(model={"gradient_checkpointing": True, "liger": True, "attention": "auto"})
CASES = {
    "base": BASE,
    "no_checkpointing": replace(BASE, model=BASE.model | {"gradient_checkpointing": False}),
    "no_liger": replace(BASE, model=BASE.model | {"liger": False}),
    "flash_attention_2": replace(BASE, model=BASE.model | {"attention": "flash_attention_2"}),
    "varlen": replace(BASE, model=BASE.model | {"attention": "varlen"}),
    "sdpa": replace(BASE, model=BASE.model | {"attention": "sdpa"}),
    "small_slices": replace(BASE, slice_elements=2**23),
    "large_slices": replace(BASE, slice_elements=2**27),
    "offload_optimizer": replace(BASE, learner={"offload_optimizer": True}),
    "offload_parameters": replace(BASE, learner={"offload_optimizer": True, "offload_parameters": True}),
    "lora": replace(BASE, learner={"lora_rank": 32, "lora_alpha": 64.0}),
    "two_ranks": replace(BASE, ranks=2, learner={"num_ranks": 2}),
    "sequence_parallel": replace(BASE, ranks=2, learner={"num_ranks": 2, "sequence_parallel": 2}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=tuple(QWEN), default="7b")
    parser.add_argument("--cases", default="all", help=f"of {', '.join(CASES)}; those with more ranks than GPUs are left out")
    parser.add_argument("--row-tokens", type=int, default=4096, help="tokens of a packed row, a micro-batch")
    parser.add_argument("--rows", type=int, default=8, help="micro-batches of a step on a rank")
    parser.add_argument("--sequence", type=int, default=1024, help="tokens of a sequence; the second half is trained")
    parser.add_argument("--steps", type=int, default=5, help=f"steps measured, after {WARM_UP_STEPS} to warm up")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--folder", type=Path, help="where the model is written and found again")
    options = parser.parse_args()
    devices = torch.cuda.device_count() if options.device == "cuda" else 2
    names = list(CASES) if options.cases == "all" else options.cases.split(",")
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)) / options.shape
        make_model(folder, options)
        lines = [run(name, str(folder), options) for name in names if CASES[name].ranks <= devices]
    print(table(lines))


def make_model(folder: Path, options: argparse.Namespace) -> None:
    """Write a model of the shape, unless it is there."""
    if (folder / "config.json").exists():
        return
    hidden, intermediate, layers, heads, kv_heads, vocabulary, tied = QWEN[options.shape]
    config = Qwen2Config(
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocabulary,
        tie_word_embeddings=tied,
        max_position_embeddings=32768,
    )
    with torch.device(options.device):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, options.dtype))
    model.save_pretrained(folder)


def run(name: str, folder: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a case; print and return its line."""
    case = CASES[name]
    learner = LearnerConfig(**case.learner | {"max_tokens_per_microbatch": options.row_tokens, "clip_grad_norm": 1.0})
    per_row = options.row_tokens // options.sequence
    half = Lengths(options.sequence // 2, 0.0, options.sequence)
    vocabulary = QWEN[options.shape][5]
    # One completion for each prompt, so that no prompt is shared: every token of a row is computed.
    batch, groups = Shape(options.rows * per_row * learner.data_parallel, 1, half, half, 0, 0, 0, 0, vocabulary).make_batch()
    shards = shard_batch(batch, num_ranks=learner.data_parallel, minibatches=1, max_tokens=options.row_tokens)
    shards = [shard for shard in shards for _ in range(learner.sequence_parallel)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workers = [
        Worker(Rank, rank, port, folder, case, learner, options.device, options.dtype, environment=environment(rank, options.device))
        for rank in range(case.ranks)
    ]
    try:
        for worker in workers:
            worker.answer()
        timed = []
        for _ in range(WARM_UP_STEPS + options.steps):
            for worker, shard in zip(workers, shards, strict=True):
                worker.ask(shard, {draw: groups[draw] for draw in shard.handles})
            timed.append([worker.answer() for worker in workers])
        line = {"case": name, "shape": options.shape} | summary(timed[WARM_UP_STEPS:], batch, case, options)
    except RuntimeError as error:
        reason = impossible(str(error))
        if reason is None:
            raise
        line = {"case": name, "shape": options.shape, "error": reason}
    finally:
        for worker in workers:
            worker.stop()
    print(json.dumps(line), flush=True)
    return line


def impossible(failure: str) -> str | None:
    """Return why a case cannot be measured on this machine; None where its failure, a traceback, is a fault."""
    if "OutOfMemoryError" in failure:
        return "out of memory"
    name, _, reason = failure.strip().splitlines()[-1].partition(": ")
    return reason if name == "toolrl.errors.UserError" else None


def environment(rank: int, device: str) -> dict[str, str]:
    """A rank sees its own GPU only."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(torch.cuda.device_count())))).split(",")
    return {"DS_ACCELERATOR": device} | ({"CUDA_VISIBLE_DEVICES": visible[rank]} if device == "cuda" else {})


class Rank:
    """A rank of the learner, without Ray."""

    def __init__(self, rank, port, folder, case, learner, device, dtype):
        from toolrl.learner import logprobs
        from toolrl.learner.rank import LearnerRank

        if case.slice_elements:
            logprobs.SLICE_ELEMENTS[device] = case.slice_elements
        self._device = device
        # The engine's log-probabilities are made up, so nothing is to be said of how far they are off.
        self._learner = LearnerRank(
            ModelConfig(path=folder, dtype=dtype, **case.model), learner, algo=AlgoConfig(mismatch_bound=0.0), device=device
        )
        self._learner.setup(rank, learner.num_ranks, "127.0.0.1", port)
        # An input embedding multiplies nothing; where it is tied, the head has it.
        model = self._learner.model
        sizes = {id(p): getattr(p, "ds_numel", p.numel()) for p in model.parameters()}
        trained = sum(sizes[id(p)] for p in model.parameters() if p.requires_grad)
        head = sizes[id(model.get_output_embeddings().weight)]
        both = head + sizes[id(model.get_input_embeddings().weight)] * (not model.config.tie_word_embeddings)
        self._sizes = {"parameters": sum(sizes.values()), "trained": trained, "head": head, "body": sum(sizes.values()) - both}

    def step(self, shard, groups):
        """Train a shard; return the learner's metrics, sizes of the model, and the peak of memory so far."""
        metrics, _ = self._learner.step(shard, groups)
        return metrics, self._sizes, self._peak_bytes(), torch.cuda.get_device_name() if self._device == "cuda" else "cpu"

    def _peak_bytes(self) -> int:
        if self._device == "cuda":
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def summary(timed: list[list[tuple]], batch, case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """What a case took: medians over its steps, of the slowest rank."""
    step_s = statistics.median(max(metrics["learner/step_s"] for metrics, *_ in ranks) for ranks in timed)
    first = timed[-1][0]
    _, sizes, _, device = first
    refs = [trajectory.scored.group for trajectory in batch.trajectories]
    lengths = [ref.prompt_tokens + ref.completion_tokens[0] for ref in refs]
    tokens, trained = sum(lengths), sum(ref.completion_tokens[0] for ref in refs)
    hidden, _, layers, *_ = QWEN[options.shape]
    attention = 12 * layers * hidden * sum(length**2 for length in lengths) / 2
    useful = 6 * sizes["parameters"] * tokens + attention
    passes = 6 if sizes["trained"] > sizes["parameters"] / 2 else 4
    computed = passes * (sizes["body"] * tokens + sizes["head"] * trained) + attention
    peak = next((flops for word, flops in PEAK.items() if word in device), None)
    parts = {
        part: statistics.median(ranks[0][0][f"learner/{part}"] for ranks in timed) for part in ("forward_s", "backward_s", "optimizer_s")
    }
    return {
        "device": device,
        "ranks": case.ranks,
        "step_s": step_s,
        **parts,
        "tokens": tokens,
        "tokens_per_s": tokens / step_s,
        "mfu": peak and useful / step_s / (peak * case.ranks),
        "computed_mfu": peak and computed / step_s / (peak * case.ranks),
        "peak_gib": max(each[2] for each in timed[-1]) / 2**30,
        "parameters": sizes["parameters"],
    }


def table(lines: list[dict[str, Any]]) -> str:
    """Return the cases as a table in Markdown."""
    head = "| case | ranks | step s | tokens/s | MFU | computed MFU | peak GiB |\n|---|---|---|---|---|---|---|"
    return "\n".join([head, *map(table_row, lines)])


def table_row(line: dict[str, Any]) -> str:
    """Return a case as a row of the table."""
    if "error" in line:
        return f"| {line['case']} | | {line['error']} | | | | |"
    mfu = " | ".join("–" if line[name] is None else f"{line[name]:.1%}" for name in ("mfu", "computed_mfu"))
    return f"| {line['case']} | {line['ranks']} | {line['step_s']:.3f} | {line['tokens_per_s']:,.0f} | {mfu} | {line['peak_gib']:.1f} |"


if __name__ == "__main__":
    main()
