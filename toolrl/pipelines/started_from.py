"""What a run was started from: digests of its rows and of its model, kept in its folder, so that it never goes on from anything else.

    data.train, data.heldout ─ every prompt, whole, in order ─> number, digest    ┐
    model.path, a folder     ─ settings, tokenizer, samples of weights ─> digests ├─> started_from.json
    model.path, of the hub   ─ commit of the snapshot in the cache ─> revision    ┘

The settings name places; what lies there may change under the same name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from toolrl.data.jsontext import dumps
from toolrl.errors import RunFolderError
from toolrl.monitor.jsonfile import read_if_there
from toolrl.types import Json, Message, Prompt, ToolCall

STARTED_FROM = "started_from.json"
_SAMPLES, _SAMPLE_BYTES = 64, 65_536
"""Of each file of weights: places, evenly spread, the first and the last byte among them. A step of training changes every weight."""
_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "tokenizer.model",
)  # fmt: skip
"""What decides which token ids a prompt has."""
_DIGEST_BYTES = 16

Facts = Mapping[str, Mapping[str, Json]]
"""Setting -> what lies there."""


def rows_facts(prompts: Sequence[Prompt]) -> Mapping[str, Json]:
    """Return the number of prompts, and a digest of all that they hold, in their order."""
    found = blake2b(digest_size=_DIGEST_BYTES)
    for prompt in prompts:
        found.update(dumps(_whole(prompt)).encode() + b"\n")
    return {"prompts": len(prompts), "digest": found.hexdigest()}


def model_facts(path: str) -> Mapping[str, Json]:
    """Return what tells the model at `path`, a folder or a name of the hub, from any other; nothing where no cache knows the name."""
    folder = Path(path)
    if not folder.is_dir():
        cached = try_to_load_from_cache(path, "config.json")
        return {"revision": Path(cached).parent.name} if isinstance(cached, str) else {}
    weights = sorted(file for suffix in ("*.safetensors", "*.bin") for file in folder.glob(suffix))
    config = folder / "config.json"
    facts: dict[str, Json] = {"config.json": _digest([config.read_bytes()])} if config.is_file() else {}
    tokenizer = [folder / name for name in _TOKENIZER if (folder / name).is_file()]
    facts |= {"tokenizer": _digest(part for file in tokenizer for part in (f"{file.name}\n".encode(), file.read_bytes()))}
    return facts | {"weights": _digest(part for file in weights for part in _samples(file))}


def require_same(run: Path, found: Facts) -> str:
    """Return the text of started_from.json. Raises RunFolderError where the run in `run` was started from else, with the difference."""
    path = run / STARTED_FROM
    was = read_if_there(path, remedy="put back the file that the run wrote")
    if was is None:
        return json.dumps(found, indent=2) + "\n"
    lines = [f"  {key}: the run has {_shown(was[key])}, got {_shown(now)}" for key, now in found.items() if _differs(was, key, now)]
    if lines:
        remedy = f"put back what was there, as in its {STARTED_FROM}, to resume it; or name another run.dir"
        raise RunFolderError("\n".join([f"run.dir: {run} holds a run that was started from something else", *lines, remedy]))
    return path.read_text(encoding="utf-8")


def _differs(was: Mapping[str, Json], setting: str, now: Mapping[str, Json]) -> bool:
    before = was.get(setting)
    return isinstance(before, Mapping) and any(before[name] != now[name] for name in before.keys() & now.keys())


def _shown(facts: Json) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items()) if isinstance(facts, Mapping) else repr(facts)


def _whole(prompt: Prompt) -> list[Json]:
    messages = [_message(message) for message in prompt.messages]
    tools: list[Json] = [[tool.name, tool.description, dict(tool.parameters)] for tool in prompt.tools]
    accepted: list[Json] = [[call.name, {name: list(values) for name, values in call.values.items()}] for call in prompt.accepted]
    return [prompt.id, prompt.source, prompt.dialogue, messages, tools, _calls(prompt.reference), accepted]


def _message(message: Message) -> list[Json]:
    return [message.role, message.content, _calls(message.tool_calls)]


def _calls(calls: Sequence[ToolCall]) -> list[Json]:
    return [[call.name, dict(call.arguments)] for call in calls]


def _samples(file: Path) -> Iterable[bytes]:
    size = file.stat().st_size
    yield f"{file.name} {size}\n".encode()
    with file.open("rb") as content:
        for i in range(_SAMPLES):
            content.seek(max(0, size - _SAMPLE_BYTES) * i // (_SAMPLES - 1))
            yield content.read(_SAMPLE_BYTES)


def _digest(parts: Iterable[bytes]) -> str:
    found = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        found.update(part)
    return found.hexdigest()
