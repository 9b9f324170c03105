"""Weights & Biases, the only place that knows it. Offline it needs no account; `wandb sync` uploads the folder later."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from toolrl.errors import ConfigError
from toolrl.types import WeightVersion


class WandbSink:
    """Logs every metric over the version.

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
        """Log the metrics of `version`."""
        self._run.log({"version": version, **metrics})

    def close(self) -> None:
        """Finish the run; online, this waits for the upload."""
        self._run.finish()


def _run_id(folder: Path) -> str:
    """Return the id of this run folder's run: a resumed run goes on in the same one."""
    path = folder / "wandb" / "run-id"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(uuid.uuid4().hex[:12])
    return path.read_text()
