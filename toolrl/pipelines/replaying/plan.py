"""What a replay has to do, decided from the run folder before anything starts.

draw, sample ─> its row: version v ─> newest whole checkpoint up to v - 1, or the start model ─> the batches to train again in between

A sample of discarded/attempt-k, of a batch that could not be trained or was rewound, is reached by the batches that the run has kept, and
from the first version that it went back over on by those beside the sample.

Every reason why a sample cannot be replayed ends here, in one message. Nothing in the folder is changed; its run must have ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fcntl import LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from toolrl.checkpoint.store import PREFIX, CheckpointStore
from toolrl.config.schema import RlConfig
from toolrl.errors import CheckpointError, ConfigError, RunFolderError
from toolrl.monitor import rollouts
from toolrl.monitor.lines import read_lines
from toolrl.monitor.outcomes import LEFT_OUT, Outcome
from toolrl.monitor.rundir import LOCK
from toolrl.pipelines.replaying.attempts import Attempts
from toolrl.pipelines.review.samples import sample_of, what_exists
from toolrl.pipelines.review.stored import StoredRun, open_run

ROW = (
    "version", "draw", "sample", "attempt", "trained", "outcome", "outcome_reason",
    "prompt_id", "engine", "reward", "reason", "path", "expected", "got", "advantage",
    "loss_share", "num_tokens", "finish_reason", "oldest_version", "spans", "text", "tokens",
)  # fmt: skip
"""Columns of the sample's row."""


@dataclass(frozen=True)
class Plan:
    """One sample, and the way to it."""

    run: StoredRun
    config: RlConfig
    """The settings it was trained with."""
    files: Mapping[int, Path]
    """Of each version up to its own, the rollouts that led there."""
    draw: int
    sample: int
    row: dict[str, Any]
    """Its row, ROW."""
    checkpoint: Path | None
    """Where the replay starts; None: the start model."""
    start: int
    """The version of the checkpoint, 0 for the start model."""
    notes: tuple[str, ...]
    """What may keep the replay from being exact."""

    @property
    def version(self) -> int:
        """The version that the sample's batch made."""
        return int(self.row["version"])

    @property
    def failed(self) -> bool:
        """Whether its batch could not be trained."""
        return bool(self.row["outcome"] == Outcome.DISCARDED)

    @property
    def again(self) -> range:
        """Versions whose batches are trained again on the way, in order."""
        return range(self.start + 1, self.version)

    def opening(self) -> str:
        """Return what is about to be done, in a few lines."""
        begin = "the start model" if self.checkpoint is None else f"checkpoint {self.checkpoint.name}"
        batch = "in the batch that should have made" if self.failed else "trained in the batch that made"
        lines = [f"replaying {self.draw}:{self.sample} of {self.run.path}: {batch} version {self.version}"]
        lines += [self.row["outcome_reason"]] if self.failed else []
        batches = (
            f"training {len(self.again)} {'batch' if len(self.again) == 1 else 'batches'} again" if self.again else "no batch to train"
        )
        return "\n".join([*lines, f"from {begin}: {batches} before its own{self._estimate()}", *(f"note: {note}" for note in self.notes)])

    def _estimate(self) -> str:
        """Say how long the run took for the same."""
        seconds = {line["version"]: line.get("learner/step_s") for line in read_lines(self.run.path / "metrics.jsonl")}
        taken = [seconds.get(version) for version in (*self.again, self.version)]
        known = [value for value in taken if value is not None]
        return f"; the run took {sum(known):.1f} s for them" if len(known) == len(taken) else ""


def plan(path: Path, name: str, overrides: Sequence[str] = (), *, attempt: int | None = None) -> Plan:
    """Return how to replay the sample `name` (`37:2` or `37.2`) of the run in `path`; with `attempt`, of what was discarded of that one.

    Raises RunFolderError or ConfigError where it cannot be.
    """
    numbers = sample_of(name.replace(":", "."))
    if numbers is None:
        raise ConfigError(f"sample: got {name!r}; write DRAW:SAMPLE, as in 37:2 (`toolrl explain {path}` lists them)")
    run = open_run(path, attempt)
    if not isinstance(run.config, RlConfig):
        raise RunFolderError(f"{path}: an evaluation, which trained nothing to replay; give the run.dir of a `toolrl rl`")
    _require_ended(path)
    row = _row(run, *numbers)
    attempts = Attempts.of(run, overrides)
    config = attempts.config(row["attempt"])
    _require_trained(config, row, f"{numbers[0]}:{numbers[1]}")
    files = rollouts.files(run.rollouts)
    shared = row["version"] if attempt is None else min(files)
    """From here on the lineage is another than that of the checkpoints."""
    checkpoint, start, skipped = _checkpoint(run, shared - 1)
    left = () if attempt is None else _lineage_left(path, shared - 1, attempt)
    files = {version: file for version, file in rollouts.files(path / "rollouts").items() if version < shared} | files
    found = Plan(run, config, files, *numbers, row, checkpoint, start, ())
    trained_in = _attempts_of(found)
    return replace(found, notes=(*skipped, *left, *attempts.notes(row["attempt"], trained_in)))


def _require_ended(path: Path) -> None:
    """Raise RunFolderError where a driver holds the folder: it may prune the checkpoint, and has the machine's processors and GPUs."""
    lock = path / LOCK
    if not lock.exists():
        return
    with lock.open("rb") as file:
        try:
            flock(file, LOCK_SH | LOCK_NB)
        except BlockingIOError as error:
            owner = file.read().decode(errors="replace").strip()
            raise RunFolderError(f"{path}: its run is in progress ({owner}); replay it once that has ended") from error


def _row(run: StoredRun, draw: int, sample: int) -> dict[str, Any]:
    rows = rollouts.find(run.rollouts, draw, ROW)
    rows = rows.filter(pc.equal(rows.column("sample"), sample)).to_pylist()
    if not rows:
        raise ConfigError(f"sample: no {draw}:{sample} in {run.path}; {what_exists(run)}")
    return dict(rows[0])


def _require_trained(config: RlConfig, row: dict[str, Any], name: str) -> None:
    if row["outcome"] == Outcome.DISCARDED and not row["outcome_reason"].startswith(LEFT_OUT):
        return
    if row["outcome"] == Outcome.DISCARDED:
        raise ConfigError(
            f"sample: {name} was not trained, but {row['outcome_reason']}; it is in the batch where that happened too: "
            "give --attempt K, where discarded/attempt-K has it"
        )
    if not row["trained"]:
        raise ConfigError(f"sample: {name} was not trained: its group was dull and was replaced (loop.refill=true)")
    if row["loss_share"] is not None:
        return
    if config.algo.truncated == "mask" and row["finish_reason"] == "length":
        raise ConfigError(f"sample: {name} was not trained: sampling.max_tokens cut it short, and algo.truncated=mask leaves such ones out")
    raise ConfigError(f"sample: {name} was not trained: its optimizer step was skipped, since its whole loss was constant")


def _checkpoint(run: StoredRun, newest: int) -> tuple[Path | None, int, tuple[str, ...]]:
    """Return the newest whole checkpoint up to `newest`, its version, and which were passed over. Reads only."""
    store = CheckpointStore(run.path / "checkpoints", keep=1)  # only read
    found = {path.name.removeprefix(PREFIX): path for path in (run.path / "checkpoints").glob(f"{PREFIX}*")}
    skipped: list[str] = []
    for version, path in sorted(found.items(), reverse=True):
        try:
            if version.isdecimal() and int(version) <= newest:
                return path, int(store.verify(path).version), tuple(skipped)
        except CheckpointError as error:
            skipped.append(f"checkpoint passed over: {error}")
    return None, 0, tuple(skipped)


def _lineage_left(path: Path, version: int, attempt: int) -> tuple[str, ...]:
    """Say whether a run has made `version`, below what `attempt` lost, anew since: its checkpoints and rollouts led elsewhere then."""
    file = rollouts.files(path / "rollouts").get(version)
    made_by = rollouts.read_file(file, ("attempt",)).column("attempt").to_pylist()[:1] if file else []
    with_others = f"the replay begins with other weights than attempt {attempt}"
    return tuple(
        f"version {version}, below the sample's, was made anew by attempt {other}: {with_others}"
        for other in filter(None, made_by)
        if other > attempt
    )


def _attempts_of(plan: Plan) -> dict[int, int]:
    """Return by which attempt each version was trained. Raises RunFolderError where its rollouts are missing or were not kept whole."""
    found: dict[int, int] = {}
    for version in (*plan.again, plan.version):
        table = rollouts.read_file(plan.files[version], ("attempt", "tokens")) if version in plan.files else None
        if table is None or not table.num_rows:
            raise RunFolderError(
                f"{plan.run.path}: no rollouts of version {version}, whose batch must be trained again; put the run's own files back"
            )
        if table.column("tokens").null_count:
            raise RunFolderError(
                f"{plan.files[version]}: kept without all of its tokens (monitor.rollouts: share or no_tokens), and its batch must be "
                "trained again; only a run with monitor.rollouts=all can be replayed"
            )
        found[version] = int(table.column("attempt")[0].as_py())
    return found
