"""`toolrl serve`: a model behind vLLM's OpenAI-compatible server; and the same for other parts, for as long as they need it.

    CHECKPOINT ─ find_model, tokenizer, prompt template ─> ServerSettings ─ started ─> ready: how to call it ─> … ─> Ctrl-C, SIGTERM
                       └─ what is wrong with it, the port or the host: one message, before anything starts

No process outlives this one, however it ends.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from toolrl.actors.reaper import reaped
from toolrl.config.asking import EvaluateConfig
from toolrl.config.load import load
from toolrl.config.serving import ServeConfig
from toolrl.data.jinja_template import with_tools
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.errors import ConfigError, UserError
from toolrl.pipelines.models import FoundModel, find_model
from toolrl.rollout.settings import EngineSettings
from toolrl.serving.process import Server, started
from toolrl.serving.settings import KEY_VARIABLE, ServerSettings, is_loopback, stop_ids

LOOPBACK = "127.0.0.1"
MAX_PORT = 65535


def serve(path: str, arguments: Sequence[str], *, host: str, port: int, name: str) -> int:
    """Run `toolrl serve` until it is told to stop, and return its exit code. Raises ToolRLError."""
    settings = server_settings(path, load(ServeConfig, arguments), host=host, port=port, name=name)
    key = api_key()
    start = time.monotonic()
    print(f"starting vLLM with {settings.engine.model_path} …", flush=True)
    with _stoppable():
        try:
            with reaped(), started(settings, key=key, tell=_relay) as server:
                print(ready(server, time.monotonic() - start, has_key=bool(key)), flush=True)
                server.wait()
        except KeyboardInterrupt:
            print("stopped", flush=True)
    return 0


@contextmanager
def serving(model: str, config: ServeConfig | EvaluateConfig | None = None, *, port: int = 0, name: str = "") -> Iterator[Server]:
    """Serve a model on this machine alone while a body runs; yields the server, with its `url` and the `model`'s name there.

    Args:
        model: A model folder, a run, or demo://start.
        config: Settings of the engine, the data type, the prompt template and the device.
        port: Where; 0: a free one.
        name: What requests call the model; empty: the name of the folder or of the run.

    Raises:
        UserError: There is no such model, or the settings do not fit it.
        RunError: The server did not start.
    """
    settings = server_settings(model, config or ServeConfig(), host=LOOPBACK, port=port, name=name)
    with reaped(), started(settings, key=api_key()) as server:
        yield server


def server_settings(path: str, config: ServeConfig | EvaluateConfig, *, host: str, port: int, name: str) -> ServerSettings:
    """Return what a server of the model `path` is started with, checked. Raises UserError kin."""
    if not is_loopback(host) and not api_key():
        raise UserError(
            f"--host: {host} can be reached from other machines, and no key is asked for; set {KEY_VARIABLE}, or bind to {LOOPBACK}"
        )
    port = free_port(host, port)
    found = find_model(path)
    folder = str(found.folder)
    template = PromptTemplate.load(config.prompt.template, model_path=folder)
    tokenizer = ChatTokenizer(folder, template.chat)
    engine = config.engine
    return ServerSettings(
        engine=EngineSettings(
            name="server",
            model_path=folder,
            dtype=config.model.dtype,
            tensor_parallel=engine.tensor_parallel,
            max_num_seqs=engine.max_num_seqs,
            max_model_len=_max_model_len(engine.max_model_len, found),
            kv_cache_gib=engine.kv_cache_gib,
            gpu_memory_utilization=engine.gpu_memory_utilization,
            enforce_eager=engine.enforce_eager,
            threads=engine.threads,
            device=config.cluster.device,
            weights_backend="",  # nobody sends any
            sample_timeout_s=0.0,
            stop_token_ids=stop_ids(found.folder, tokenizer.stop_ids),
        ),
        name=name or found.name,
        host=host,
        port=port,
        chat_template=with_tools(template, tokenizer.chat_template),
        start_timeout_s=engine.start_timeout_s,
    )


def api_key() -> str:
    """Return the key that requests must bring; empty: none. Raises ConfigError where it cannot be one."""
    key = os.environ.get(KEY_VARIABLE, "")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{KEY_VARIABLE}: holds a character that no request can bring; use letters, digits and signs of ASCII")
    return key


def free_port(host: str, port: int) -> int:
    """Return `port` if nobody has it, or for 0 one that nobody has. Raises UserError."""
    if not 0 <= port <= MAX_PORT:
        raise UserError(f"--port: got {port}; give a number up to {MAX_PORT}, 0 for any that is free")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that a server has just left is free
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise UserError(f"{host}:{port}: cannot be listened on ({error.strerror}); give another --port, 0 for any, or --host") from error


def ready(server: Server, start_s: float, *, has_key: bool) -> str:
    """Return what is printed once the server answers: where it is, and how to call it."""
    header = f' -H "Authorization: Bearer ${KEY_VARIABLE}"' if has_key else ""
    key = f'os.environ["{KEY_VARIABLE}"]' if has_key else '"none"'
    parameters = '{"type": "object", "properties": {"city": {"type": "string"}}}'
    tool = f'{{"type": "function", "function": {{"name": "get_weather", "parameters": {parameters}}}}}'
    message = '{"role": "user", "content": "What is the weather in Oslo?"}'
    return "\n".join(
        [
            f"ready after {start_s:.0f} s: {server.model} at {server.url}"
            + ("" if has_key else f" (no key asked for: {KEY_VARIABLE} is not set)"),
            "",
            "from a shell:",
            f"  curl {server.url}/chat/completions -H 'Content-Type: application/json'{header} \\",
            f'    -d \'{{"model": "{server.model}", "messages": [{message}], "tools": [{tool}]}}\'',
            "",
            "from Python:",
            *(["  import os"] if has_key else []),
            "  from openai import OpenAI",
            f'  client = OpenAI(base_url="{server.url}", api_key={key})',
            f"  tools = [{tool}]",
            f'  answer = client.chat.completions.create(model="{server.model}", messages=[{message}], tools=tools).choices[0].message',
            "  print(answer.reasoning, answer.tool_calls, answer.content)",
            "",
            "Ctrl-C stops it",
        ]
    )


def _max_model_len(wanted: int, found: FoundModel) -> int:
    """Return how long conversations may be. Raises ConfigError where the model cannot read so far."""
    most = found.config.get("max_position_embeddings")
    if not isinstance(most, int):
        if not wanted:
            raise ConfigError(f"engine.max_model_len: got 0, and {found.folder}/config.json does not say how long it may be; set it")
        return wanted
    if wanted > most:
        raise ConfigError(f"engine.max_model_len: got {wanted}, and {found.folder} reads {most} tokens at most; set it to {most}, or 0")
    return wanted or most


def _relay(line: str) -> None:
    """Show what the server says beside our own words."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM stop a body as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
