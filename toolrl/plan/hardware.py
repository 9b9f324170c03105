"""The machines a plan is made for: kinds of accelerator with the figures of their data sheets, and a cluster of equal nodes.

    file of YAML, shipped name, or NODESxGPUSxKIND as in 4x8xH100 ─> Cluster

Bandwidths are in GB/s (10⁹ bytes) and one way: half of what a data sheet calls bidirectional.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from toolrl.config.yamlfile import read_yaml
from toolrl.errors import ConfigError
from toolrl.monitor.peaks import PEAKS

GIB = 2**30
_SHOWN = 4
GB = 10**9
TERA = 10**12


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One kind of GPU."""

    name: str
    memory_gib: float
    """What CUDA reports as its total, which is less than the name says."""
    tflops: float
    """Dense bfloat16 operations, 10¹² a second."""
    memory_gb_s: float
    """Of its own memory."""
    gpu_gb_s: float
    """To another GPU of the node, one way."""
    host_gb_s: float
    """To host memory, one way."""


ACCELERATORS = {
    each.name: each
    for each in (
        # NVIDIA A100 data sheet (2021): SXM, 312 TFLOPS bf16, 1,555 and 2,039 GB/s, NVLink 600 GB/s both ways, PCIe Gen4 x16.
        Accelerator("A100-40", 39.4, PEAKS["A100"] / TERA, 1555, 300, 32),
        Accelerator("A100-80", 79.1, PEAKS["A100"] / TERA, 2039, 300, 32),
        # NVIDIA H100 data sheet (2023): SXM, 1,979 TFLOPS bf16 with sparsity, 3.35 TB/s, NVLink 900 GB/s, PCIe Gen5 x16.
        Accelerator("H100", 79.1, PEAKS["H100"] / TERA, 3350, 450, 64),
        # NVIDIA H200 data sheet (2024): SXM, as the H100 with 141 GB at 4.8 TB/s.
        Accelerator("H200", 139.8, PEAKS["H200"] / TERA, 4800, 450, 64),
        # NVIDIA L40S data sheet (2023): 362 TFLOPS bf16 dense, 864 GB/s, no NVLink, PCIe Gen4 x16.
        Accelerator("L40S", 44.4, PEAKS["L40S"] / TERA, 864, 32, 32),
    )
}
"""By name. `memory_gib` is the "total capacity" of torch's out-of-memory messages on each kind."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Equal nodes of equal GPUs. Its fields are the keys of a cluster file."""

    gpu: str = "H100"
    """Kind of accelerator: one of `ACCELERATORS`."""
    nodes: int = 1
    """Nodes."""
    gpus_per_node: int = 8
    """GPUs of a node."""
    gpu_gb_s: float = 0.0
    """Between two GPUs of a node, one way; 0: what its data sheet says."""
    node_gb_s: float = 50.0
    """Between two nodes, one way, all network cards of a node together; 50 is one card of 400 Gbit/s."""
    host_gb_s: float = 0.0
    """Between a GPU and host memory, one way; 0: what its data sheet says."""
    host_memory_gib: float = 1024.0
    """Memory of a node."""

    @property
    def accelerator(self) -> Accelerator:
        """Its GPUs, with the links of this cluster."""
        kind = ACCELERATORS[self.gpu]
        return replace(kind, gpu_gb_s=self.gpu_gb_s or kind.gpu_gb_s, host_gb_s=self.host_gb_s or kind.host_gb_s)

    @property
    def gpus(self) -> int:
        """GPUs in all."""
        return self.nodes * self.gpus_per_node

    def ring_gb_s(self, ranks: int) -> float:
        """Return what a ring over `ranks` neighbouring GPUs moves a second, one way: the slowest link on it.

        NCCL lays as many rings as a node has network cards, so that the cards of a node add up.
        """
        within = self.accelerator.gpu_gb_s
        return within if ranks <= self.gpus_per_node else min(within, self.node_gb_s)

    def __str__(self) -> str:
        """Say it as a person does."""
        nodes = f"{self.nodes} node{'s' if self.nodes > 1 else ''} of " if self.nodes > 1 else ""
        return f"{nodes}{self.gpus_per_node} × {self.gpu}"


def read_cluster(name: str) -> Cluster:
    """Return the cluster that `name` describes: a file, one that is shipped (as in 4x8_h100.yaml), or 4x8xH100.

    Raises:
        ConfigError: It is none of them, or the file says something that cannot be.
    """
    if short := re.fullmatch(r"(\d+)x(\d+)x([\w-]+)", name):
        return _checked({"nodes": int(short[1]), "gpus_per_node": int(short[2]), "gpu": short[3]}, "--cluster")
    path = Path(name)
    packaged = Path(str(resources.files("toolrl.plan"))) / "clusters" / path.name
    path = packaged if not path.exists() and packaged.is_file() else path
    if not path.exists():
        shipped = ", ".join(sorted(file.name for file in packaged.parent.glob("*.yaml")))
        raise ConfigError(f"--cluster: no file {name}; write one, name a shipped one ({shipped}), or write it as in 4x8xH100")
    try:
        tree = read_yaml(path, resolve=True)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
    if not isinstance(tree, dict) or not set(tree) & set(_keys()):
        got = ", ".join(map(str, list(tree)[:_SHOWN])) if isinstance(tree, dict) and tree else type(tree).__name__
        raise ConfigError(f"{name}: no file of a cluster, which has {', '.join(_keys())}; got {got}")
    return _checked(tree, name)


def _keys() -> list[str]:
    return [field.name for field in fields(Cluster)]


def _checked(values: dict[Any, Any], origin: str) -> Cluster:
    found = []
    for key, value in values.items():
        if key not in _keys():
            close = difflib.get_close_matches(str(key), _keys(), n=1)
            found.append(f"{origin}: unknown key {key!r}; " + (f"did you mean {close[0]!r}?" if close else f"it has {', '.join(_keys())}"))
        elif key == "gpu":
            if value not in ACCELERATORS:
                found.append(f"{origin}: gpu: got {value!r}; choose one of {', '.join(ACCELERATORS)}")
        elif problem := _number_problem(key, value):
            found.append(f"{origin}: {key}: got {value!r}; {problem}")
    if found:
        raise ConfigError(found)
    return Cluster(**values)


def _number_problem(key: str, value: Any) -> str:
    whole = key in ("nodes", "gpus_per_node")
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not value < float("inf"):
        return "expected a whole number" if whole else "expected a number"
    if value <= 0 and not (value == 0 and key in ("gpu_gb_s", "host_gb_s")):
        return "set it above 0"
    return ""
