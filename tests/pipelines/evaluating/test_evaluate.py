"""An evaluation from the command line: scores of all items or none, a folder that other commands read, two models compared."""

import json
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from toolrl.calls.render import render_calls, render_completion
from toolrl.cli.main import main
from toolrl.data.demo.generate import demo_prompts
from toolrl.data.template import PromptTemplate
from toolrl.evaluation.averages import Average
from toolrl.evaluation.benchmark import Item, Outcome
from toolrl.evaluation.bfcl.benchmark import BfclBenchmark
from toolrl.pipelines.evaluate import comparisons, digest_of
from toolrl.pipelines.evaluating import page
from toolrl.pipelines.evaluating.benchmarks import chosen
from toolrl.pipelines.evaluating.progress import Progress
from toolrl.pipelines.evaluating.scores import CALLS, FORM, OFFICIAL, OURS, as_json, score
from toolrl.types import Prompt, Reason, Tool, Verdict

ROWS = 40
HELDOUT = f"data.heldout=demo://heldout?rows={ROWS}"
PROMPTS = tuple(demo_prompts("heldout", ROWS, 0))


def gold(prompt):
    return render_completion(prompt.reference, "as asked")


@pytest.fixture
def evaluated(tmp_path, capsys):
    """Evaluate given completions of the demo's prompts; returns exit code, output and errors."""

    def run(texts, *arguments, out="out"):
        file = tmp_path / f"{out}.jsonl"
        file.write_text("".join(json.dumps({"id": p.id, "text": text}) + "\n" for p, text in zip(PROMPTS, texts, strict=True)))
        code = main(["evaluate", "heldout", "--completions", str(file), HELDOUT, "--out", str(tmp_path / out), *arguments])
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err, folder=tmp_path / out)

    return run


def by_name(content):
    return {(each["measure"], each["name"]): each for each in content["estimates"]}


def test_right_completions_have_all_points_and_every_item_is_kept_with_its_verdict(evaluated):
    done = evaluated([gold(prompt) for prompt in PROMPTS], "--json")
    content = json.loads(done.out)
    assert by_name(content)[OURS, "All"] | {"formula": ""} == {
        "measure": OURS, "name": "All", "formula": "", "items": ROWS, "value": 1.0, "low": 1.0, "high": 1.0, "missing": [],
    }  # fmt: skip
    assert json.loads((done.folder / "scores.json").read_text()) == {k: v for k, v in content.items() if k != "against"}
    rows = pq.read_table(done.folder / "rollouts" / "version-000000.parquet").to_pylist()
    assert [row["prompt_id"] for row in rows] == [prompt.id for prompt in PROMPTS]
    assert [row["text"] for row in rows] == [gold(prompt) for prompt in PROMPTS]
    assert {row["reason"] for row in rows} == {"correct"}
    assert json.loads(rows[0]["prompt"])[-1] == {"role": "user", "content": PROMPTS[0].messages[-1].content}


def test_calls_without_reasoning_are_right_calls_of_the_wrong_form(evaluated):
    found = by_name(json.loads(evaluated([render_calls(prompt.reference) for prompt in PROMPTS], "--json").out))
    assert [found[measure, "All"]["value"] for measure in (OURS, CALLS, FORM)] == [0.0, 1.0, 0.0]


def test_a_page_says_what_each_number_is_and_where_to_look(evaluated):
    done = evaluated(["", *(gold(prompt) for prompt in PROMPTS[1:])])
    assert "97.50 (92.50–100.00)" in done.out
    assert "All = right ÷ items of demo" in done.out
    assert "95 % bootstrap intervals" in done.out
    assert f"look at one: toolrl explain {done.folder} --sample 0.0" in done.out


def test_explain_and_rescore_read_the_folder(evaluated, capsys):
    done = evaluated(["", *(gold(prompt) for prompt in PROMPTS[1:])])
    assert main(["explain", str(done.folder), "--sample", "0.0"]) == 0
    page = capsys.readouterr().out
    assert f"evaluated · {PROMPTS[0].id}" in page
    assert "no_think" in page
    assert "advantage" not in page
    assert main(["explain", str(done.folder), "--sample", PROMPTS[3].id]) == 0
    assert "1 samples, 1 right" in capsys.readouterr().out
    assert main(["rescore", str(done.folder), "--mode", "paper", "--json"]) == 0
    assert main(["replay", str(done.folder), "0:0"]) == 2
    assert "an evaluation, which trained nothing to replay" in capsys.readouterr().err


def test_two_models_are_compared_item_by_item(evaluated):
    first = evaluated(["", "", *(gold(prompt) for prompt in PROMPTS[2:])], out="first")
    second = evaluated(
        [gold(PROMPTS[0]), "", "", *(gold(prompt) for prompt in PROMPTS[3:])], "--against", str(first.folder), "--json", out="second"
    )
    (row,) = json.loads(second.out)["against"]
    assert {key: row[key] for key in ("what", "items", "a", "b", "only_a", "only_b", "p")} == {
        "what": "all", "items": ROWS, "a": 38 / 40, "b": 38 / 40, "only_a": 1, "only_b": 1, "p": 1.0,
    }  # fmt: skip
    page = evaluated([gold(prompt) for prompt in PROMPTS], "--against", str(first.folder), out="third").out
    assert "+5.00 (" in page


def test_the_limit_is_told_in_the_scores(evaluated, tmp_path, capsys):
    file = tmp_path / "five.jsonl"
    file.write_text("".join(json.dumps({"id": p.id, "text": gold(p)}) + "\n" for p in PROMPTS[:5]))
    arguments = ("evaluate", "heldout", "--completions", str(file), HELDOUT, "data.limit=5", "--out", str(tmp_path / "five"), "--json")
    assert main([*arguments]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["items"], content["items_of_benchmark"]) == (5, ROWS)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('{"id": "x", "text": "y"}', "no item 'x' is evaluated here"),
        ('{"id": 3, "text": "y"}', 'expected {"id", "text"}, both text'),
        ("[1]", 'expected {"id", "text"}'),
        ("{", "given.jsonl:1"),
        (f'{{"id": "{PROMPTS[0].id}", "text": ""}}', f"no completion of {ROWS - 1} of {ROWS} items, the first '{PROMPTS[1].id}'"),
        (f'{{"id": "{PROMPTS[0].id}", "text": ""}}\n' * 2, f"given.jsonl:2: a second completion of '{PROMPTS[0].id}'"),
    ],
)
def test_completions_that_do_not_cover_the_items_end_with_2_and_leave_nothing(tmp_path, capsys, lines, told):
    (tmp_path / "given.jsonl").write_text(lines)
    assert main(["evaluate", "heldout", "--completions", str(tmp_path / "given.jsonl"), HELDOUT, "--out", str(tmp_path / "out")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bcfl", "--model", "m"], "unknown benchmark 'bcfl'; did you mean 'bfcl'?"),
        (["heldout", "--model", "demo://start"], "data.heldout: got nothing"),
        (["heldout", HELDOUT], "model.path: got nothing"),
        (["heldout", HELDOUT, "--model", "/nowhere/model"], "/nowhere/model"),
        (["heldout", HELDOUT, "--model", "demo://start", "sampling.n=2", "engine.numb=3"], "engine.numb"),
        (["heldout", HELDOUT, "--model", "demo://start", "--against", "/nowhere"], "/nowhere/scores.json: no such file"),
        (["heldout", HELDOUT, "--completions", "/nowhere.jsonl"], "no such file"),
        (["heldout", HELDOUT, "--model", "demo://start", "--categories", "demo"], "--categories: without effect for heldout"),
        (["bfcl", "--model", "demo://start", "--apibank-root", "."], "--apibank-root: without effect for bfcl"),
        (["heldout", HELDOUT, "--model", "demo://start", "sampling.n=3", "sampling.temperature=1"], "asks each item once"),
    ],
)
def test_a_mistake_ends_with_2_and_one_message(tmp_path, capsys, arguments, told):
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(evaluated, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    done = evaluated([gold(prompt) for prompt in PROMPTS])
    assert done.code == 2
    assert "holds no evaluation, but thesis.txt" in done.err
    assert [entry.name for entry in done.folder.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("scores", ["[]", "{}", "{", '{"benchmark": "heldout", "estimates": [{}]}'])
def test_what_is_no_evaluation_cannot_be_compared_with(evaluated, tmp_path, scores):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "scores.json").write_text(scores)
    done = evaluated([gold(prompt) for prompt in PROMPTS], "--against", str(tmp_path / "other"))
    assert done.code == 2
    assert f"{tmp_path}/other/scores.json: " in done.err


def test_an_evaluation_is_not_compared_with_itself(evaluated, tmp_path):
    texts = [gold(prompt) for prompt in PROMPTS]
    done = evaluated(texts)
    scores = (done.folder / "scores.json").read_text()
    again = evaluated(["", *texts[1:]], "--against", str(done.folder))
    assert again.code == 2
    assert "is the folder that is written" in again.err
    assert (done.folder / "scores.json").read_text() == scores


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_the_evaluation_of_a_model_is_not_replaced_by_given_completions_nor_they_by_one(evaluated, tmp_path, capsys, dry):
    texts = [gold(prompt) for prompt in PROMPTS]
    done = evaluated(texts)
    scores = (done.folder / "scores.json").read_text()
    model = ("--model", "demo://start", "model.dtype=float32", "engine.max_model_len=512", "sampling.max_tokens=96")
    assert main(["evaluate", "heldout", HELDOUT, *model, "--out", str(done.folder), *dry]) == 2
    assert "holds the evaluation of given completions" in capsys.readouterr().err
    (done.folder / "replies.jsonl").touch()
    again = evaluated(["", *texts[1:]], *dry)
    assert again.code == 2
    assert "holds the evaluation of a model" in again.err
    assert (done.folder / "scores.json").read_text() == scores


def test_the_scores_of_one_model_outlive_the_mistake_to_evaluate_another_in_their_folder(evaluated, capsys):
    done = evaluated([gold(prompt) for prompt in PROMPTS])
    (done.folder / "replies.jsonl").write_text('{"asked": {"model": "the one before"}}\n')
    kept = {name: (done.folder / name).read_text() for name in ("scores.json", "config.yaml", "prompt.template")}
    model = ("--model", "demo://start", "model.dtype=float32", "engine.max_model_len=512", "sampling.max_tokens=96")
    assert main(["evaluate", "heldout", HELDOUT, *model, "--out", str(done.folder)]) == 2
    assert "holds replies to something else" in capsys.readouterr().err
    assert {name: (done.folder / name).read_text() for name in kept} == kept


def test_a_question_is_another_where_the_model_is_shown_another_description():
    def item(description):
        prompt = Prompt("a", "a", (), (Tool("f", description, {"type": "object", "properties": {}}),), ())
        return Item("a", "a", prompt)

    template = PromptTemplate.load("tool_n1")  # shows descriptions
    assert digest_of([item("Adds.")], template) == digest_of([item("Adds.")], template)
    assert digest_of([item("Adds.")], template) != digest_of([item("Subtracts.")], template)


def test_a_limit_of_no_single_turn_questions_is_no_question():
    assert chosen(BfclBenchmark((), Path()), 3) == ()


def test_a_dry_run_checks_everything_and_asks_nobody(tmp_path, capsys):
    settings = (HELDOUT, "model.dtype=float32", "engine.max_model_len=512", "sampling.max_tokens=96")
    assert main(["evaluate", "heldout", "--model", "demo://start", *settings, "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "40 of 40 items" in out
    assert "engine-0: 1 CPU" in out
    assert "everything checked; nobody was asked" in out
    assert not (tmp_path / "out").exists()


def outcome(number, category, ours, official):
    prompt = Prompt(f"{category}-{number}", category, (), (), ())
    verdict = Verdict(float(ours), Reason.CORRECT if ours else Reason.WRONG_VALUE, format_right=True)
    return Outcome(Item(prompt.id, category, prompt), "", verdict, official)


def test_agreement_counts_the_items_that_both_judge_and_names_those_that_differ():
    outcomes = [outcome(0, "a", True, True), outcome(1, "a", True, False), outcome(2, "a", False, None), outcome(3, "b", False, False)]
    scores = score([Average("a", ("a",)), Average("both", ("a", "b"))], outcomes, (OFFICIAL, OURS))
    values = {(measure, each.name): (each.value, each.items) for measure, found in scores.by_measure.items() for each in found}
    assert values == {(OFFICIAL, "a"): (0.5, 2), (OFFICIAL, "both"): (1 / 3, 3), (OURS, "a"): (2 / 3, 3), (OURS, "both"): (0.5, 4)}
    assert as_json(scores)["agreement"] == {"items": 3, "agree": 2, "differing": ("a-1: ours right (correct), official wrong",)}


def test_a_verdict_that_failed_is_no_wrong_answer():
    failed = Outcome(Item("a", "a", Prompt("a", "a", (), (), ())), "", Verdict(None, Reason.VERIFIER_ERROR), True)
    scores = score([Average("a", ("a",))], [failed, outcome(1, "a", True, True)], (OURS,))
    assert [(each.value, each.items) for each in scores.by_measure[OURS]] == [(1.0, 1)]


def test_items_that_a_measure_did_not_judge_take_no_part_in_a_comparison(evaluated):
    texts = [gold(prompt) for prompt in PROMPTS]
    first, second = (evaluated(texts, out=out).folder for out in ("first", "second"))
    assert comparisons(first, second, OFFICIAL) == []
    file = second / "rollouts" / "version-000000.parquet"
    table = pq.read_table(file)
    reasons = [str(Reason.VERIFIER_ERROR), *table["reason"].to_pylist()[1:]]
    pq.write_table(table.set_column(table.schema.get_field_index("reason"), "reason", [reasons]), file)
    ((_, row),) = comparisons(first, second, OURS)
    assert (row.items, row.only_a, row.only_b) == (ROWS - 1, 0, 0)


def test_an_average_is_told_as_the_measure_has_it_that_knows_most_categories():
    average = Average("both", parts=((0.5, Average("a", ("a",))), (0.5, Average("multi_turn", ("multi_turn",)))), missing_is_zero=True)
    scores = score([average], [outcome(0, "a", True, True)], (OFFICIAL, OURS), {"multi_turn": (1, 2)})
    assert page._shown(scores)["both"].missing == ()


def test_progress_is_told_now_and_then_and_counts_from_the_first_reply():
    clock = iter([100.0, 100.0, 104.0, 106.0, 106.0, 110.0])
    file = StringIO()
    progress = Progress(10, 5, file=file, now=lambda: next(clock))
    reply = SimpleNamespace(completion_tokens=30)
    for _ in range(3):
        progress.told(None, reply)
    progress.end()
    assert file.getvalue().splitlines() == [
        "5 of 10 completions are there already",
        "8 of 10 completions, 15 tokens/s, about 4 s to go",
        "8 of 10 completions, 9 tokens/s, about 7 s to go",
    ]


def test_items_that_cannot_be_compared_with_are_told_before_anything_is_written(evaluated, tmp_path):
    first = evaluated([gold(prompt) for prompt in PROMPTS])
    other = tmp_path / "other"
    first.folder.rename(other)
    (other / "rollouts" / "version-000000.parquet").write_bytes(b"PAR1")
    done = evaluated([gold(prompt) for prompt in PROMPTS], "--against", str(other))
    assert done.code == 2
    assert "version-000000.parquet: " in done.err
    assert not done.folder.exists()
