"""Settings are read from files and overrides, and every problem is reported at once."""

from pathlib import Path

import pytest
import yaml

from toolrl.config.kinds import KINDS
from toolrl.config.load import load, settings, to_yaml
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf"
GOOD = ("model.path=m", "data.train=t.jsonl")


def problems(*arguments):
    with pytest.raises(ConfigError) as caught:
        load(RlConfig, arguments)
    return caught.value.problems


def test_files_merge_left_to_right_and_overrides_win(tmp_path):
    a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
    a.write_text("run: {steps: 1, seed: 5}\nmodel: {path: m}\ndata: {train: t}\n")
    b.write_text("run: {steps: 2}\n")
    config = load(RlConfig, [str(a), str(b), "loop.max_staleness=3"])
    assert (config.run.steps, config.run.seed, config.loop.max_staleness) == (2, 5, 3)


def test_an_unknown_key_is_answered_with_the_nearest_name():
    assert problems(*GOOD, "loop.max_stalness=2") == (
        "loop.max_stalness=2: unknown setting 'loop.max_stalness'; did you mean 'loop.max_staleness'?",
    )


def test_all_problems_come_at_once(tmp_path):
    missing = tmp_path / "nowhere.yaml"
    found = problems(str(missing), "run.steps=many", "sampling.n=1", "reward.mode=kind")
    assert len(found) == 6
    assert f"{missing}: no such file" in found[0]
    assert "run.steps: got 'many'; expected int" in found[1]
    assert {line.split(":")[0] for line in found[2:]} == {"reward.mode", "model.path", "data.train", "sampling.n"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.steps=0", "run.steps: got 0; set it to 1 or more"),
        ("learner.lr=0", "learner.lr: got 0.0; set it above 0"),
        ("weights.backend=nccl", "weights.backend: nccl needs cluster.device=cuda; use gloo"),
        ("engine.max_model_len=100", "engine.max_model_len: got 100, prompts and completions may have 5120 tokens; set it to 5120 or 0"),
        ("learner.minibatches=64", "learner.minibatches: got 64 for 32 groups in a batch; lower it"),
        ("learner.beta2=1", "learner.beta2: got 1.0; set it to 0 or more and below 1"),
        ("learner.beta1=-0.1", "learner.beta1: got -0.1; set it to 0 or more and below 1"),
        ("algo.entropy_coef=nan", "algo.entropy_coef: got nan; set it to a finite number"),
        ("algo.kl_coef=.inf", "algo.kl_coef: got inf; set it to a finite number"),
        ("algo.importance=on", "algo.importance: got True; expected str"),
    ],
)
def test_a_contradiction_names_the_key_what_was_got_and_what_to_do(override, message):
    assert problems(*GOOD, override) == (message,)


ENGINES = ("eval.heldout=h.jsonl",)
ON_GPU = (*ENGINES, "cluster.device=cuda", "cluster.colocated=true", "weights.backend=ipc")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["learner.warmup_share=10"], "learner.warmup_share: got 10.0; set it to 1 or less, as in 0.1 for a tenth of the run"),
        (
            ["learner.warmup_share=0.1", "learner.warmup_steps=5"],
            "learner.warmup_share: got 0.1 beside learner.warmup_steps=5; set one of them to 0",
        ),
        (["loop.epochs=-1"], "loop.epochs: got -1.0; set it to 0 or more"),
        (["data.subset=50-0"], "data.subset: got '50-0'; write two ends in percent of the dialogues, the lower first, as in 0-50"),
        (
            [*ENGINES, "engine.max_model_len=4200"],
            "engine.max_model_len: got 4200, prompts and completions may have 5120 tokens; set it to 5120 or 0",
        ),
        ([*ENGINES, "weights.backend=nccl"], "weights.backend: nccl needs cluster.device=cuda; use gloo"),
        ([*ENGINES, "weights.backend=ipc"], "weights.backend: ipc needs cluster.colocated=true; use nccl, or gloo on CPU"),
        ([*ON_GPU[:-1]], "weights.backend: got gloo with cluster.colocated=true; use ipc, which hands weights over within a GPU"),
        (
            [*ON_GPU, "learner.num_ranks=2"],
            "learner.num_ranks: got 2 with cluster.colocated=true; each rank shares a GPU with one of the "
            "engine.num × engine.tensor_parallel = 1 engine workers, set it to 1",
        ),
        (
            [*ENGINES, "reward.functions.binary=0"],
            "reward.functions: every weight is 0, so no answer would be better than another; set one above 0",
        ),
    ],
)
def test_a_contradiction_of_supervised_training_is_told_too(overrides, message):
    with pytest.raises(ConfigError) as caught:
        load(SftConfig, [*GOOD, *overrides])
    assert caught.value.problems == (message,)


@pytest.mark.parametrize("overrides", [[], ON_GPU, ON_GPU[1:], ["weights.backend=nccl"], ["learner.warmup_share=0.1", "loop.epochs=20"]])
def test_without_prompts_to_answer_nothing_is_asked_of_engines(overrides):
    load(SftConfig, [*GOOD, *overrides])


@pytest.mark.parametrize(
    ("arguments", "functions"),
    [
        (["reward.functions={partial_format: 1}"], {"partial_format": 1.0}),
        (["reward.functions.partial_format=0.5"], {"partial_format": 0.5}),
        (["reward.functions.format=0.2", "reward.functions.match=8e-1"], {"format": 0.2, "match": 0.8}),
        (["reward.functions={format: 1}", "reward.functions={match: 1}"], {"match": 1.0}),
        (["reward.functions={format: 1}", "reward.functions.my.rewards:score=2"], {"format": 1.0, "my.rewards:score": 2.0}),
        (["reward.functions.my.rewards:Judge.score=-1", "reward.functions.binary=1"], {"my.rewards:Judge.score": -1.0, "binary": 1.0}),
        (["reward.functions.format=1", "reward.functions={}"], {}),
        ([], {}),
    ],
)
def test_a_table_is_replaced_as_a_whole_and_added_to_by_its_entries(arguments, functions):
    assert load(RlConfig, [*GOOD, *arguments]).reward.functions == functions


def test_a_table_in_a_file_is_added_to_by_an_override_and_reads_back(tmp_path):
    path, resolved = tmp_path / "a.yaml", tmp_path / "resolved.yaml"
    path.write_text("reward:\n  functions:\n    format: 0.2\n    my.rewards:score: 1\n")
    config = load(RlConfig, [*GOOD, str(path), "reward.functions.match=0.8"])
    assert config.reward.functions == {"format": 0.2, "my.rewards:score": 1.0, "match": 0.8}
    resolved.write_text(to_yaml(config))
    assert load(RlConfig, [str(resolved)]) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("reward.functions=5", "reward.functions: got 5; expected dict[str, float]"),
        ("reward.functions={binary: much}", "reward.functions: got {'binary': 'much'}; expected dict[str, float]"),
        ("reward.functions={binary: true}", "reward.functions: got {'binary': True}; expected dict[str, float]"),
        ("reward.functions.partail_names=1", "reward.functions: unknown function 'partail_names'; did you mean 'partial_names'?"),
        (
            "reward.functions.zzz=1",
            "reward.functions: unknown function 'zzz'; choose among binary, no_think, partial_format, partial_names, lexicographic, "
            "format, match, names, or write module:function",
        ),
        ("reward.functions.mine:=1", "reward.functions: got 'mine:'; write a function of your own as module:function"),
        ("reward.functions.binary=.inf", "reward.functions: got the weight inf for 'binary'; set a finite number"),
        ("reward.functions.binary=0", "reward.functions: every weight is 0, so no answer would be better than another; set one above 0"),
        ("reward.functoins.binary=1", "reward.functoins.binary=1: unknown setting 'reward.functoins'; did you mean 'reward.functions'?"),
    ],
)
def test_a_wrong_table_names_the_entry_and_what_to_do(override, message):
    assert problems(*GOOD, override) == (message,)


def test_whole_numbers_are_fractions_too_and_say_nothing(recwarn):
    config = load(RlConfig, [*GOOD, "algo.kl_coef=1", "reward.functions={binary: 2}"])
    assert (config.algo.kl_coef, config.reward.functions["binary"]) == (1.0, 2.0)
    assert not recwarn.list


def test_a_bare_off_is_the_word_though_yaml_reads_it_as_false(tmp_path, recwarn):
    path = tmp_path / "off.yaml"
    path.write_text("monitor: {wandb: off}\n")
    config = load(RlConfig, [str(path), *GOOD, "algo.importance=off"])
    assert (config.monitor.wandb, config.algo.importance) == ("off", "off")
    assert not recwarn.list


def test_nothing_behind_the_equals_sign_unsets_a_name():
    assert load(RlConfig, [*GOOD, "data.heldout=h.jsonl", "data.heldout="]).data.heldout == ""
    assert problems(*GOOD, "data.train=") == ("data.train: got nothing; name a JSONL file, a prepared folder, or demo://train",)
    assert problems(*GOOD, "run.steps=") == ("run.steps: got None; expected int",)


def test_a_name_may_be_a_number(recwarn):
    assert load(RlConfig, [*GOOD, "run.dir=7"]).run.dir == "7"
    assert not recwarn.list


@pytest.mark.parametrize(("content", "part"), [("a: [1", "not readable as YAML"), ("- 1\n- 2\n", "expected sections"), ("", "")])
def test_a_file_that_is_no_configuration_is_named(tmp_path, content, part):
    path = tmp_path / "x.yaml"
    path.write_text(content)
    if part:
        assert any(part in line and str(path) in line for line in problems(str(path), *GOOD))
    else:
        assert load(RlConfig, [str(path), *GOOD]).model.path == "m"


def test_a_resolved_configuration_reads_back_as_itself(tmp_path):
    config = load(RlConfig, [*GOOD, "algo.kl_coef=1e-3", "sampling.n=5"])
    path = tmp_path / "resolved.yaml"
    path.write_text(to_yaml(config))
    assert load(RlConfig, [str(path)]) == config


def test_there_are_at_most_200_settings():
    assert len({name for kind in KINDS.values() for name in settings(kind)}) <= 200


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda p: p.name)
def test_every_shipped_file_loads_and_stays_small(path):
    values = yaml.safe_load(path.read_text())
    assert sum(len(section) for section in values.values()) <= 40
    kind = SftConfig if "sft" in path.name else RlConfig
    load(kind, [str(path)])


def test_a_file_without_settings_is_named_where_something_is_missing_and_is_fine_where_nothing_is(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    with pytest.raises(ConfigError) as caught:
        load(RlConfig, [str(tmp_path / "empty.yaml")])
    assert caught.value.problems[0] == f"{tmp_path}/empty.yaml: holds no settings; write some, or leave it out"
    assert len(caught.value.problems) == 3  # model.path and data.train
    load(RlConfig, [str(tmp_path / "empty.yaml"), "model.path=m", "data.train=t"])
