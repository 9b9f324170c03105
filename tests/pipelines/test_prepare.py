import json

import pytest

from toolrl.data.rows import read_rows
from toolrl.data.source import load_prompts
from toolrl.errors import ConfigError, DataError, UserError
from toolrl.pipelines.prepare import prepare

TOOL = {"name": "f", "description": "", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}


def row(number, a=1, text=None):
    messages = [{"role": "user", "content": text or f"request {number}"}]
    return {"id": f"r{number}", "messages": messages, "tools": [TOOL], "answer": [{"name": "f", "arguments": {"a": a}}]}


def write(path, *rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


@pytest.fixture
def run(tmp_path):
    """Prepare into tmp_path/out, with what a test changes."""

    def call(*inputs, **changes):
        settings = {"tokenizer": None, "template": "demo", "max_prompt_tokens": 4096, "heldout_share": 0.2, "seed": 0}
        return prepare(list(inputs), **({"out": tmp_path / "out"} | settings | changes))

    return call


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_row_is_kept_in_one_part_or_counted(run, tmp_path, byte_tokenizer):
    long = row(98, text="x" * 400)
    rows = [*(row(i) for i in range(50)), row(3) | {"id": "again"}, row(99, a="1"), long]
    path = write(tmp_path / "x.jsonl", *rows)
    report = run(path, tokenizer=byte_tokenizer, max_prompt_tokens=200)
    assert report["rows_in"] == 53
    assert {reason: d["rows"] for reason, d in report["dropped"].items()} == {"wrong_type": 1, "duplicate": 1, "too_long": 1}
    assert list(report["dropped"]) == ["wrong_type", "duplicate", "too_long"]
    parts = {part: load_prompts(str(tmp_path / "out"), part=part) for part in ("train", "heldout")}
    assert {part: len(prompts) for part, prompts in parts.items()} == report["kept"]
    assert sorted(p.id for prompts in parts.values() for p in prompts) == sorted(f"r{i}" for i in range(50))
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    frame = len("system\n<tools>\nf(a:integer)\n</tools>\nuser\nrequest 7\nassistant\n") + 5  # and five turn marks
    assert report["prompt_length"] == {"unit": "tokens", "min": frame, "median": frame + 1, "p95": frame + 1, "max": frame + 1}


def test_the_same_rows_give_the_same_bytes_and_replace_the_folder(run, tmp_path):
    path = write(tmp_path / "x.jsonl", *(row(i) for i in range(20)))
    run(path)
    first = files(tmp_path / "out")
    run(path)
    assert files(tmp_path / "out") == first
    assert sorted(first) == ["heldout.parquet", "report.json", "report.md", "train.parquet"]
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


def test_what_a_killed_run_left_is_cleared_away(run, tmp_path):
    path = write(tmp_path / "x.jsonl", *(row(i) for i in range(10)))
    run(path)
    whole = files(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.replaced")  # killed between the two renames
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "train.parquet").write_bytes(b"half")
    with pytest.raises(DataError):
        run(write(tmp_path / "bad.jsonl", {}))
    assert files(tmp_path / "out") == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.jsonl", "out", "x.jsonl"]


def test_a_folder_of_something_else_is_left_alone(run, tmp_path):
    path = write(tmp_path / "x.jsonl", row(1))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="exists and is no prepared folder; name another one"):
        run(path)
    assert files(tmp_path / "out") == {"thesis.txt": b"mine"}
    with pytest.raises(UserError, match="exists and is no prepared folder"):
        run(path, out=tmp_path / "x.jsonl")


def test_a_place_that_cannot_be_written_is_the_users_to_change(run, tmp_path):
    path = write(tmp_path / "x.jsonl", row(1))
    with pytest.raises(UserError, match="cannot be written"):
        run(path, out=tmp_path / "x.jsonl" / "out")


def test_all_wrong_settings_are_named_at_once(run, tmp_path):
    with pytest.raises(ConfigError) as caught:
        run(str(tmp_path / "nowhere.jsonl"), heldout_share=1.0, max_prompt_tokens=0)
    assert [problem.split(":")[0].rpartition("/")[2] for problem in caught.value.problems] == [
        "nowhere.jsonl",
        "heldout_share",
        "max_prompt_tokens",
    ]


def test_two_rows_of_one_id_are_refused_unless_one_is_dropped_anyway(run, tmp_path):
    path = write(tmp_path / "x.jsonl", *(row(i) for i in range(5)))
    again = write(tmp_path / "y.jsonl", row(1))
    assert run(path, again)["dropped"]["duplicate"]["rows"] == 1
    with pytest.raises(DataError, match=r"z\.jsonl: the id 'r1' was given to an earlier row"):
        run(path, write(tmp_path / "z.jsonl", row(1, text="another request")))


def test_when_nothing_is_left_the_table_says_why(run, tmp_path):
    with pytest.raises(DataError, match=r"none of 2 rows is left\n(.*\n)*  wrong_type +2"):
        run(write(tmp_path / "x.jsonl", row(1, a="x"), row(2, a="y")))
    assert not (tmp_path / "out").exists()


def test_real_rows_are_dropped_for_what_their_flags_say(run, tmp_path, shared_data, byte_tokenizer):
    """Duplicates and long prompts have no flag; which flags are no contradictions says tests/data/test_filters.py, row by row."""
    path = shared_data / "tool_calling" / "train.jsonl"
    with path.open() as lines:
        flags = [{flag.partition(":")[0] for flag in json.loads(line)["flags"]} for line in lines]
    names = sum("name_not_in_tools" in f for f in flags)
    arguments = sum("argument_not_in_schema" in f for f in flags)
    types = sum("label_type_mismatch" in f and not f & {"name_not_in_tools", "argument_not_in_schema"} for f in flags)
    report = run(str(path), template="tool_n1", tokenizer=byte_tokenizer, max_prompt_tokens=8000)
    dropped = {reason: d["rows"] for reason, d in report["dropped"].items()}
    nested = 1  # rlla_test_19: a wrong type inside a list, which the flags do not look into
    unflagged = {"duplicate": dropped.pop("duplicate"), "too_long": dropped.pop("too_long")}
    assert dropped == {"name_not_offered": names, "unknown_argument": arguments, "wrong_type": types + nested}
    assert sum(report["kept"].values()) == report["rows_in"] - sum(dropped.values()) - sum(unflagged.values())
    assert unflagged["duplicate"] > 0


def test_no_real_dialogue_is_on_both_sides_and_every_prompt_is_unchanged(run, tmp_path, shared_data):
    path = shared_data / "tool_calling" / "train.jsonl"
    run(str(path))
    parts = [load_prompts(str(tmp_path / "out"), part=part) for part in ("train", "heldout")]
    assert not {p.dialogue for p in parts[0]} & {p.dialogue for p in parts[1]}
    read = {p.id: p for p in read_rows(path)}
    assert all(repr(read[p.id]) == repr(p) for prompts in parts for p in prompts)
