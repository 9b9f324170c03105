"""A run goes on only from the rows and the model that it was started from, though the settings name the same places."""

import dataclasses

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import load_file, save_file

from toolrl.errors import RunFolderError
from toolrl.pipelines import started_from
from toolrl.pipelines.started_from import STARTED_FROM, model_facts, require_same, rows_facts
from toolrl.types import AcceptedCall, Message, Prompt, Tool, ToolCall

TOOL = Tool("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})
PROMPT = Prompt("p", "s", (Message("user", "1 + 1?"),), (TOOL,), (ToolCall("add", {"a": 1}),))
OTHERS = {
    "id": "q", "source": "t", "dialogue": "d", "messages": (Message("user", "1 + 2?"),),
    "tools": (dataclasses.replace(TOOL, description=""),),
    "reference": (ToolCall("add", {"a": 2}),), "accepted": (AcceptedCall("add", {"a": (1, 2)}),),
}  # fmt: skip


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Prompt)])
def test_whatever_a_prompt_holds_is_in_the_digest(field):
    other = dataclasses.replace(PROMPT, **{field: OTHERS[field]})
    assert rows_facts([PROMPT])["digest"] != rows_facts([other])["digest"]


def test_the_order_counts_and_the_number_is_told():
    two = [PROMPT, dataclasses.replace(PROMPT, id="q")]
    assert rows_facts(two)["digest"] != rows_facts(two[::-1])["digest"]
    assert rows_facts(two) == rows_facts(list(two))
    assert rows_facts(two)["prompts"] == 2


def test_a_model_whose_weights_were_trained_further_is_another(tmp_path):
    weights = {f"layer.{i}": np.full((64, 64), i, np.float32) for i in range(8)}
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    before = model_facts(str(tmp_path))
    assert before == model_facts(str(tmp_path))
    save_file({name: each + 1e-6 for name, each in load_file(tmp_path / "model.safetensors").items()}, tmp_path / "model.safetensors")
    after = model_facts(str(tmp_path))
    assert after["config.json"] == before["config.json"]
    assert after["weights"] != before["weights"]


@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja"])
def test_a_model_that_reads_or_shows_prompts_otherwise_is_another(tmp_path, name):
    (tmp_path / name).write_text("a")
    before = model_facts(str(tmp_path))
    (tmp_path / name).write_text("b")
    assert {key for key, value in model_facts(str(tmp_path)).items() if before[key] != value} == {"tokenizer"}


def test_samples_reach_the_last_byte_of_a_large_file(tmp_path, monkeypatch):
    monkeypatch.setattr(started_from, "_SAMPLE_BYTES", 4)
    (tmp_path / "model.safetensors").write_bytes(bytes(10_000))
    before = model_facts(str(tmp_path))
    for place in (0, 9_999):
        content = bytearray(10_000)
        content[place] = 1
        (tmp_path / "model.safetensors").write_bytes(content)
        assert model_facts(str(tmp_path)) != before


def test_a_model_of_the_hub_is_its_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "a" * 40
    snapshot = tmp_path / "models--org--name" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (tmp_path / "models--org--name" / "refs").mkdir()
    (tmp_path / "models--org--name" / "refs" / "main").write_text(commit)
    assert model_facts("org/name") == {"revision": commit}
    assert model_facts("org/unknown") == {}


def test_a_resume_from_something_else_is_refused_with_the_difference(tmp_path):
    facts = {"model.path": {"revision": "a"}, "data.train": {"prompts": 2, "digest": "d"}}
    (tmp_path / STARTED_FROM).write_text(require_same(tmp_path, facts))
    assert require_same(tmp_path, facts) == (tmp_path / STARTED_FROM).read_text()
    with pytest.raises(RunFolderError) as caught:
        require_same(tmp_path, facts | {"data.train": {"prompts": 3, "digest": "e"}})
    assert "  data.train: the run has prompts 2, digest d, got prompts 3, digest e\n" in str(caught.value)
    assert "model.path" not in str(caught.value)


def test_a_model_that_no_cache_knows_is_not_another(tmp_path):
    (tmp_path / STARTED_FROM).write_text('{"model.path": {"revision": "a"}}')
    require_same(tmp_path, {"model.path": {}})
