"""Conversations and completions <-> token ids, through a model's own tokenizer and chat template.

Prompts are encoded once, before they are sampled; from then on token ids travel, and text is only decoded for the verifier and for people.
Loading proves what the reward depends on: the four tags of a completion come back from encode and decode as they were.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolrl.data.hub import hub_answers
from toolrl.data.inside import is_inside
from toolrl.data.model_files import CHAT_TEMPLATE, REMEDY, TOKENIZER, require_readable
from toolrl.data.template import FILE_NAME, PromptTemplate
from toolrl.errors import ConfigError, DataError, UserError
from toolrl.monitor.jsonfile import read_object
from toolrl.types import Prompt

TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>")

_WEIGHTS = frozenset({".safetensors", ".bin"})
_MARK = "-end-of-turn-"
_LONGEST_WHY = 300
"""Characters shown of what Transformers says."""


class ChatTokenizer:
    """A tokenizer with a chat template."""

    def __init__(self, path: str, chat_template: str = "") -> None:
        """Load it from a folder, the local hub cache, or the hub; `chat_template` takes the place of its own.

        Raises UserError where there is none, and ConfigError where it cannot serve: no chat template or one that is not Jinja, or tags
        that vanish in decoding.
        """
        self._tokenizer = _load(path)
        if chat_template:
            self._tokenizer.chat_template = chat_template
        if not self._tokenizer.chat_template:
            raise ConfigError(f"{path}: the tokenizer has no chat template; use an instruction-tuned model, or add chat_template.jinja")
        self.stop_ids: tuple[int, ...] = self._find_stop_ids(path, self._after_answer(FILE_NAME if chat_template else _template_of(path)))
        """Tokens that end a turn: the one the chat template writes first, then the tokenizer's own end if it is another."""
        vanished = [tag for tag in TAGS if tag not in self.decode(self._encode(f"a {tag} b"))]
        if vanished:
            raise ConfigError(
                f"{path}: the tokenizer does not give {', '.join(vanished)} back when it decodes, so every reward would be 0; "
                'set "special": false for them in tokenizer.json and tokenizer_config.json'
            )

    @property
    def size(self) -> int:
        """Number of token ids."""
        return len(self._tokenizer)

    @property
    def chat_template(self) -> str:
        """The chat template that writes conversations without tools, in Jinja."""
        return str(self._tokenizer.get_chat_template())

    def encode_prompt(self, prompt: Prompt, template: PromptTemplate) -> NDArray[np.int32]:
        """Return the token ids [T] of a prompt, up to and including the header of the assistant's turn.

        Raises DataError where the chat template refuses the conversation.
        """
        return np.array(self._encode(self._written(prompt, template)), dtype=np.int32)

    def prompt_lengths(self, prompts: Sequence[Prompt], template: PromptTemplate) -> list[int]:
        """Return the number of tokens of each prompt, as `encode_prompt` makes them, read in parallel. Raises DataError."""
        texts = [self._written(prompt, template) for prompt in prompts]
        return [len(ids) for ids in self._tokenizer(texts, add_special_tokens=False)["input_ids"]] if texts else []

    def encode_completion(self, text: str) -> NDArray[np.int32]:
        """Return the token ids [T] of a completion, the token that ends the turn included."""
        return np.array([*self._encode(text), self.stop_ids[0]], dtype=np.int32)

    def decode(self, token_ids: NDArray[np.int32] | list[int]) -> str:
        """Return the text of token ids, as the engine returns it: without special tokens, otherwise untouched."""
        return str(self._tokenizer.decode([int(i) for i in token_ids], skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def pieces(self, token_ids: NDArray[np.int32]) -> list[str]:
        """Return the text of each token by itself, special ones included; a part of a character is `\ufffd`."""
        return [str(self._tokenizer.decode([int(i)], clean_up_tokenization_spaces=False)) for i in token_ids]

    def _written(self, prompt: Prompt, template: PromptTemplate) -> str:
        """Return the prompt through the chat template. Raises DataError where it refuses the conversation."""
        try:
            return str(self._tokenizer.apply_chat_template(template.render(prompt), tokenize=False, add_generation_prompt=True))
        except UserError:
            raise
        except Exception as error:  # a template may divide by zero
            raise DataError(f"prompt {prompt.id}: the model's chat template refuses the conversation ({error}); remove the row") from error

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _find_stop_ids(self, path: str, closing: str) -> tuple[int, ...]:
        """Read the end of a turn off what the chat template writes after an assistant's words, if that is a special token."""
        special = {i for i, token in self._tokenizer.added_tokens_decoder.items() if token.special}
        found = [i for i in self._encode(closing.lstrip())[:1] if i in special]
        end = self._tokenizer.eos_token_id
        stops = dict.fromkeys([*found, *([] if end is None else [int(end)])])
        if not stops:
            raise ConfigError(f"{path}: the tokenizer has no end-of-turn token; set eos_token in tokenizer_config.json")
        return tuple(stops)

    def _after_answer(self, where: str) -> str:
        """Return what the chat template writes after an assistant's words. Raises ConfigError where it cannot be rendered."""
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _MARK}]
        try:
            written = str(self._tokenizer.apply_chat_template(turns, tokenize=False))
        except Exception as error:  # a template may divide by zero
            raise ConfigError(f"{where}: the chat template cannot be used ({type(error).__name__}: {error}); mend it") from error
        if _MARK not in written:
            raise ConfigError(f"{where}: the chat template leaves out what is said (a conversation becomes {written[:80]!r}); mend it")
        return written.rpartition(_MARK)[2]


def _template_of(path: str) -> str:
    """Return where the chat template of a tokenizer is written."""
    file = Path(path) / CHAT_TEMPLATE
    return str(file) if file.is_file() else path


def _load(path: str) -> Any:
    from transformers import AutoTokenizer  # takes seconds: not before a tokenizer is asked for

    folder = Path(path)
    _require_own_files(folder)
    if folder.is_dir():
        require_readable(folder)
    is_path = folder.exists() or path.startswith(("/", ".", "~")) or path.count("/") > 1
    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # its parsers raise anything, plain Exception among it
        if os.path.lexists(folder / TOKENIZER):
            raise _unusable(folder, error) from error
        if is_path or not hub_answers():
            raise UserError(_nothing_at(path)) from error
    try:
        return AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(_nothing_at(path)) from error


def _unusable(folder: Path, error: Exception) -> UserError:
    """Say why a tokenizer that is there cannot be loaded. Raises UserError where its file is no JSON."""
    read_object(folder / TOKENIZER, remedy=REMEDY, error=UserError)
    why = " ".join(f"{type(error).__name__}: {error}".split())
    shown = why if len(why) <= _LONGEST_WHY else f"{why[:_LONGEST_WHY]} …"
    return UserError(
        f"{folder}: its tokenizer cannot be loaded from {TOKENIZER}, tokenizer_config.json and config.json ({shown}); "
        "put the model's own files back"
    )


def _require_own_files(folder: Path) -> None:
    """Raise UserError where something beside a model's weights is a link out of its folder: it would be copied with the model."""
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.is_file() and file.suffix not in _WEIGHTS and not is_inside(file, folder):
            raise UserError(
                f"{file}: a link to {file.resolve()}, outside the folder; what lies beside a model is copied with it, so put "
                "the file itself there"
            )


def _nothing_at(path: str) -> str:
    if Path(path).is_dir():
        return f"{path}: no tokenizer there; the folder must hold tokenizer.json and tokenizer_config.json"
    return f"{path}: no tokenizer there; give a folder that exists, or a model of the Hugging Face hub (if the hub can be reached)"
