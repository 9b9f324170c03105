"""The settings of each attempt of a run: a resumed run may have other ones, and a replay wants those that trained the sample.

config.yaml (the last attempt's) ─ what later attempts changed, undone ─> the settings of attempt k
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.errors import ConfigError, RunFolderError
from toolrl.monitor.readable import VERSIONS, read_attempts
from toolrl.monitor.rundir import CONFIG
from toolrl.pipelines.review.stored import StoredRun

UNDONE = (
    "run.steps", "learner.max_tokens_per_microbatch", "learner.share_prompts", "learner.offload_optimizer",
    "learner.num_ranks", "learner.sequence_parallel", "learner.hpz_ranks", "model.attention", "model.liger",
)  # fmt: skip
"""Settings that a resumed run may change and that decide how a batch is trained: where a schedule ends, the order of sums, the kernels."""
GIVEN = ("model.path", "model.attention", "cluster.*", "learner.threads", "learner.cpus_per_rank", "learner.offload_*", "*timeout_s")
"""Settings that a replay may be given: where the start model is now, and what the replay runs on."""
ALONE = ("cluster.colocated=false", "weights.backend=gloo")
"""The learner by itself: nothing shares its GPUs, and no weights are handed over."""


@dataclass(frozen=True)
class Attempts:
    """The attempts of one run."""

    path: Path
    """config.yaml."""
    changed: tuple[Mapping[str, Any], ...]
    """For each attempt, the first one first: the values of UNDONE before it, of those that it changed."""
    overrides: tuple[str, ...]
    """What the replay was given."""

    @classmethod
    def of(cls, run: StoredRun, overrides: Sequence[str]) -> Attempts:
        """Read them from the run folder. Raises RunFolderError, or ConfigError where an override is none that a replay takes."""
        refused = [given for given in overrides if not any(fnmatch(given.partition("=")[0], pattern) for pattern in GIVEN)]
        if refused:
            raise ConfigError([f"{given}: a replay has its run's settings; it takes {', '.join(GIVEN)} only" for given in refused])
        path = run.path / VERSIONS
        attempts = read_attempts(path)
        if not attempts:
            raise RunFolderError(f"{path}: tells of no attempt; put back the file that the run wrote")
        try:
            changed = tuple({key: attempt["changed"][key]["from"] for key in UNDONE if key in attempt["changed"]} for attempt in attempts)
        except (KeyError, TypeError) as error:
            raise RunFolderError(f"{path}: not readable ({error!r}); put back the file that the run wrote") from error
        return cls(run.path / CONFIG, changed, tuple(overrides))

    def config(self, attempt: int) -> RlConfig:
        """Return the settings of an attempt, with what a replay without engines needs no more set aside. Raises ConfigError."""
        values: dict[str, Any] = {}
        for before in reversed(self.changed[attempt:]):
            values |= before
        undone = [f"{key}={json.dumps(value)}" for key, value in values.items()]
        return load(RlConfig, [str(self.path), *undone, *ALONE, *self.overrides])

    def notes(self, attempt: int, trained_in: Mapping[int, int]) -> tuple[str, ...]:
        """Say which of the versions (version -> attempt) were trained with other settings than those of `attempt`."""
        ours = self.config(attempt)
        found = []
        for other in sorted(set(trained_in.values()) - {attempt}):
            theirs = self.config(other)
            differ = [key for key in UNDONE if _value(ours, key) != _value(theirs, key) and _matters(key, ours)]
            versions = [version for version, of in trained_in.items() if of == other]
            found += [
                f"versions {versions[0]} to {versions[-1]} were trained by attempt {other} with {key}={_value(theirs, key)}, and are "
                f"trained again with {_value(ours, key)}"
                for key in differ
            ]
        return tuple(found)


def _matters(key: str, config: RlConfig) -> bool:
    return key != "run.steps" or config.learner.schedule != "constant"


def _value(config: RlConfig, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)
