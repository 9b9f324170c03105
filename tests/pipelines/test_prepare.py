import json
import os
import random
import resource
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from driver import wait_until

from toolrl.data.contamination import Hit
from toolrl.data.labels import contradiction
from toolrl.data.repair import repaired
from toolrl.data.rows import read_prompts_of, read_rows
from toolrl.data.source import load_prompts
from toolrl.data.template import PromptTemplate
from toolrl.errors import ConfigError, DataError, UserError
from toolrl.pipelines import prepare as pipeline
from toolrl.pipelines.fingerprint import fingerprint
from toolrl.pipelines.prepare import prepare
from toolrl.pipelines.prepare_pass import MAX_LICENCES, MAX_SOURCES, OTHER_SOURCES, PrepareSettings

TOOL = {"name": "f", "description": "", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
OTHER = {"name": "g", "description": "", "parameters": {"type": "object", "properties": {}}}
FILES = ["heldout.parquet", "prompt.template", "report.html", "report.json", "train.parquet"]


def row(number, a=None, text=None):
    messages = [{"role": "user", "content": text or f"request {number}"}]
    return {
        "id": f"r{number}",
        "messages": messages,
        "tools": [TOOL, OTHER],
        "answer": [{"name": "f", "arguments": {"a": number if a is None else a}}],
    }


def write(path, *rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


@pytest.fixture
def run(tmp_path):
    """Prepare into tmp_path/out, with what a test changes."""

    def call(*inputs, out=None, **changes):
        return prepare(list(inputs), replace(PrepareSettings(template="demo", heldout_share=0.2), **changes), out=out or tmp_path / "out")

    return call


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def parts_of(folder):
    return {part: load_prompts(str(folder), part=part) for part in ("train", "heldout")}


def dropped(report):
    return {reason: each["rows"] for reason, each in report["dropped"].items()}


def test_every_row_is_kept_in_one_part_or_counted(run, tmp_path, byte_tokenizer):
    long = row(98, text="x" * 400)
    again, other, empty = row(3) | {"id": "again"}, row(3, a=4) | {"id": "other"}, row(97) | {"answer": []}
    rows = [*(row(i) for i in range(50)), again, row(99, a="x"), row(96, a="96"), long, other, empty]
    report = run(write(tmp_path / "x.jsonl", *rows), tokenizer=byte_tokenizer, max_prompt_tokens=200)
    assert (report["rows_in"], report["prompts_in"]) == (56, 56)
    assert dropped(report) == {"wrong_type": 1, "no_call": 1, "too_long": 1, "duplicate": 1, "conflicting": 1}
    assert list(report["dropped"]) == ["wrong_type", "no_call", "too_long", "duplicate", "conflicting"]
    assert {kind: each["rows"] for kind, each in report["repaired"].items()} == {"quoted_number": 1}
    parts = parts_of(tmp_path / "out")
    assert {part: len(prompts) for part, prompts in parts.items()} == report["kept"]
    kept = {p.id: p for prompts in parts.values() for p in prompts}
    assert set(kept) == {f"r{i}" for i in (*range(50), 96)}
    assert kept["r96"].reference[0].arguments == {"a": 96}
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    frame = len("system\n<tools>\nf(a:integer)\ng()\n</tools>\nuser\nrequest 7\nassistant\n") + 5  # and five turn marks
    assert report["prompt_length"] == {"unit": "tokens", "min": frame, "median": frame + 1, "p95": frame + 1, "max": frame + 1}


def test_the_table_counts_rows_by_source_and_turns_and_the_prompts_made_of_them(run, tmp_path):
    call = {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {"a": 1}}]}
    again = {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {"a": 2}}]}
    turns = [{"role": "user", "content": "one"}, call, {"role": "tool", "content": "1"}, {"role": "user", "content": "two"}, again]
    dialogue = {"id": "d", "source": "talk", "messages": turns, "tools": [TOOL]}
    report = run(write(tmp_path / "x.jsonl", row(1), dialogue, row(2), row(3, a="x"), row(4) | {"source": "talk"}))
    assert report["table"] == [
        {"source": "x.jsonl", "turns": "single", "raw": 3, "kept": 2},
        {"source": "talk", "turns": "multi", "raw": 1, "kept": 2},
        {"source": "talk", "turns": "single", "raw": 1, "kept": 1},
    ]
    assert (report["rows_in"], report["prompts_in"]) == (5, 6)
    assert sum(cell["kept"] for cell in report["table"]) == sum(report["kept"].values()) == 5


def test_the_table_has_the_form_of_the_papers_for_its_two_data_sets(run, tmp_path):
    """Two rows of xLAM; of ToolACE one with a call, one dialogue of two calling turns and an answer, and one that is no call at all."""
    flat = json.dumps(
        [{"name": "w", "description": "", "parameters": {"city": {"type": "str", "description": ""}, "days": {"type": "int, optional"}}}]
    )
    answers = (json.dumps([{"name": "w", "arguments": {"city": city, "days": "3"}}]) for city in ("Oslo", "Rome"))
    xlam = [{"id": i, "query": f"weather {i}", "answers": answer, "tools": flat} for i, answer in enumerate(answers)]
    listed = json.dumps(
        [{"name": "Get Weather", "description": "", "parameters": {"type": "dict", "properties": {"city": {"type": "string"}}}}]
    )
    turns = ["hello", '[Get Weather(city="Paris (France)")]', "[]", "It rains.", "and Rome?", '[Get Weather(city="Rome")]']
    roles = ["user", "assistant", "tool", "assistant", "user", "assistant"]
    said = [{"from": role, "value": text} for role, text in zip(roles, turns, strict=True)]
    unreadable = [said[0], {"from": "assistant", "value": "[Get Weather(city={1, 2})]"}]
    conversations = (said[4:], said, unreadable)
    toolace = [{"system": f"Functions: {listed}. Return the calls.", "conversations": turns} for turns in conversations]
    (tmp_path / "xlam.json").write_text(json.dumps(xlam))
    (tmp_path / "toolace.json").write_text(json.dumps(toolace))
    report = run(str(tmp_path / "xlam.json"), str(tmp_path / "toolace.json"))
    assert report["table"] == [
        {"source": "xLAM", "turns": "single", "raw": 2, "kept": 2},
        {"source": "ToolACE", "turns": "single", "raw": 2, "kept": 1},
        {"source": "ToolACE", "turns": "multi", "raw": 1, "kept": 2},
    ]
    assert (report["rows_in"], report["prompts_in"], dropped(report)) == (5, 6, {"unreadable": 1, "no_call": 1})
    assert report["repaired"]["quoted_number"]["rows"] == 2


def test_a_table_of_many_sources_stays_a_table(run, tmp_path):
    report = run(write(tmp_path / "x.jsonl", *(row(i) | {"source": f"s{i}"} for i in range(MAX_SOURCES + 7))))
    assert len(report["table"]) == MAX_SOURCES + 1
    assert report["table"][-1] == {"source": OTHER_SOURCES, "turns": "single", "raw": 7, "kept": 7}


def test_licences_are_reported_by_source_as_rows_state_them(run, tmp_path):
    rows = [
        row(1) | {"licence": "MIT"},
        row(2) | {"license": "CC-BY-4.0"},
        row(3) | {"licence": "MIT"},
        row(4) | {"source": "talk", "licence": 7},
    ]
    assert run(write(tmp_path / "x.jsonl", *rows, row(5)))["licences"] == {"x.jsonl": ["MIT", "CC-BY-4.0"]}
    many = [row(i) | {"licence": f"licence {i}"} for i in range(MAX_LICENCES + 2)]
    assert len(run(write(tmp_path / "x.jsonl", *many))["licences"]["x.jsonl"]) == MAX_LICENCES


def test_rows_without_a_call_are_kept_when_asked(run, tmp_path):
    path = write(tmp_path / "x.jsonl", row(1), row(2) | {"answer": []})
    assert dropped(run(path)) == {"no_call": 1}
    assert "--no-call keep" in run(path)["dropped"]["no_call"]["samples"][0]["detail"]
    assert dropped(run(path, no_call="keep", heldout_share=0.0)) == {}
    assert sorted(len(p.reference) for p in load_prompts(str(tmp_path / "out"))) == [0, 1]


class FakeGuard:
    """Knows the requests 1 to 3."""

    def __init__(self):
        self.items = {"BENCH": 9, "OTHER": 1}

    def hits(self, prompt):
        return (Hit("BENCH", "request"),) if prompt.messages[0].content in ("request 1", "request 2", "request 3") else ()


@pytest.mark.parametrize(("contamination", "kept"), [("remove", 5), ("keep", 8)])
def test_prompts_of_a_benchmark_are_removed_or_the_report_says_that_they_are_there(run, tmp_path, monkeypatch, contamination, kept):
    monkeypatch.setattr(pipeline.Guard, "shipped", FakeGuard)
    report = run(write(tmp_path / "x.jsonl", *(row(i) for i in range(8))), contamination=contamination)
    assert report["contamination"] == {
        "removed": contamination == "remove",
        "benchmarks": {"BENCH": {"items": 9, "hits": 3}, "OTHER": {"items": 1, "hits": 0}},
        "samples": [{"id": f"r{i}", "benchmark": "BENCH", "match": "request"} for i in (1, 2, 3)],
    }
    assert (sum(report["kept"].values()), dropped(report)) == (kept, {"contaminated": 3} if contamination == "remove" else {})


def test_a_benchmark_of_ones_own_is_looked_for_too(run, tmp_path):
    asked = "what is the price of a ticket to the moon"
    write(tmp_path / "bench.jsonl", row(1, text=asked))
    fingerprint("mine", [tmp_path / "bench.jsonl"], out=tmp_path / "mine.fingerprints", revision="1")
    path = write(tmp_path / "x.jsonl", row(2, text=asked.upper() + "?"), row(3))
    report = run(path, fingerprints=(str(tmp_path / "mine.fingerprints"),))
    assert report["contamination"]["benchmarks"]["mine"] == {"items": 1, "hits": 1}
    assert {"ACEBench", "API-Bank", "BFCL"} < report["contamination"]["benchmarks"].keys()
    assert dropped(report) == {"contaminated": 1}


def test_only_training_prompts_are_augmented_and_each_row_apart(run, tmp_path):
    rows = [row(i) for i in range(60)]
    run(write(tmp_path / "x.jsonl", *rows))
    plain = parts_of(tmp_path / "out")
    report = run(str(tmp_path / "x.jsonl"), drop_tools=0.5, mask_names=0.5)
    changed = parts_of(tmp_path / "out")
    assert changed["heldout"] == plain["heldout"]
    assert [p.id for p in changed["train"]] == [p.id for p in plain["train"]]
    assert report["augmented"] == {
        "drop_tools": sum(not p.reference for p in changed["train"]),
        "mask_names": sum(p.tools[0].name == "tool_1" for p in changed["train"]),
    }
    assert min(report["augmented"].values()) > 10
    run(write(tmp_path / "x.jsonl", *rows[::-1]), drop_tools=0.5, mask_names=0.5)
    assert {p.id: p for p in parts_of(tmp_path / "out")["train"]} == {p.id: p for p in changed["train"]}


def test_a_row_that_cannot_be_read_stops_the_run_unless_such_rows_are_to_be_left_out(run, tmp_path):
    path = write(tmp_path / "x.jsonl", row(1), {"messages": "no", "tools": [], "answer": []}, row(2))
    with pytest.raises(DataError, match=r"x\.jsonl:2: "):
        run(path)
    report = run(path, skip_unreadable=True)
    assert (report["rows_in"], report["prompts_in"], dropped(report)) == (3, 2, {"unreadable": 1})
    assert report["dropped"]["unreadable"]["samples"][0]["id"].endswith("x.jsonl:2")
    assert report["table"] == [{"source": "x.jsonl", "turns": "single", "raw": 3, "kept": 2}]


def test_the_template_lies_in_the_folder_and_can_be_named_by_it(run, tmp_path):
    report = run(write(tmp_path / "x.jsonl", row(1)), template="tool_n1")
    shipped = PromptTemplate.load("tool_n1")
    beside = PromptTemplate.load(str(tmp_path / "out"))
    assert (beside.text, beside.chat, report["settings"]["template"]) == (shipped.text, shipped.chat, "tool_n1")


def test_the_same_rows_and_settings_give_the_same_bytes_and_replace_the_folder(run, tmp_path):
    path = write(tmp_path / "x.jsonl", *(row(i) for i in range(20)))
    run(path)
    first = files(tmp_path / "out")
    run(path)
    assert files(tmp_path / "out") == first
    assert sorted(first) == FILES
    run(path, seed=1)
    assert files(tmp_path / "out")["train.parquet"] != first["train.parquet"]


def test_a_new_row_moves_no_other_row(run, tmp_path):
    def heldout():
        return {p.id for p in load_prompts(str(tmp_path / "out"), part="heldout")}

    rows = [row(i) for i in range(40)]
    run(write(tmp_path / "x.jsonl", *rows))
    before = heldout()
    run(write(tmp_path / "y.jsonl", *(row(i) for i in range(100, 140))), str(tmp_path / "x.jsonl"))
    assert heldout() - {f"r{i}" for i in range(100, 140)} == before


@pytest.mark.parametrize("existing", [False, True])
def test_a_malformed_row_leaves_what_was_there_and_nothing_else(run, tmp_path, existing):
    good = write(tmp_path / "good.jsonl", *(row(i) for i in range(10)))
    bad = write(tmp_path / "bad.jsonl", row(11), {"id": "r12"})
    out = tmp_path / "new" / "out"
    if existing:
        run(good, out=out)
    before = files(out) if existing else None
    with pytest.raises(DataError, match=r"bad\.jsonl:2: "):
        run(good, bad, out=out)
    assert (files(out) if existing else None) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.jsonl", "good.jsonl", *(["new"] if existing else [])]
    assert not existing or [p.name for p in out.parent.iterdir()] == ["out"]


def test_a_folder_of_something_else_is_left_alone(run, tmp_path):
    path = write(tmp_path / "x.jsonl", row(1))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"exists and is no prepared folder \(it has no report.json of one\); name another one"):
        run(path)
    assert files(tmp_path / "out") == {"thesis.txt": b"mine"}
    with pytest.raises(UserError, match="exists and is no prepared folder"):
        run(path, out=tmp_path / "x.jsonl")


def test_a_prepared_folder_with_something_of_the_users_is_left_alone(run, tmp_path):
    path = write(tmp_path / "x.jsonl", row(1))
    run(path)
    (tmp_path / "out" / "sft.jsonl").write_text("mine")
    before = files(tmp_path / "out")
    with pytest.raises(UserError, match=r"out: holds sft\.jsonl too, which a new run would remove; move it away, or name another folder"):
        run(path)
    assert files(tmp_path / "out") == before


def test_all_wrong_settings_are_named_at_once(run, tmp_path):
    with pytest.raises(ConfigError) as caught:
        run(heldout_share=1.0, max_prompt_tokens=0, drop_tools=-0.1, mask_names=2, no_call="maybe", contamination="no", format="xml")
    named = ["drop_tools", "mask_names", "heldout_share", "max_prompt_tokens", "no_call", "contamination", "inputs", "format"]
    assert [problem.split(":")[0] for problem in caught.value.problems] == named


def test_two_rows_of_one_input_with_one_id_are_refused_unless_one_is_dropped_anyway(run, tmp_path):
    rows = [row(i) for i in range(5)]
    assert run(write(tmp_path / "x.jsonl", *rows, row(1)))["dropped"]["duplicate"]["rows"] == 1
    with pytest.raises(DataError, match=r"z\.jsonl: the id 'r1' was given to an earlier row"):
        run(write(tmp_path / "z.jsonl", *rows, row(1, text="another request")))


def test_rows_of_two_inputs_that_are_called_alike_are_told_apart(run, tmp_path):
    paths = []
    for name, numbers in (("a", (1, 2)), ("b", (3, 4))):
        (tmp_path / name).mkdir()
        without_ids = [{key: value for key, value in row(number).items() if key != "id"} for number in numbers]
        paths.append(write(tmp_path / name / "rows.jsonl", *without_ids))
    run(*paths, heldout_share=0.0)
    ids = ["rows.jsonl:1", "rows.jsonl:2", "rows.jsonl:1@2", "rows.jsonl:2@2"]
    assert [prompt.id for prompt in load_prompts(str(tmp_path / "out"))] == ids


def test_when_nothing_is_left_the_table_says_why(run, tmp_path):
    with pytest.raises(DataError, match=r"none of 2 rows is left\n(.*\n)*  wrong.type +2"):
        run(write(tmp_path / "x.jsonl", row(1, a="x"), row(2, a="y")))
    assert not (tmp_path / "out").exists()


def test_when_nothing_is_left_one_row_of_each_reason_says_what_was_wrong(run, tmp_path):
    broken = {"query": "q", "answers": "[", "tools": "[]"}
    with pytest.raises(DataError, match=r"\nunreadable: .*x\.jsonl:1: `answers`: expected a list .*\nwrong type: r1: .*got \"x\"\nmend"):
        run(write(tmp_path / "x.jsonl", broken, row(1, a="x")))
    (tmp_path / "none.jsonl").touch()
    with pytest.raises(DataError, match=r"^.*none\.jsonl: no rows in it; give files that hold some$"):
        run(str(tmp_path / "none.jsonl"))


# As a user starts it: a process of its own.


def start(*arguments, hash_seed="0"):
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "toolrl", "prepare", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def command(tmp_path):
    """The arguments of a run of about a second, whose rows take every way through the filters."""
    chance = random.Random(0)
    rows = [
        row(i, a=chance.choice([i, str(i), "x"]), text=" ".join(chance.choices("abcdefghij", k=9)) + f" {i % 1500}") for i in range(3000)
    ]
    path = write(tmp_path / "x.jsonl", *rows)
    return [path, "--out", str(tmp_path / "out"), "--drop-tools", "0.2", "--mask-names", "0.2", "--no-call", "keep"]


def test_killed_at_any_moment_the_next_run_gives_the_bytes_of_an_undisturbed_one(tmp_path, command):
    quiet = start(*command, hash_seed="7")
    assert quiet.wait(120) == 0
    expected = files(tmp_path / "out")
    partial = Path(tmp_path / ".out.partial")
    chance = random.Random(1)
    killed = 0
    for attempt in range(4):
        if attempt % 2:
            for path in (tmp_path / "out").iterdir():
                path.unlink()
        process = start(*command)
        assert wait_until(lambda: partial.exists() or process.poll() is not None, 60)  # noqa: B023
        try:
            process.wait(chance.uniform(0, 0.8))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed > 1
    assert start(*command, hash_seed="1").wait(120) == 0
    assert files(tmp_path / "out") == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.jsonl"]


def test_stopped_by_the_keyboard_nothing_is_left(tmp_path, command):
    process = start(*command)
    assert wait_until(lambda: (tmp_path / ".out.partial").exists(), 60)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "toolrl: stopped by the keyboard; nothing was written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl"),
        (["{file}", "--no-call", "maybe"], "no_call: got 'maybe'; name one of drop, keep"),
        (["{file}", "--format", "xml"], "format: got 'xml'"),
        (["{file}", "--drop-tools", "15"], "drop_tools: got 15.0; give a share from 0 to 1"),
        (["{file}", "--template", "none"], "prompt template"),
        (["{file}", "--tokenizer", "./none"], "none: no tokenizer there"),
        (["{file}", "{bad}"], "bad.jsonl:1: "),
    ],
)
def test_a_wrong_input_is_one_message_and_exit_code_two(tmp_path, capsys, arguments, said):
    from toolrl.cli.main import main

    places = {"file": write(tmp_path / "x.jsonl", row(1)), "bad": write(tmp_path / "bad.jsonl", {"id": "r12"})}
    assert main(["prepare", *(argument.format(**places) for argument in arguments), "--out", str(tmp_path / "out")]) == 2
    output = capsys.readouterr()
    assert said in output.err
    assert (output.out, output.err.count("\n"), output.err.startswith("toolrl: ")) == ("", 1, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jsonl", "x.jsonl"]


def test_a_full_disk_is_one_message_and_leaves_nothing(tmp_path):
    path = write(tmp_path / "x.jsonl", *(row(i, text=random.Random(i).randbytes(400).hex()) for i in range(3000)))
    process = subprocess.run(
        [sys.executable, "-m", "toolrl", "prepare", path, "--out", str(tmp_path / "out")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr.count("\n"), process.stderr[:8]) == (2, 1, "toolrl: ")
    assert "out: cannot be written" in process.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["x.jsonl"]


def test_a_broken_table_is_one_message_of_ours_alone(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    said, _ = start(str(tmp_path / "x.parquet"), "--out", str(tmp_path / "out")).communicate(timeout=60)
    assert (said[:8], said.count("\n")) == ("toolrl: ", 1)


def test_a_whole_run_prints_the_report(tmp_path, capsys):
    from toolrl.cli.main import main

    path = write(tmp_path / "x.jsonl", *(row(i) for i in range(9)))
    assert main(["prepare", path, "--out", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "out" / "report.json").read_text())
    assert main(["prepare", path, "--out", str(tmp_path / "out")]) == 0
    assert "after processing" in capsys.readouterr().out


# The real rows. Their flags name faults of labels; what follows from each flag, row by row, is checked in tests/data/test_filters.py.

REAL = {
    "train.jsonl": {
        "rows": 2366,
        "dropped": {"name_not_offered": 14, "unknown_argument": 6, "wrong_type": 40, "no_call": 162, "duplicate": 18, "near_duplicate": 3},
        "repaired": {"quoted_number": 124, "quoted_boolean": 2, "number_as_text": 3, "null_left_out": 1, "default_left_out": 1},
    },
    "test.jsonl": {
        "rows": 317,
        "dropped": {"unknown_argument": 1, "wrong_type": 5, "no_call": 20, "near_duplicate": 1},
        "repaired": {"quoted_number": 12, "quoted_boolean": 1, "null_left_out": 1, "number_as_text": 1},
    },
}
REPAIRED_ROWS = {"train.jsonl": 130, "test.jsonl": 15}
"""One row of train.jsonl has two kinds of repair."""
BELOW_THE_FLAGS = {"train.jsonl": 1, "test.jsonl": 0}
"""rlla_test_19 is dropped without a flag: a 10.5 among integers, in a list of lists, where the flags do not look."""


@pytest.mark.parametrize("name", sorted(REAL))
def test_the_report_of_real_rows_agrees_with_their_flags(run, shared_data, name):
    path = shared_data / "tool_calling" / name
    with path.open() as lines:
        rows = [json.loads(line) for line in lines]
    flags = [{flag.partition(":")[0] for flag in each["flags"]} for each in rows]
    report = run(str(path), template="tool_n1")
    expected = REAL[name]
    assert report["rows_in"] == report["prompts_in"] == expected["rows"] == len(rows)
    assert dropped(report) == expected["dropped"]
    assert {kind: each["rows"] for kind, each in report["repaired"].items()} == expected["repaired"]
    assert sum(report["kept"].values()) == expected["rows"] - sum(expected["dropped"].values())

    faults = Counter(flag for each in flags for flag in each)
    assert dropped(report).get("name_not_offered", 0) == faults["name_not_in_tools"]
    assert dropped(report).get("unknown_argument", 0) == faults["argument_not_in_schema"]
    only_types = sum("label_type_mismatch" in each and not each & {"name_not_in_tools", "argument_not_in_schema"} for each in flags)
    assert only_types + BELOW_THE_FLAGS[name] == dropped(report)["wrong_type"] + REPAIRED_ROWS[name]
    assert dropped(report)["no_call"] == sum(each["kind"].startswith("no_call") for each in rows)
    multi = sum(cell["raw"] for cell in report["table"] if cell["turns"] == "multi")
    assert multi == sum(each["kind"].endswith("_multi_turn") for each in rows)


def test_no_real_dialogue_is_on_both_sides_and_every_prompt_is_as_read_or_as_mended(run, tmp_path, shared_data):
    path = shared_data / "tool_calling" / "train.jsonl"
    run(str(path))
    parts = list(parts_of(tmp_path / "out").values())
    assert not {p.dialogue for p in parts[0]} & {p.dialogue for p in parts[1]}
    read = {p.id: repaired(p).prompt for p in read_rows(path)}
    assert all(repr(read[p.id]) == repr(p) for prompts in parts for p in prompts)
    assert all(contradiction(p.reference, p.tools) is None for prompts in parts for p in prompts)


def test_real_rows_without_a_call_are_kept_when_asked_but_for_duplicates(run, shared_data):
    path = shared_data / "tool_calling" / "train.jsonl"
    steps = sum(not prompt.reference for _, prompts in read_prompts_of(path) for prompt in prompts)
    report = run(str(path), no_call="keep")
    assert "no_call" not in report["dropped"]
    assert sum(report["kept"].values()) > 2123 + 0.8 * steps
