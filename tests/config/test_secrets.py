"""A key among the settings is refused, and not repeated."""

import pytest

from toolrl.cli.main import main
from toolrl.config.asking import DistillConfig
from toolrl.config.load import from_values, load
from toolrl.config.schema import RlConfig
from toolrl.errors import ConfigError

HUB = "hf_" + "aB3" * 11
OPENAI = "sk-proj-" + "x_9" * 9


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name in ("WANDB_API_KEY", "HF_TOKEN", "RAY_AUTH_TOKEN", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def refused(kind, *arguments):
    with pytest.raises(ConfigError) as told:
        load(kind, arguments)
    return str(told.value)


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "HF_TOKEN", "RAY_AUTH_TOKEN", "MY_SECRET", "DB_PASSWORD"])
def test_the_value_of_a_secret_variable_is_no_setting(keys, name):
    keys.setenv(name, "correct-horse-battery")
    text = refused(RlConfig, "data.train=/data?as=correct-horse-battery", "sampling.n=many")
    assert text.startswith(f"data.train: holds the value of the environment variable {name}; leave it there")
    assert "correct-horse" not in text
    assert "sampling.n" not in text, "other messages repeat what was got"


def test_a_file_that_asks_for_one_is_refused_too(keys, tmp_path):
    keys.setenv("WANDB_API_KEY", "correct-horse-battery")
    (tmp_path / "a.yaml").write_text("monitor:\n  wandb_project: ${oc.env:WANDB_API_KEY}\n")
    assert "WANDB_API_KEY; leave it there" in refused(RlConfig, str(tmp_path / "a.yaml"))


@pytest.mark.parametrize("key", [HUB, OPENAI, "ghp_" + "a1" * 18, "glpat-" + "a" * 20, "AKIA" + "A1" * 8])
@pytest.mark.parametrize("setting", ["model.path={}", "data.train=https://x/{}/rows", "reward.functions={{'{}': 1}}"])
def test_what_looks_like_a_key_is_no_setting(key, setting):
    text = refused(RlConfig, setting.format(key))
    assert "holds what looks like a key; put it into an environment variable" in text
    assert key not in text


@pytest.mark.parametrize("setting", ["endpoint.api_key", "wandb.token", "judge.api-key", "password", "endpoint.apikey"])
def test_a_setting_that_would_be_a_key_is_refused_without_its_value(setting):
    text = refused(DistillConfig, f"{setting}=short")
    assert f"{setting}: no key is read from settings" in text
    assert "short" not in text


@pytest.mark.parametrize("value", ["f00dcafe" * 4, "sk-1", "my key"])
def test_a_key_where_its_variable_is_to_be_named_is_not_repeated(value):
    text = refused(DistillConfig, f"endpoint.key_variable={value}")
    assert "endpoint.key_variable: expected the name of an environment variable" in text
    assert value not in text


@pytest.mark.parametrize("value", ["OPENAI_API_KEY", "MY_KEY2", ""])
def test_the_name_of_a_variable_is_fine(value):
    problems = refused(DistillConfig, f"endpoint.key_variable={value}")
    assert "key_variable" not in problems


def test_settings_of_a_recipe_are_looked_at_too():
    with pytest.raises(ConfigError, match="looks like a key"):
        from_values(RlConfig, {"model.path": HUB})


@pytest.mark.parametrize("value", ["Qwen/Qwen2.5-7B-Instruct", "runs/token", "data/sk-learn", "hf_models/x", "hf_" + "a" * 20])
def test_names_that_are_no_keys_pass(keys, value):
    keys.setenv("HF_TOKEN", "x")  # short: a word that may stand anywhere
    assert load(RlConfig, ["conf/demo.yaml", f"model.path={value}"]).model.path == value


def test_the_command_line_says_it_once_and_ends_with_2(capsys, tmp_path):
    assert main(["rl", "conf/demo.yaml", f"run.dir={tmp_path / 'run'}", f"model.path={HUB}"]) == 2
    out, err = capsys.readouterr()
    assert "model.path: holds what looks like a key" in err
    assert HUB not in out + err
    assert not (tmp_path / "run").exists()
