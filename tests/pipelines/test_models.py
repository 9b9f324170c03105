"""What a path names that may be a model or a run."""

import json

import pytest

from toolrl.errors import UserError
from toolrl.pipelines.models import find_model


@pytest.fixture
def model():
    """Make the look of a model in a folder."""

    def make(folder, **config):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", **config}))
        (folder / "model.safetensors").write_bytes(b"")
        return folder

    return make


@pytest.fixture
def run(tmp_path):
    """A run that has saved version 20."""
    folder = tmp_path / "mine"
    (folder / "checkpoints" / "version-00000020").mkdir(parents=True)
    (folder / "config.yaml").write_text("run: {}")
    (folder / "versions.json").write_text("{}")
    (folder / "checkpoints" / "version-00000020" / "COMPLETE").write_text("{}")
    (folder / "checkpoints" / "version-00000040").mkdir()  # killed before its mark
    return folder


def test_a_model_folder_is_itself_and_the_demos_model_ships_with_the_package(tmp_path, model):
    found = find_model(str(model(tmp_path / "m", max_position_embeddings=64)))
    assert (found.folder, found.run, found.name) == (tmp_path / "m", None, "m")
    assert found.config["max_position_embeddings"] == 64
    assert find_model("demo://start").folder.name == "start"


def test_of_a_run_it_is_the_final_model_or_the_best_and_bears_the_runs_name(run, model):
    final, best = model(run / "final"), model(run / "checkpoints" / "best")
    (run / "summary.json").write_text("{}")
    assert find_model(str(run)).folder == final
    assert find_model(str(run), best=True).folder == best
    for path in (run, final, best):
        found = find_model(str(path))
        assert (found.run, found.name) == (run, "mine")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "no such folder; name the folder of a model or of a run, a model of the Hugging Face hub, or demo://start"),
        ("file", "is a file"),
        ("empty", "is no model: it lacks config.json and holds nothing"),
        ("odd", "is no model: it lacks config.json and holds 0, 1, 2, 3 and 2 more"),
        ("bare", r"is no model: it lacks weights \(\*.safetensors\)"),
        ("broken", "config.json: not readable as JSON"),
        ("typeless", "names no model_type"),
    ],
)
def test_any_other_path_is_answered_with_what_is_there(tmp_path, model, name, message):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    for number in range(6):
        (tmp_path / "odd" / str(number)).write_text("")
    (model(tmp_path / "bare") / "model.safetensors").unlink()
    (model(tmp_path / "broken") / "config.json").write_text("{")
    (model(tmp_path / "typeless") / "config.json").write_text("{}")
    with pytest.raises(UserError, match=message):
        find_model(str(tmp_path / name))


def test_a_run_that_is_gone_on_with_has_no_final_model_until_it_ends_again(run, model):
    final = model(run / "final")
    with pytest.raises(UserError, match="the run has not ended"):
        find_model(str(run))
    assert find_model(str(final)).folder == final


def test_a_run_that_has_not_ended_says_what_there_is(run, model):
    with pytest.raises(UserError, match=r"has not ended, so it has no final model; its newest checkpoint is of version 20\. End it"):
        find_model(str(run))
    best = model(run / "checkpoints" / "best")
    with pytest.raises(UserError, match=f"version 20, and its best model so far is {best}"):
        find_model(str(run))


def test_the_folder_of_an_evaluation_is_no_run(tmp_path):
    (tmp_path / "config.yaml").write_text("run: {}")
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(UserError, match=r"is no model: it lacks config\.json and holds config\.yaml, scores\.json"):
        find_model(str(tmp_path))


def test_a_model_of_the_hub_is_found_in_its_cache_and_named_by_its_last_part(tmp_path, monkeypatch, model):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--org--Some-1.5B"
    model(cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    found = find_model("org/Some-1.5B")
    assert (found.name, found.folder, found.run) == ("Some-1.5B", cached / "snapshots" / "abc", None)
    monkeypatch.setattr("toolrl.pipelines.models.hub_answers", lambda: False)
    (cached / "snapshots" / "abc" / "model.safetensors").unlink()
    for name in ("org/Some-1.5B", "org/absent"):
        with pytest.raises(UserError, match=f"{name}: no such folder, and no such model in the cache of the hub, which does not answer"):
            find_model(name)


def test_where_no_best_model_is_kept_the_message_says_so(run, model, tmp_path):
    with pytest.raises(UserError, match=r"keeps no best model \(its newest checkpoint is of version 20\); leave --best out"):
        find_model(str(run), best=True)
    with pytest.raises(UserError, match="is no run, so none of its models is the best"):
        find_model(str(model(tmp_path / "m")), best=True)


def test_a_checkpoint_to_resume_from_is_no_model_and_the_message_says_how_to_make_one(run):
    with pytest.raises(UserError, match=f"toolrl export {run} --version 20"):
        find_model(str(run / "checkpoints" / "version-00000020"))
