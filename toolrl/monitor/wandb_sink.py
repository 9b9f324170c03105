"""Weights & Biases, the only place that knows it. Offline it needs no account; `wandb sync` uploads the folder later.

    metrics of each version ─> curves          an evaluated version ─> a table of samples from rollouts/
    settings ─> configuration                  the end ─> artefacts: the newest checkpoint, the exported model

An artefact says where its files are and how big; their bytes stay there, since a checkpoint of 14B weights is 200 GB.

Once it has begun, nothing that goes wrong here ends a run: metrics.jsonl has every line, and the log says once what was not told.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow.compute as pc

from toolrl.errors import ConfigError
from toolrl.monitor import rollouts
from toolrl.types import WeightVersion

SAMPLES = 32
"""Groups of a table of samples."""
COLUMNS = ("version", "draw", "sample", "prompt_id", "text", "reward", "reason", "path", "expected", "got", "advantage")
"""Of such a table."""

logger = logging.getLogger(__name__)


class WandbSink:
    """Logs every metric over the version, samples now and then, and what came of the run.

    Args:
        folder: The run folder; its name is the name of the run.
        project: Its project.
        mode: `offline` or `online`.
        config: The resolved settings.

    Raises:
        ConfigError: wandb is not installed, or the account cannot be used.
    """

    def __init__(self, folder: Path, *, project: str, mode: Literal["offline", "online"], config: Mapping[str, Any]) -> None:
        try:
            import wandb  # slow to import, and used only when asked for
        except ImportError as error:
            raise ConfigError("monitor.wandb: wandb is not installed; install it, or set monitor.wandb=off") from error
        self._wandb, self._folder, self._told = wandb, folder, False
        settings = wandb.Settings(silent=True, console="off")
        try:
            self._run = wandb.init(
                dir=folder,
                id=_run_id(folder),
                project=project,
                mode=mode,
                name=folder.name,
                config=dict(config),
                settings=settings,
                resume="allow",
            )
        except (wandb.errors.UsageError, wandb.errors.CommError) as error:
            raise ConfigError(f"monitor.wandb: {error}; set monitor.wandb=offline, and `wandb sync` the folder later") from error
        self._run.define_metric("version")
        self._run.define_metric("*", step_metric="version")  # wandb's own step must grow, a version may come again after a resume

    def write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        """Log the metrics of `version`; one that was evaluated comes with samples, of the newest batch that is written."""
        self._attempt(lambda: self._write(version, metrics))

    def close(self) -> None:
        """Say where the newest checkpoint and the exported model are, and finish the run; online, this waits for the upload."""
        for end in (self._log_artefacts, self._run.finish, self._wandb.teardown):  # the last: else the cluster's end is its service's
            self._attempt(end)

    def _attempt(self, tell: Callable[[], object]) -> None:
        try:
            tell()
        except Exception:  # a service that died, an account, a file of rollouts that cannot be read
            if not self._told:
                logger.exception("wandb was not told; the run goes on, and metrics.jsonl has all of it")
                self._told = True

    def _write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        samples = {}
        if any(name.startswith("heldout/") for name in metrics) and (rows := self._samples()):
            samples["samples"] = self._wandb.Table(columns=list(COLUMNS), data=rows)
        self._run.log({"version": version, **metrics, **samples})

    def _log_artefacts(self) -> None:
        checkpoints = [path for path in (self._folder / "checkpoints").glob("version-*") if path.is_dir()]
        for kind, path in (("checkpoint", max(checkpoints, default=None)), ("model", self._folder / "final")):
            if path is not None and path.is_dir():
                artefact = self._wandb.Artifact(f"{kind}-{self._run.id}", type=kind, description=str(path), metadata={"folder": str(path)})
                artefact.add_reference(path.as_uri(), checksum=False)
                self._run.log_artifact(artefact)

    def _samples(self) -> list[list[Any]]:
        """Return the first completion of each of the first groups of the newest file of rollouts."""
        newest = next(reversed(rollouts.files(self._folder / "rollouts").values()), None)
        if newest is None:
            return []
        rows = rollouts.read_file(newest, COLUMNS).filter(pc.field("sample") == 0)
        return [list(row.values()) for row in rows.slice(0, SAMPLES).to_pylist()]


def _run_id(folder: Path) -> str:
    """Return the id of this run folder's run: a resumed run goes on in the same one."""
    path = folder / "wandb" / "run-id"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(uuid.uuid4().hex[:12])
    return path.read_text()
