"""The benchmarks by name: what each needs to be read, and by which measures it is reported."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolrl.config.asking import EvaluateConfig
from toolrl.data.source import load_prompts
from toolrl.errors import ConfigError
from toolrl.evaluation.benchmark import Benchmark, Item
from toolrl.evaluation.heldout_benchmark import HeldoutBenchmark
from toolrl.pipelines.evaluating.scores import CALLS, FORM, OFFICIAL, OURS
from toolrl.reward.verifier import make_verifier, users_deadline

NAMES = ("bfcl", "apibank", "acebench", "heldout")


@dataclass(frozen=True, slots=True)
class Options:
    """What `toolrl evaluate` is told on its command line of a benchmark."""

    name: str
    data: Path | None = None
    """Folder of its files; None: where it keeps them itself."""
    apibank_root: Path | None = None
    """Upstream's api-bank folder, for rules that only it can apply."""
    acebench_root: Path | None = None
    """Upstream's ACEBench, likewise."""
    categories: tuple[str, ...] = ()
    """Those to ask; none: all that can be asked."""


def load_benchmark(options: Options, config: EvaluateConfig) -> Benchmark:
    """Read a benchmark. Raises ConfigError for another name or category, and DataError for files that are missing or none of its."""
    if options.name not in NAMES:
        close = difflib.get_close_matches(options.name, NAMES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"name one of {', '.join(NAMES)}"
        raise ConfigError(f"evaluate: unknown benchmark {options.name!r}; {hint}")
    if options.name != "heldout" and config.data.heldout:
        raise ConfigError(f"data.heldout: without effect for {options.name}, which brings its own items; remove it")
    if options.name == "heldout":
        if not config.data.heldout:
            raise ConfigError("data.heldout: got nothing; name rows with a reference, a prepared folder, or demo://heldout")
        verifier = make_verifier(config.reward.mode, config.reward.no_call, config.reward.functions)
        prompts = load_prompts(config.data.heldout, part="heldout")
        return HeldoutBenchmark(prompts, verifier, users_deadline(verifier, config.reward.deadline_s))
    raise ConfigError(options.name)


def chosen(benchmark: Benchmark, limit: int) -> Sequence[Item]:
    """Return the items that are asked: the first `limit` of each category, spread evenly over them; all where it is 0."""
    if not limit:
        return benchmark.items
    taken: dict[str, int] = {}
    each = max(1, limit // len({item.category for item in benchmark.items}))
    found = []
    for item in benchmark.items:
        if taken.get(item.category, 0) < each:
            taken[item.category] = taken.get(item.category, 0) + 1
            found.append(item)
    return found


def measures_of(benchmark: Benchmark) -> tuple[str, ...]:
    """Return what is reported: one's own prompts have no official rules, and a form that counts."""
    return (OURS, CALLS, FORM) if benchmark.name == "heldout" else (OFFICIAL, OURS, FORM)
