"""The numbers of a table, and how its rows compare: from evaluations that are done."""

import json

import pytest
import yaml

from toolrl.calls.render import render_completion
from toolrl.cli.main import main
from toolrl.data.demo.generate import demo_prompts
from toolrl.pipelines.recipes.plan import plan
from toolrl.pipelines.recipes.results import pairs, results

ITEMS = 20
HELDOUT = f"demo://heldout?rows={ITEMS}"
GOLD = {prompt.id: render_completion(prompt.reference, "as asked") for prompt in demo_prompts("heldout", ITEMS, 0)}
SIZE = {
    "title": "a size",
    "stages": {"evaluate": {"data": {"heldout": HELDOUT}}},
    "benchmarks": {"bfcl": {"is": "heldout"}},
}
TABLE = {
    "title": "a table",
    "size": "small",
    "rows": ["good", "bad"],
    "columns": [{"name": "right", "benchmark": "bfcl", "measure": "ours", "average": "All"}],
    "compare": [["bad", "good"]],
}


@pytest.fixture
def table(tmp_path):
    """A table of two rows, of which neither is evaluated, and where its steps lie."""
    (tmp_path / "sizes").mkdir()
    (tmp_path / "sizes" / "small.yaml").write_text(yaml.safe_dump(SIZE))
    for row in TABLE["rows"]:
        (tmp_path / f"{row}.yaml").write_text(yaml.safe_dump({"title": row, "model": f"models/{row}"}))
    (tmp_path / "table.yaml").write_text(yaml.safe_dump(TABLE))
    return str(tmp_path / "table.yaml"), f"out={tmp_path / 'out'}"


def evaluated(step, texts, file):
    """Do an evaluation with given completions in place of a model."""
    file.write_text("".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in texts.items()))
    arguments = ("--completions", str(file), f"data.heldout={HELDOUT}", "--out", str(step.folder), "--json")
    assert main(["evaluate", "heldout", *arguments]) == 0
    step.mark.write_text("{}")


def test_a_pair_says_which_items_it_is_of_and_puts_the_second_row_before_the_first(table, tmp_path, capsys):
    recipe, out = table
    good, bad = plan(recipe, (out,)).steps
    assert pairs(plan(recipe, (out,)))[0].comparison is None
    evaluated(good, GOLD, tmp_path / "good.jsonl")
    evaluated(bad, {key: "" if number < 5 else text for number, (key, text) in enumerate(GOLD.items())}, tmp_path / "bad.jsonl")
    planned = plan(recipe, (out,))
    assert [row.cells[0].value for row in results(planned)] == [1.0, 0.75]
    (pair,) = pairs(planned)
    assert (pair.first, pair.second, pair.what) == ("bad", "good", "every item of heldout, right as in right")
    assert (pair.comparison.difference, pair.comparison.only_a, pair.comparison.only_b) == (0.25, 0, 5)
    capsys.readouterr()
    assert main(["table", recipe, out]) == 0
    assert "[good] − [bad] · every item of heldout, right as in right: +25.00 points" in " ".join(capsys.readouterr().out.split())


def test_a_folder_that_cannot_be_made_is_told(table, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["run", table[0], f"out={tmp_path / 'file'}"]) == 2
    assert f"out: {tmp_path / 'file' / 'small'} cannot be made" in capsys.readouterr().err


def test_pairs_come_in_the_order_of_the_columns():
    compared = pairs(plan("recipes/table3.yaml", ("size=tiny", "out=/nowhere")))
    assert [pair.what.rpartition(", ")[2] for pair in compared[:2]] == ["greedy", "sampled"]
