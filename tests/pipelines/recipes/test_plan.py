"""Recipes become steps: each once, in order, in a folder of its own, checked before anything starts."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from toolrl.cli.main import main
from toolrl.config.load import load
from toolrl.config.schema import RlConfig
from toolrl.config.task import subset_bounds
from toolrl.errors import ConfigError, RunFolderError
from toolrl.evaluation.acebench import categories as acebench
from toolrl.evaluation.apibank import benchmark as apibank
from toolrl.evaluation.bfcl import averages as bfcl
from toolrl.pipelines.recipes.files import find
from toolrl.pipelines.recipes.plan import plan

TABLES = ("table3", "table4", "table5", "figure4", "figure5", "results", "sft_then_rl")
CONF = Path(__file__).parents[3] / "conf"


@pytest.fixture
def recipe(tmp_path):
    """Write a row and a size, and return how to plan it."""
    size = {
        "title": "a size",
        "values": {"model": "demo://start", "data": "demo://train"},
        "stages": {
            "all": {"model": {"dtype": "float32"}, "engine": {"max_model_len": 512}},
            "rl": {"run": {"steps": 3}, "data": {"max_prompt_tokens": 256}, "sampling": {"max_tokens": 96}},
            "sft": {"data": {"max_tokens": 384}, "run": {"steps": 3}},
            "evaluate": {"sampling": {"max_tokens": 96}, "data": {"heldout": "demo://heldout"}},
        },
        "benchmarks": {"bfcl": {"is": "heldout"}},
    }
    (tmp_path / "sizes").mkdir()

    def planned(*words, row, size_changes=None):
        (tmp_path / "sizes" / "small.yaml").write_text(yaml.safe_dump(size | (size_changes or {})))
        (tmp_path / "row.yaml").write_text(yaml.safe_dump({"title": "a row", "size": "small", **row}))
        return plan(str(tmp_path / "row.yaml"), (f"out={tmp_path / 'out'}", *words))

    return planned


SFT_RL = {
    "steps": {
        "rl": {"stage": "rl", "model.path": "${sft}", "data.train": "${data}", "data.subset": "50-100"},
        "sft": {"stage": "sft", "model": {"path": "${model}"}, "data": {"train": "${data}", "subset": "0-50"}},
    },
    "model": "${rl}",
}


COLUMN = {"name": "a", "benchmark": "bfcl", "measure": "ours", "average": "All"}
LOOP = {"a": {"stage": "rl", "model.path": "${b}"}, "b": {"stage": "rl", "model.path": "${a}"}}


def test_a_step_comes_after_what_it_needs_and_reads_what_that_made(recipe):
    sft, rl, evaluation = recipe(row=SFT_RL).steps
    assert [step.stage for step in (sft, rl, evaluation)] == ["sft", "rl", "evaluate"]
    assert sft.config().model.path == "demo://start"
    assert rl.config().model.path == str(sft.folder / "final") == sft.made
    assert evaluation.config().model.path == rl.made == str(rl.folder / "final")
    assert rl.config().run.dir == str(rl.folder)
    assert (sft.config().model.dtype, rl.config().engine.max_model_len) == ("float32", 512)


def test_a_folder_is_of_everything_that_shapes_it_and_of_what_it_rests_on(recipe):
    folders = {step.stage: step.folder for step in recipe(row=SFT_RL).steps}
    again = {step.stage: step.folder for step in recipe(row=SFT_RL).steps}
    other_sft = {step.stage: step.folder for step in recipe("sft.learner.lr=1e-3", row=SFT_RL).steps}
    other_rl = {step.stage: step.folder for step in recipe("rl.learner.lr=1e-3", row=SFT_RL).steps}
    assert folders == again
    assert not {*folders.values()} & {*other_sft.values()}
    assert other_rl["sft"] == folders["sft"]
    assert not {other_rl["rl"], other_rl["evaluate"]} & {*folders.values()}


def test_the_seed_and_values_of_the_command_line_reach_every_step(recipe):
    steps = recipe("seed=7", "data=rows.jsonl", "rl.run.steps=5", row=SFT_RL).steps
    assert {step.config().run.seed for step in steps} == {7}
    assert {step.config().data.train for step in steps[:2]} == {"rows.jsonl"}
    assert steps[1].config().run.steps == 5


def test_a_value_that_is_a_number_is_one(recipe):
    row = {"values": {"steps": "5", "rate": "1e-3"}, "model": "${rl}"}
    steps = {"rl": {"stage": "rl", "model.path": "m", "data.train": "t", "run.steps": "${steps}", "learner.lr": "${rate}"}}
    config = recipe(row={**row, "steps": steps}).steps[0].config()
    assert (config.run.steps, config.learner.lr) == (5, 1e-3)


def test_another_folder_of_a_benchmarks_files_is_another_evaluation(recipe):
    row = {"model": "demo://start", "benchmarks": ["acebench"]}
    changes = {"values": {"files": "a"}, "benchmarks": {"acebench": {"is": "acebench", "data": "${files}"}}, "stages": {}}
    folders = [recipe(*words, row=row, size_changes=changes).steps[0].folder for words in ((), ("files=b",))]
    assert folders[0] != folders[1]


def test_a_value_of_the_command_line_takes_the_place_of_a_step(recipe):
    steps = recipe("sft=my/model", row=SFT_RL).steps
    assert [step.stage for step in steps] == ["rl", "evaluate"]
    assert steps[0].config().model.path == "my/model"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"steps": {}, "model": "${rll}"}, "${rll}: no step and no value of this name; there are data, model"),
        ({"steps": LOOP, "model": "${a}"}, "needs itself: a needs b needs a"),
        ({"steps": {"a": {"stage": "train"}}, "model": "m"}, "steps.a.stage: got 'train'; choose one of prepare, distill, sft, rl"),
        ({"step": {}, "model": "m"}, "unknown key 'step'; did you mean 'steps'?"),
        ({"steps": {}, "model": 3}, "model: got 3; write a text"),
        ({"model": "m", "paper": {"Overall": "84"}}, "paper: got {'Overall': '84'}; write numbers by column"),
        ({"model": "m", "benchmarks": ["bird"]}, "benchmarks: got 'bird'; the size small has bfcl"),
        ({"model": "m", "evaluate": {"sampling.n": 3}}, "step evaluate-heldout (evaluate): sampling.n: got 3 at temperature 0"),
        ({"model": "m", "evaluate": ["sampling.n"]}, "evaluate: got ['sampling.n']; write names with values"),
        ({"model": "m", "benchmarks": []}, "benchmarks: got none"),
        ({"model": "m", "columns": [{**COLUMN, "measure": "offical"}]}, "a measure being official, ours, calls, form"),
        ({"model": "m", "columns": None}, "columns: got None; write a list"),
        ({"model": "m", "steps": {"../x": {"stage": "rl"}}}, "steps: got '../x'; write a name of letters"),
        ({"model": "${p}", "steps": {"p": {"stage": "prepare", "inputs": [3], "seed": "s"}}}, "step p (prepare): seed: got 's'"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_row_is_told(recipe, row, told):
    with pytest.raises(ConfigError) as caught:
        recipe(row=row)
    assert told in str(caught.value)


def test_every_problem_of_every_step_comes_at_once(recipe):
    with pytest.raises(ConfigError) as caught:
        recipe("rl.learner.lr=0", "sft.run.stepz=3", row=SFT_RL)
    assert "step rl (rl): learner.lr: got 0.0; set it above 0" in str(caught.value)
    assert "step sft (sft): unknown setting 'run.stepz'; did you mean 'run.steps'?" in str(caught.value)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("tiny", "expected NAME=VALUE"),
        ("rll.run.steps=3", "no stage 'rll'"),
        ("seed=x", "write a whole number"),
        ("size=huge", "size: got 'huge'; choose one of"),
        ("size=../sizes/small", "choose one of"),
        ("modle=m", r"modle=m: no value and no step of this name; did you mean 'model'\?"),
    ],
)
def test_a_mistaken_word_is_told(recipe, word, told):
    with pytest.raises(ConfigError, match=told):
        recipe(word, row=SFT_RL)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"base": "small"}, "base: small rests on small"),
        ({"values": {"model": "${a}", "a": "${model}", "data": "d"}}, "needs itself: .*model needs a needs model"),
        ({"stages": {"rll": {}}}, "unknown key 'rll'; did you mean 'rl'"),
        ({"stages": {"rl": "x"}}, "rl: got 'x'; write names with values"),
        ({"stages": {"all": {"modle.dtype": "float32"}}}, "stages.all: no stage has 'modle.dtype'; did you mean 'model.dtype'"),
        ({"benchmarks": {"bfcl": {"is": "bcfl"}}}, "benchmarks.bfcl: got {'is': 'bcfl'}; write `is`"),
    ],
)
def test_a_mistake_in_a_size_is_told(recipe, changes, told):
    with pytest.raises(ConfigError, match=told):
        recipe(row=SFT_RL, size_changes=changes)


@pytest.mark.parametrize("rows", [[], ["row", "row"]])
def test_a_table_has_rows_each_once(recipe, tmp_path, rows):
    recipe(row=SFT_RL)
    (tmp_path / "table.yaml").write_text(yaml.safe_dump({"title": "t", "rows": rows}))
    with pytest.raises(ConfigError, match="name one row or more, each once"):
        plan(str(tmp_path / "table.yaml"), ())


def test_the_files_of_a_benchmark_may_be_what_a_step_makes(recipe):
    benchmark = {"is": "apibank", "data": "${files}"}
    steps = {**SFT_RL["steps"], "files": {"stage": "prepare", "inputs": ["rows"]}}
    planned = recipe(row={**SFT_RL, "steps": steps}, size_changes={"benchmarks": {"bfcl": benchmark}})
    *_, files, evaluation = planned.steps
    assert (files.name, evaluation.data) == ("files", files.made)


def test_an_evaluation_is_done_once_it_has_its_scores(recipe):
    evaluation = recipe(row=SFT_RL).steps[-1]
    evaluation.folder.mkdir(parents=True)
    evaluation.mark.write_text("{}")
    assert not evaluation.done
    (evaluation.folder / "scores.json").write_text("{}")
    assert evaluation.done


@pytest.mark.parametrize("name", ["../row", "{}/row", "linked/row", "link", "nowhere"])
def test_a_table_takes_rows_from_its_own_folder_only(tmp_path, name):
    folder = tmp_path / "tables"
    folder.mkdir()
    (tmp_path / "row.yaml").write_text(yaml.safe_dump({"title": "r", "model": "demo://start"}))
    (folder / "link.yaml").symlink_to("../row.yaml")
    (folder / "linked").symlink_to("..")
    (folder / "table.yaml").write_text(yaml.safe_dump({"title": "t", "rows": [name.format(tmp_path)]}))
    with pytest.raises(ConfigError, match="name a row below"):
        plan(str(folder / "table.yaml"), ())
    shutil.copy(tmp_path / "row.yaml", folder / "row.yaml")
    (folder / "table.yaml").write_text(yaml.safe_dump({"title": "t", "rows": ["row"]}))
    assert plan(str(folder / "table.yaml"), ("size=tiny",)).rows


def test_a_recipe_is_found_by_its_shipped_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find("recipes/table3.yaml") == find("conf/recipes/table3.yaml")
    with pytest.raises(ConfigError, match=r"no such recipe; did you mean recipes/table3\.yaml\?"):
        find("recipes/tabel3.yaml")


@pytest.mark.parametrize("size", ["7b", "14b", "tiny"])
@pytest.mark.parametrize("name", TABLES)
def test_every_shipped_recipe_can_be_planned_at_every_size(name, size):
    planned = plan(f"recipes/{name}.yaml", (f"size={size}",))
    assert {row.size.name for row in planned.rows} == {size}
    assert all(row.evaluations for row in planned.rows)


@pytest.mark.parametrize("name", TABLES)
def test_every_column_is_an_average_of_its_benchmark(name):
    known = {"bfcl": bfcl.AVERAGES, "apibank": apibank.AVERAGES, "acebench": acebench.AVERAGES}
    columns = plan(f"recipes/{name}.yaml", ()).table.columns
    assert columns
    assert all(column.average in {average.name for average in known[column.benchmark]} for column in columns)


def test_a_row_by_itself_has_the_columns_of_its_table():
    row, table = plan("recipes/table3/rl_100.yaml", ()), plan("recipes/table3.yaml", ())
    assert row.table.columns == table.table.columns
    assert {step.folder for step in row.steps} < {step.folder for step in table.steps}


def test_every_shipped_row_is_in_a_table():
    rows = {row.row.name for name in TABLES for row in plan(f"recipes/{name}.yaml", ("size=tiny",)).rows}
    files = {str(file.relative_to(CONF / "recipes"))[:-5] for file in (CONF / "recipes").glob("*/*.yaml") if file.parent.name != "sizes"}
    assert rows == files | {"sft_then_rl"}


def test_shipped_files_hold_at_most_40_settings():
    for file in (CONF / "recipes").rglob("*.yaml"):
        content = yaml.safe_load(file.read_text())
        stages = content.get("stages", {})
        for stage, settings in stages.items():
            assert len(settings) <= 40, (file, stage)


def test_table_3_has_the_papers_rows_and_hands_the_data_over_without_overlap():
    rows = {row.row.name: row for row in plan("recipes/table3.yaml", ()).rows}
    assert {name: row.row.paper["Overall"] for name, row in rows.items()} == {
        "table3/sft_no_reasoning_50": 81.02, "table3/sft_no_reasoning_100": 81.47, "table3/sft_reasoning_50": 81.50,
        "table3/sft_reasoning_100": 82.71, "table3/sft_50_rl_50": 83.17, "table3/rl_50": 83.01, "table3/rl_100": 83.24,
    }  # fmt: skip
    steps = {name: {step.stage: step for step in row.steps.values()} for name, row in rows.items()}
    both = steps["table3/sft_50_rl_50"]
    assert subset_bounds(both["sft"].config().data.subset) == (0.0, 0.5)
    assert subset_bounds(both["rl"].config().data.subset) == (0.5, 1.0)
    assert both["sft"].config().data.train == both["rl"].config().data.train == both["distill"].made
    assert both["sft"].folder == steps["table3/sft_reasoning_50"]["sft"].folder
    assert len({row["distill"].folder for row in steps.values()}) == 1
    reasoning = {name: row["sft"].config().data.reasoning for name, row in steps.items() if "sft" in row}
    assert {name for name, kept in reasoning.items() if not kept} == {"table3/sft_no_reasoning_50", "table3/sft_no_reasoning_100"}


def test_a_7b_row_trains_with_the_settings_of_the_shipped_7b_run():
    shipped = load(RlConfig, [str(CONF / "tool_n1_7b_node.yaml")])
    (row,) = [each for each in plan("recipes/results.yaml", ()).rows if each.row.name == "results/tool_n1_7b"]
    (step,) = [step for step in row.steps.values() if step.stage == "rl"]
    config = step.config()
    for section in ("model", "sampling", "engine", "reward", "loop", "algo", "learner", "weights", "cluster"):
        ours, theirs = (vars(getattr(each, section)) for each in (config, shipped))
        differing = {key: value for key, value in ours.items() if value != theirs[key]}
        assert differing in ({}, {"functions": {"binary": 1.0}}), section


@pytest.mark.parametrize("function", ["binary", "no_think", "partial_format", "partial_names"])
def test_the_rows_of_table_4_differ_in_their_reward_alone(function):
    rows = {each.row.name: each for each in plan("recipes/table4.yaml", ("size=tiny",)).rows}
    steps = {name: next(step for step in each.steps.values() if step.stage == "rl") for name, each in rows.items()}
    step, other = steps[f"table4/{function}"], steps["table4/binary"]
    assert step.config().reward.functions == {function: 1.0}
    differing = {key for key, value in step.settings.items() if value != other.settings[key]}
    assert differing <= {"reward.functions"}


def test_several_tables_are_printed_one_after_the_other_and_none_is_a_mistake(tmp_path, capsys):
    words = ("size=tiny", f"out={tmp_path / 'out'}")
    assert main(["table", "recipes/table3.yaml", "recipes/table4.yaml", *words, "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["table"], len(each["rows"])) for each in found] == [("table3", 7), ("table4", 4)]
    assert {cell["value"] for each in found for row in each["rows"] for cell in row["cells"]} == {None}
    assert main(["table", *words]) == 2
    assert "RECIPE: got none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_benchmark_whose_files_are_missing_is_told_before_anything_is_trained(tmp_path, capsys):
    row = tmp_path / "row.yaml"
    row.write_text(yaml.safe_dump({"title": "t", "model": "${model}", "benchmarks": ["apibank"]}))
    assert main(["run", str(row), "size=7b", f"out={tmp_path / 'out'}", "apibank=/nowhere"]) == 2
    assert "/nowhere" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 20_000])
def test_a_damaged_mark_of_a_step_is_named_and_neither_done_nor_to_do(recipe, content):
    (step,) = recipe(row={"model": "m", "steps": {}}).steps
    step.folder.mkdir(parents=True)
    (step.folder / "scores.json").write_text("{}")
    step.mark.write_text(content)
    with pytest.raises(RunFolderError, match=rf"{step.mark.name}: .*; put it back, or remove it to have the step done again"):
        assert step.done


def test_a_size_that_is_no_file_is_named(tmp_path):
    (tmp_path / "sizes").mkdir()
    (tmp_path / "sizes" / "small.yaml").symlink_to("nothing")
    (tmp_path / "row.yaml").write_text("{title: t, model: m, size: small}")
    with pytest.raises(ConfigError, match=r"sizes/small.yaml: not a file; put the size's own there, or remove it"):
        plan(str(tmp_path / "row.yaml"), ())
