"""A run as a scheduler's job, checked: what is run, on which machines, for how long, and what it is given before it is killed.

settings ─> configuration ─> run folder, folders, machines, times ─> Job      every mistake is told before anything waits in a queue
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from toolrl.actors.placement import Bundle, bundles_of, learner_bundles
from toolrl.config.load import load, shipped
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.errors import ConfigError
from toolrl.monitor.readable import require_readable
from toolrl.monitor.rundir import check
from toolrl.pipelines.launching import network, timelimit
from toolrl.pipelines.launching.folders import private_folders
from toolrl.pipelines.launching.machines import Machines, machines_for

COMMANDS = ("rl", "sft")
MARGIN_S = 60
"""From the end of a run that saves to the end of its job; Slurm also signals up to so much early."""
_START_S = 300
"""What a run takes, at the least, before it trains: a shorter time limit is a mistake."""


@dataclass(frozen=True)
class Order:
    """What a person asked for, unchecked."""

    settings: tuple[str, ...]
    """YAML files, then `key=value`."""
    command: str = "rl"
    nodes: int = 1
    gpus: int | None = None
    """Of each node; None: the fewest, up to 8, that will do."""
    cpus: int | None = None
    """Likewise, without that bound."""
    time: str | None = None
    """Time limit in Slurm's words; None: that of the template."""
    network: str | None = None
    """A preset of cluster/nccl/, or a file like those."""
    image: str | None = None
    """The container image, on Kubernetes."""


@dataclass(frozen=True)
class Job:
    """What goes into a template."""

    order: Order
    name: str
    """Letters, digits, `_` and `-`: the name of the run folder."""
    files: tuple[str, ...]
    """Those of `order.settings` that are files."""
    run_dir: str
    machines: Machines
    stop_s: int
    """From SIGTERM to SIGKILL, in seconds."""
    limit_s: int | None
    network: Mapping[str, str]
    """Environment of every node."""
    remarks: tuple[str, ...]


def checked(order: Order, *, everywhere: Callable[[str], bool] | None = None) -> Job:
    """Return the job of an order.

    Args:
        order: What was asked for.
        everywhere: Says of a path whether all nodes see it; None: they are this machine's paths, and this machine is asked.

    Raises:
        ConfigError: Settings or options are wrong, or a folder is only on this machine.
        PlacementError: The machines are too small.
        RunFolderError: The run folder holds another run.
    """
    config = load(RlConfig, order.settings) if order.command == "rl" else load(SftConfig, order.settings)
    if everywhere is None:
        check(Path(config.run.dir).resolve(), config)
        require_readable(Path(config.run.dir).resolve())
    stop_s = int(config.checkpoint.preempt_timeout_s) + MARGIN_S
    limit_s = None if order.time is None else timelimit.seconds_of(order.time)
    wrong = [] if limit_s is None else _times(limit_s, stop_s)
    folders, remarks = _folders(config, everywhere)
    if wrong := wrong + folders:
        raise ConfigError(wrong)
    variables = {} if order.network is None else network.variables(network.preset(order.network))
    machines = machines_for(_bundles(config), order.nodes, gpus=order.gpus, cpus=order.cpus)
    if machines.idle:
        remarks.append(f"{machines.idle} of {machines.nodes} nodes have nothing to do: give fewer --nodes, or ask for more")
    if config.cluster.device == "cuda" and order.nodes > 1 and not variables:
        remarks.append(f"no --network: NCCL chooses its interfaces by itself; presets are {', '.join(network.presets())} (cluster/nccl/)")
    files = tuple(each for each in order.settings if "=" not in each or Path(each).exists())
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(config.run.dir).name).strip("-_") or "toolrl"
    return Job(order, name, files, config.run.dir, machines, stop_s, limit_s, variables, tuple(remarks))


def own_files(job: Job) -> list[Path]:
    """Return the files of settings that do not come with toolrl, or that differ from those that do."""
    packaged = Path(str(resources.files("toolrl"))) / "_conf"
    found = [(shipped(each), packaged / Path(each).name) for each in job.files]
    return [path for path, known in found if not known.is_file() or known.read_bytes() != path.read_bytes()]


def _bundles(config: RlConfig | SftConfig) -> Sequence[Bundle]:
    if isinstance(config, SftConfig) and not config.eval.heldout:
        return learner_bundles(config.learner, on_gpu=config.cluster.device == "cuda")
    return bundles_of(config)


def _times(limit_s: int, stop_s: int) -> list[str]:
    least = stop_s + _START_S
    if limit_s >= least:
        return []
    return [
        f"--time: got {timelimit.text_of(limit_s)}, with the last {stop_s} s for saving (checkpoint.preempt_timeout_s + {MARGIN_S}); "
        f"give at least {timelimit.text_of(least)}, or set checkpoint.preempt_timeout_s lower"
    ]


def _folders(config: RlConfig | SftConfig, everywhere: Callable[[str], bool] | None) -> tuple[list[str], list[str]]:
    """Return what is wrong with the places that the settings name, and what is only remarked on."""
    rows = {"data.train": config.data.train, "data.heldout": config.data.heldout}
    rows |= {"eval.heldout": config.eval.heldout} if isinstance(config, SftConfig) else {}
    named = {"run.dir": config.run.dir, "model.path": config.model.path, **rows}
    if everywhere is None:
        return private_folders(
            {setting: Path(path) for setting, path in named.items() if setting == "run.dir" or (path and Path(path).exists())}
        )
    alone = {setting: path for setting, path in named.items() if not everywhere(path)}
    return [
        f"{setting}: got {path}, which no pod has; name a folder below /work, their common volume" for setting, path in alone.items()
    ], []
