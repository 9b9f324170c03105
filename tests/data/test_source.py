import json

import pytest

from toolrl.data.source import DEMO_ROWS, load_prompts
from toolrl.data.store import PromptWriter
from toolrl.errors import DataError


def row(name):
    return {"id": name, "messages": [{"role": "user", "content": name}], "tools": [], "answer": []}


def jsonl(path, *names):
    path.write_text("".join(json.dumps(row(name)) + "\n" for name in names))
    return str(path)


def test_a_jsonl_file_is_read_as_it_is(tmp_path):
    assert [p.id for p in load_prompts(jsonl(tmp_path / "x.jsonl", "b", "a"))] == ["b", "a"]


def test_a_prepared_folder_has_two_parts_and_each_is_a_file(tmp_path):
    prompts = load_prompts(jsonl(tmp_path / "x.jsonl", "a", "b", "c"))
    (tmp_path / "done").mkdir()
    for part, some in (("train", prompts[:2]), ("heldout", prompts[2:])):
        with PromptWriter(tmp_path / "done" / f"{part}.parquet") as writer:
            for prompt in some:
                writer.write(prompt)
    assert load_prompts(str(tmp_path / "done")) == prompts[:2]
    assert load_prompts(str(tmp_path / "done"), part="heldout") == prompts[2:]
    assert load_prompts(str(tmp_path / "done" / "heldout.parquet")) == prompts[2:]


def test_the_demo_is_made_on_the_fly():
    assert len(load_prompts("demo://train?rows=5&seed=1")) == 5
    assert load_prompts("demo://heldout?rows=3") == load_prompts("demo://heldout?rows=3&seed=0")
    assert load_prompts("demo://train?rows=3&seed=1") != load_prompts("demo://train?rows=3&seed=2")
    assert len(load_prompts("demo://heldout")) == DEMO_ROWS["heldout"]


@pytest.mark.parametrize("spec", ["demo://test", "demo://train/x", "demo://train?row=3", "demo://train?rows=many", "demo://train?rows=-1"])
def test_a_demo_that_does_not_exist_says_what_does(spec):
    with pytest.raises(DataError, match=r"demo://.*expected"):
        load_prompts(spec)


def test_what_is_not_there_says_what_to_give(tmp_path):
    with pytest.raises(DataError, match=r"nothing: no such file or folder; give a JSONL file"):
        load_prompts(str(tmp_path / "nothing"))
    with pytest.raises(DataError, match=r"no data in it; give a folder that holds"):
        load_prompts(str(tmp_path), part="heldout")
    with PromptWriter(tmp_path / "train.parquet"):
        pass
    with pytest.raises(DataError, match=r"no heldout\.parquet in this folder; make one with `toolrl prepare"):
        load_prompts(str(tmp_path), part="heldout")


def test_two_prompts_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="two prompts have the id 'a'"):
        load_prompts(jsonl(tmp_path / "x.jsonl", "a", "b", "a"))


def test_nothing_to_train_on_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no prompts in it"):
        load_prompts(jsonl(tmp_path / "x.jsonl"))
    with pytest.raises(DataError, match="no prompts in it"):
        load_prompts("demo://train?rows=0")
