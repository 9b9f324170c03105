"""Where Prometheus finds the metrics of a run while it runs: a file in its folder, in the form of Ray's own service discovery.

    [{"labels": {"job": "toolrl"}, "targets": ["127.0.0.1:43211"]}]        an address for each node of the cluster

Ray writes such a file itself only where its dashboard runs, which a local cluster has not. There the address is one of loopback, so only
this machine reaches it; see docs/security.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from toolrl.actors.gauges import endpoints
from toolrl.monitor.durable import replace_text
from toolrl.types import WeightVersion

DISCOVERY = "prom_metrics_service_discovery.json"
"""Ray's name for it."""


class Discovery:
    """A sink that keeps the file, and removes it when it is closed.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / DISCOVERY
        self.targets = endpoints()
        if self.targets:
            replace_text(self._path, json.dumps([{"labels": {"job": "toolrl"}, "targets": self.targets}]) + "\n")

    def write(self, version: WeightVersion, metrics: Mapping[str, float]) -> None:
        """Do nothing: the nodes are those that were there at the start."""

    def close(self) -> None:
        """Remove the file: nobody answers there any more. One that cannot be removed harms nobody, and what ended the run is told."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
