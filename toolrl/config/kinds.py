"""The commands that have settings, and the schema of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from toolrl.config.asking import DistillConfig, EvaluateConfig
from toolrl.config.schema import RlConfig
from toolrl.config.serving import ServeConfig
from toolrl.config.sft import SftConfig

KINDS: Final[Mapping[str, type[Any]]] = {
    "rl": RlConfig,
    "sft": SftConfig,
    "distill": DistillConfig,
    "evaluate": EvaluateConfig,
    "serve": ServeConfig,
}
