"""Where a run's metrics go: its folder, the terminal, and what the settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Literal

from toolrl.actors.gauges import VersionGauges
from toolrl.actors.tracing import TraceSink
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.config.versions import versions
from toolrl.monitor.drift import Drift, DriftSink
from toolrl.monitor.lines import JsonlSink, read_lines
from toolrl.monitor.rundir import RunFolder
from toolrl.monitor.sinks import ConsoleSink, ManySinks
from toolrl.monitor.supervised_console import SupervisedConsole
from toolrl.monitor.waste import Accelerators, WasteSink
from toolrl.pipelines.discovery import Discovery
from toolrl.protocols import Sink
from toolrl.types import WeightVersion

MOST_TOLD = 3
"""Nodes whose metrics are told of; docs/monitoring.md says how to find the others."""


Actors = Callable[[], Mapping[str, Any]]


def open_sinks(config: RlConfig | SftConfig, folder: RunFolder, start: WeightVersion, actors: Actors = dict) -> Sink:
    """Open the sinks of a run that goes on from version `start`, and of whose metrics the folder holds no more than those up to it.

    Args:
        config: Settings.
        folder: Of the run, open.
        start: The version.
        actors: Returns who is asked for a trace, by name.
    """
    drift = Drift(read_lines(folder.metrics))
    steps = config.run.steps
    sinks: list[Sink] = [JsonlSink(folder.metrics), SupervisedConsole(steps) if isinstance(config, SftConfig) else ConsoleSink(steps)]
    if config.monitor.tensorboard:
        from toolrl.monitor.tensorboard_sink import TensorBoardSink

        sinks.append(TensorBoardSink(folder.path / "tensorboard", start))
    if config.monitor.wandb != "off":
        from toolrl.monitor.wandb_sink import WandbSink

        mode: Literal["offline", "online"] = "online" if config.monitor.wandb == "online" else "offline"
        sinks.append(WandbSink(folder.path, project=config.monitor.wandb_project, mode=mode, config=asdict(config)))
    discovery = Discovery(folder.path)
    if discovery.targets:
        print(f"metrics: {', '.join(f'http://{each}/metrics' for each in discovery.targets[:MOST_TOLD])}", flush=True)
    sinks += [VersionGauges(folder.path.name, folder.attempt), discovery]
    if config.monitor.trace:
        sinks.append(TraceSink(folder.path, versions(config.monitor.trace), actors))
    return WasteSink(DriftSink(ManySinks(sinks), drift), Accelerators.of(config))
