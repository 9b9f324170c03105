"""`toolrl export`: a folder that Transformers, vLLM and toolrl load, and a card that tells what is known and nothing of this machine."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer

from toolrl.cli.main import main
from toolrl.config.load import to_yaml
from toolrl.config.schema import DataConfig, ModelConfig, RlConfig
from toolrl.config.sft import SftConfig, SftDataConfig
from toolrl.data.demo.generate import demo_prompts
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.pipelines.exporting.lineage import public
from toolrl.pipelines.inputs import resolve_model

START = Path(resolve_model("demo://start"))
PREPARED = {
    "inputs": {"Salesforce/xlam-function-calling-60k": 90, "data/rows.jsonl": 10},
    "table": [
        {"source": "xLAM", "turns": "single", "raw": 90, "kept": 80},
        {"source": "mine|yours", "turns": "multi", "raw": 10, "kept": 12},
    ],
    "licences": {"mine|yours": ["MIT", "CC0"]},
    "rows_in": 100,
    "kept": {"train": 82, "heldout": 10},
    "dropped": {"no_call": {"rows": 5, "samples": []}},
    "contamination": {"removed": True, "benchmarks": {"BFCL": {"items": 9, "hits": 3}, "API-Bank": {"items": 9, "hits": 0}}},
}
DISTILLED = {
    "endpoint_model": "teacher",
    "model": "http://x/v1",
    "data": "/home/me/data",
    "keep": "shortest",
    "prompts": 100,
    "demonstrations": 67,
}
ESTIMATE = {"measure": "official", "name": "Non-Live", "formula": "mean of a, b", "items": 400, "value": 0.5, "low": 0.45, "high": 0.55}
SCORES = {"benchmark": "bfcl", "model": "elsewhere/m", "estimates": [ESTIMATE, {**ESTIMATE, "name": "Overall", "value": None}]}


@pytest.fixture
def make_run(tmp_path):
    """Make the folder of a run that has ended, with the demo's start model as what it ended with."""

    def make(name, config, summary, *, version=None):
        run = tmp_path / "secret-place" / name
        final = run / "final" if version is None else run / "checkpoints" / "best"
        shutil.copytree(START, final)
        if version is not None:
            (final / "state.json").write_text(json.dumps({"version": version}))
            (final / "COMPLETE").write_text("{}")
        (run / "config.yaml").write_text(to_yaml(config))
        attempt = {"git": "abc123", "python": "3.11", "packages": {"torch": "2.13.0", "numpy": "2"}}
        (run / "versions.json").write_text(json.dumps({"attempts": [{}, attempt]}))
        (run / "summary.json").write_text(json.dumps(summary))
        return run

    return make


@pytest.fixture
def run(make_run, tmp_path):
    """A run of reinforcement learning that began where a supervised one ended."""
    data = tmp_path / "secret-place" / "mine"
    data.mkdir(parents=True)
    (data / "report.json").write_text(json.dumps(PREPARED))
    distilled = tmp_path / "secret-place" / "taught"
    distilled.mkdir()
    (distilled / "report.json").write_text(json.dumps(DISTILLED | {"samples": 300, "samples_right": 200}))
    (distilled / "demonstrations.jsonl").write_text("")
    first = make_run(
        "first",
        SftConfig(model=ModelConfig(path="Qwen/Qwen2.5-0.5B"), data=SftDataConfig(train=str(distilled / "demonstrations.jsonl"))),
        {"steps": 30, "heldout_loss_before": 2.0, "heldout_loss_after": 0.5},
    )
    config = RlConfig(model=ModelConfig(path=str(first / "final"), dtype="float32"), data=DataConfig(train=str(data), heldout=str(data)))
    return make_run(
        "second", config, {"steps": 7, "heldout_reward_before": 0.25, "heldout_reward_after": 0.75, "heldout_greedy_before": None}
    )


def export(source, out, *more):
    return main(["export", str(source), "--out", str(out), *map(str, more)])


def test_an_export_loads_in_transformers_and_shows_tools_as_in_training(run, tmp_path):
    assert export(run, tmp_path / "out") == 0
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.generation_config.eos_token_id == [2]
    tokenizer, template = AutoTokenizer.from_pretrained(tmp_path / "out"), PromptTemplate.load("demo")
    ours = ChatTokenizer(str(START))
    for prompt in demo_prompts("heldout", 20):
        tools = [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
            for t in prompt.tools
        ]
        messages = [{"role": turn.role, "content": turn.content} for turn in prompt.messages]
        shown = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True)["input_ids"]
        assert shown == ours.encode_prompt(prompt, template).tolist()


def test_toolrl_finds_template_and_tokenizer_of_an_export_as_they_were(run, tmp_path):
    assert export(run, tmp_path / "out") == 0
    template = PromptTemplate.load("", model_path=str(tmp_path / "out"))
    assert template.source == PromptTemplate.load("", model_path=str(START)).source
    prompt = next(demo_prompts("heldout", 1))
    again, before = ChatTokenizer(str(tmp_path / "out"), template.chat), ChatTokenizer(str(START), template.chat)
    assert again.encode_prompt(prompt, template).tolist() == before.encode_prompt(prompt, template).tolist()
    assert again.stop_ids == before.stop_ids
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (START / "model.safetensors").read_bytes()


def test_an_export_exported_again_tells_the_same_and_has_one_chat_template(run, tmp_path):
    assert export(run, tmp_path / "one", "--name", "me/mine") == 0
    assert export(tmp_path / "one", tmp_path / "two") == 0
    assert export(tmp_path / "one", tmp_path / "one") == 0
    one, two = (json.loads((tmp_path / name / "toolrl.json").read_text()) for name in ("one", "two"))
    assert one["lineage"] == two["lineage"]
    assert [stage["run"] for stage in one["lineage"]["stages"]] == ["first", "second"]
    assert (tmp_path / "one" / "chat_template.jinja").read_text() == (tmp_path / "two" / "chat_template.jinja").read_text()


def test_the_card_tells_every_stage_its_data_and_the_scores_and_no_place_of_this_machine(run, tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps(SCORES))
    assert export(run, tmp_path / "out", "--name", "me/mine", "--scores", tmp_path / "scores.json") == 0
    text = (tmp_path / "out" / "README.md").read_text()
    for told in (
        "trained from Qwen/Qwen2.5-0.5B by supervised training on demonstrations, then by reinforcement learning",
        "final weights of the run `second`, after 7 batches",
        "30 optimizer steps of the run `first`. Over the whole run: held-out loss 2.000 → 0.500.",
        "reward on held-out prompts, sampled 0.250 → 0.750.",
        "| bfcl | official rules | Non-Live | 50.0 % | 45.0 to 55.0 % | 400 | mean of a, b |",
        "| `model.path` | `final` |",
        "Made with commit abc123, python 3.11, torch 2.13.0.",
        "100 rows; 82 prompts to train on, 10 held out, 5 left out.",
        "| xLAM | single | 90 | 80 | not stated |",
        "| mine\\|yours | multi | 10 | 12 | MIT, CC0 |",
        "the requests of BFCL, API-Bank; 3 found, which were removed.",
        "67 demonstrations of 100 prompts of `data`, answered by `teacher` (200 of 300 samples are right; kept: shortest).",
        'AutoTokenizer.from_pretrained("me/mine")',
    ):
        assert told in text
    for file in ("README.md", "toolrl.json"):
        assert "secret-place" not in (tmp_path / "out" / file).read_text()
    assert "Overall" not in text


def test_the_hub_reads_the_card(run, tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps(SCORES))
    assert export(run, tmp_path / "out", "--scores", tmp_path) == 0
    data = ModelCard.load(tmp_path / "out" / "README.md").data
    assert data.base_model == "Qwen/Qwen2.5-0.5B"
    assert data.datasets == ["Salesforce/xlam-function-calling-60k"]
    assert data.tags == ["tool-calling", "function-calling", "toolrl", "sft", "grpo"]
    (result,) = data.eval_results
    assert (result.dataset_type, result.metric_name, result.metric_value) == ("bfcl", "Non-Live (official rules)", 0.5)


def test_what_is_not_known_of_a_model_is_said_to_be_not_known(tmp_path, capsys):
    assert export("demo://start", tmp_path / "out") == 0
    assert "how the model was trained is not known here" in capsys.readouterr().out
    text = (tmp_path / "out" / "README.md").read_text()
    assert "How it was trained was not recorded." in text
    assert "None were given when this card was made." in text
    assert "## Training" not in text


def test_scores_of_another_model_are_pointed_out(run, tmp_path, capsys):
    for model, pointed in ((run / "final", False), (run / "checkpoints" / "best", True)):
        (tmp_path / "scores.json").write_text(json.dumps(SCORES | {"model": str(model)}))
        assert export(run, tmp_path / "out", "--scores", tmp_path / "scores.json") == 0
        assert ("make sure that these are the same weights" in capsys.readouterr().out) is pointed


def test_the_best_model_of_a_run_is_told_with_its_step(make_run, tmp_path):
    run = make_run("mine", RlConfig(model=ModelConfig(path="demo://start"), data=DataConfig(train="demo://train")), {"steps": 9}, version=4)
    assert export(run, tmp_path / "out", "--best", "--json") == 0
    assert "best weights on held-out prompts of the run `mine`, after 4 batches" in (tmp_path / "out" / "README.md").read_text()
    assert not {"state.json", "COMPLETE"} & {file.name for file in (tmp_path / "out").iterdir()}


def test_a_template_without_reasoning_shows_a_form_without_it(tmp_path):
    assert export("demo://start", tmp_path / "out", "--template", "tool_n1_no_think") == 0
    text = (tmp_path / "out" / "README.md").read_text()
    assert "<think>" not in text
    assert "A model that calls tools" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "absent: no such folder"),
        (["."], "is no model: it lacks config.json"),
        (["demo://start", "--version", "3"], "is no run, so it has no versions"),
        (["demo://start", "--best"], "is no run, so none of its models is the best"),
        (["demo://start", "--scores", "absent"], "absent: no such file; give as --scores a scores.json"),
        (["demo://start", "--scores", "text"], "text: not readable as JSON"),
        (["demo://start", "--scores", "odd"], "--scores: odd holds no scores (KeyError('estimates'))"),
        (["demo://start", "--template", "absent"], "prompt template: got 'absent'"),
        (["demo://start", "--out", "text"], "text is a file; name another folder"),
        (["demo://start", "--out", "theirs"], "theirs exists and is no folder that `toolrl export` made"),
        (["pickled"], "its weights are pickles"),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("{")
    (tmp_path / "odd").write_text('{"benchmark": "b"}')
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "toolrl.json").write_text("{}")
    shutil.copytree(START, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "pytorch_model.bin")
    before = set(tmp_path.rglob("*"))
    assert main(["export", *arguments, *([] if "--out" in arguments else ["--out", "out"])]) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""
    assert set(tmp_path.rglob("*")) == before


def test_a_run_that_has_not_ended_says_what_there_is(run, tmp_path, capsys):
    shutil.rmtree(run / "final")
    assert export(run, tmp_path / "out") == 2
    assert "the run has not ended, so it has no final model; it has no checkpoint" in capsys.readouterr().err


def test_settings_of_another_version_of_toolrl_are_said(run, tmp_path, capsys):
    (run / "config.yaml").write_text("model: {path: x, gone: 1}")
    assert export(run, tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert "its settings are of another version of toolrl; export the folder of its model instead" in err
    assert "unknown setting 'model.gone'" in err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.json", "[]"),
        ("summary.json", '{"steps": "3"}'),
        ("versions.json", '{"attempts": [{"packages": 7}]}'),
        ("final/generation_config.json", "null"),
        ("final/config.json", '{"model_type": "qwen2", "hidden_size": "wide"}'),
    ],
)
def test_a_damaged_file_of_a_run_is_named_and_nothing_is_written(run, tmp_path, capsys, name, content):
    file = run / name
    file.unlink(missing_ok=True)
    file.write_text(content)
    assert main(["export", str(run), "--out", str(tmp_path / "out")]) == 2
    assert file.name in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ['{"lineage": 7}', '{"lineage": {"base": "b", "stages": [{"run": 1, "data": []}]}}', "[]"])
def test_a_damaged_lineage_is_named(tmp_path, capsys, content):
    model = shutil.copytree(START, tmp_path / "model")
    (model / "toolrl.json").write_text(content)
    assert main(["export", str(model), "--out", str(tmp_path / "out")]) == 2
    assert "model/toolrl.json: " in capsys.readouterr().err


def test_a_folder_of_ours_is_replaced_unless_it_holds_a_file_of_somebody(tmp_path, capsys):
    assert export("demo://start", tmp_path / "out") == 0
    assert export("demo://start", tmp_path / "out", "--name", "again") == 0
    assert "# again" in (tmp_path / "out" / "README.md").read_text()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert export("demo://start", tmp_path / "out") == 2
    assert "holds notes.txt too, which a new export would remove" in capsys.readouterr().err
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_what_a_models_folder_links_to_elsewhere_is_not_published(tmp_path, capsys):
    assert export("demo://start", tmp_path / "out") == 0
    (tmp_path / "secret").write_text("mine")
    for name in ("NOTES.md", "model-2.safetensors"):
        (tmp_path / "out" / name).symlink_to(tmp_path / "secret")
        assert export(tmp_path / "out", tmp_path / "published") == 2
        assert f"{name}: a link to {tmp_path / 'secret'}, outside the folder" in capsys.readouterr().err
        assert not (tmp_path / "published").exists()
        (tmp_path / "out" / name).unlink()


def test_an_export_that_fails_on_the_way_leaves_the_former_one(tmp_path, monkeypatch):
    assert export("demo://start", tmp_path / "out") == 0
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    monkeypatch.setattr("toolrl.pipelines.export.readme", lambda card: 1 / 0)
    for name in ("out", "new"):
        with pytest.raises(ZeroDivisionError):
            export("demo://start", tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


@pytest.mark.stack
@pytest.mark.timeout(900)  # it may be the one that makes the run
def test_the_newest_version_of_a_real_run_is_its_final_model(real_run, tmp_path, capsys):
    newest = max(int(path.name.removeprefix("version-")) for path in (real_run / "checkpoints").glob("version-*"))
    assert export(real_run, tmp_path / "final") == 0
    assert export(real_run, tmp_path / "made", "--version", newest) == 0
    assert capsys.readouterr().err == ""
    for name in ("model.safetensors", "chat_template.jinja", "prompt.template", "config.json", "generation_config.json", "tokenizer.json"):
        assert (tmp_path / "made" / name).read_bytes() == (tmp_path / "final" / name).read_bytes()
    assert export(real_run, tmp_path / "other", "--version", newest + 1) == 2
    assert f"has no whole checkpoint of version {newest + 1}, but of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("/home/me/data/rows.jsonl", "rows.jsonl"),
        ("secret/rows.jsonl", "rows.jsonl"),
        ("./secret/rows", "rows"),
        ("data/secret/rows", "rows"),
        ("here/rows", "rows"),
        ("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"),
        ("demo://train?rows=60", "demo://train?rows=60"),
        ("tool_n1", "tool_n1"),
        ("", ""),
    ],
)
def test_of_a_place_on_this_machine_only_the_last_name_is_told_however_it_was_written(tmp_path, monkeypatch, place, told):
    (tmp_path / "here" / "rows").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert public(place) == told
