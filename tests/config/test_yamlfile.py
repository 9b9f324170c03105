"""Whatever a file holds, reading it as YAML ends in values or in one line, at once."""

import os

import pytest

from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.config.yamlfile import read_settings, read_yaml
from toolrl.errors import ConfigError

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfea", "not UTF-8 text (invalid start byte at byte 0)"),
        (b"a: [1", "not readable as YAML: while parsing a flow sequence at line 1, column 4"),
        (b"a: \x00", "not readable as YAML: unacceptable character"),
        (b"a: {b: 1}\na: {b: 2}\n", "duplicate key a"),
        (b"a: " + b"[" * 20_000 + b"]" * 20_000, "nested too deep"),
        (b"a: " + b"9" * 5000, "Exceeds the limit"),
        (b"a: &a [*a]", "recursive aliases"),
        (b"a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        (b"7", "Invalid loaded object type: int"),
        (BOMB.encode(), "expansion exceeds"),
    ],
)
def test_what_is_no_yaml_is_one_line_that_says_what_to_do(tmp_path, content, said):
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path, resolve=True)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfrun: {steps: 3}")
    assert read_yaml(tmp_path / "c.yaml", resolve=True) == {"run": {"steps": 3}}


def test_a_problem_of_a_setting_names_the_file_that_states_it(tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("run: {steps: many}\nmodel: {path: m}\ndata: {train: t}\nloop: {prompts_per_batch: 0}\n")
    two.write_text("sampling: {n: [1]}\nreward: {functions: {a: x}}\n")
    with pytest.raises(ConfigError) as caught:
        load(RlConfig, [str(one), str(two), "learner.lr=fast"])
    assert caught.value.problems[:4] == (
        f"{one}: run.steps: got 'many'; expected int",
        f"{two}: sampling.n: got [1]; expected int",
        f"{two}: reward.functions: got {{'a': 'x'}}; expected dict[str, float]",
        "learner.lr: got 'fast'; expected float",
    )
    assert f"{one}: loop.prompts_per_batch: got 0; set it to 1 or more" in caught.value.problems


@pytest.mark.parametrize("word", ["run.steps=" + "9" * 5000, "run.steps=" + "[" * 20_000])
def test_an_override_without_end_is_one_short_line(word):
    with pytest.raises(ConfigError) as caught:
        load(RlConfig, ["model.path=m", "data.train=t", word])
    assert len(str(caught.value)) < 400


def test_an_override_may_be_longer_than_a_name_of_a_file():
    words = ", ".join(f"module_{number}:reward: 1" for number in range(40))
    config = load(RlConfig, ["model.path=m", "data.train=t", f"reward.functions={{{words}}}"])
    assert len(config.reward.functions) == 40


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="not a file; name another"):
        read_yaml(tmp_path / "a.yaml", resolve=True)


def test_settings_are_read_as_they_are_written(tmp_path):
    (tmp_path / "c.yaml").write_text("run: {dir: 'runs/${x}', steps: 3}\nold: {gone: [1]}\n")
    assert read_settings(tmp_path / "c.yaml") == {"run.dir": "runs/${x}", "run.steps": 3, "old.gone": [1]}


@pytest.mark.parametrize(
    ("text", "why"), [("- 1", "it holds no sections"), ("run: 3", "it holds no sections"), ("a: [1", "not readable as YAML")]
)
def test_what_is_no_file_of_settings_says_why(tmp_path, text, why):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"^not readable as settings \({why}"):
        read_settings(tmp_path / "c.yaml")
