"""A folder from elsewhere is read no further than it reaches: by no name in its files, and by no link."""

import json
import shutil

import datasets
import pytest

from toolrl.data.inside import is_inside, is_plain
from toolrl.data.origin import raw_rows
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.errors import DataError, UserError


@pytest.fixture
def secret(tmp_path):
    """A file of the user's that a folder from elsewhere would like to have."""
    path = tmp_path / "home" / "secret.json"
    path.parent.mkdir()
    path.write_text('{"key": "very secret"}\n')
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "set"
    path.mkdir()
    (path / "rows.jsonl").write_text('{"a": 1}\n')
    return path


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "..", "a\0b", None, 3])
def test_a_name_that_leads_elsewhere_is_not_plain(name):
    assert not is_plain(name)


@pytest.mark.parametrize("name", ["x", "a/b.arrow", "..x", "a..b", "data-00000-of-00001.arrow"])
def test_a_name_below_is_plain(name):
    assert is_plain(name)


def test_a_link_is_followed_to_where_it_leads(folder, secret):
    (folder / "near").symlink_to("rows.jsonl")
    (folder / "far").symlink_to(secret)
    (folder / "up").symlink_to("..")
    assert is_inside(folder / "near", folder)
    assert not is_inside(folder / "far", folder)
    assert not is_inside(folder / "up" / "home" / "secret.json", folder)
    assert not is_inside(folder / ".." / "home" / "secret.json", folder)


def test_the_folder_itself_may_be_reached_by_a_link(folder, tmp_path):
    (tmp_path / "named").symlink_to(folder)
    assert is_inside(tmp_path / "named" / "rows.jsonl", tmp_path / "named")


def test_the_hubs_cache_is_links_and_reads_no_further(tmp_path, secret):
    snapshot, blobs = tmp_path / "datasets--o--n" / "snapshots" / "abc" / "data", tmp_path / "datasets--o--n" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "1234").write_text('{"a": 2}\n')
    (snapshot / "rows.jsonl").symlink_to("../../../blobs/1234")
    assert [raw.row for raw in raw_rows(str(snapshot))] == [{"a": 2}]
    assert [raw.row for raw in raw_rows(str(snapshot.parent))] == [{"a": 2}]
    (snapshot / "more.jsonl").symlink_to(secret)
    with pytest.raises(DataError, match="outside the folder"):
        list(raw_rows(str(snapshot)))


@pytest.mark.parametrize("name", ["more.jsonl", "demonstrations.jsonl", "deep.parquet"])
def test_rows_are_not_read_through_a_link_out_of_their_folder(folder, secret, name):
    (folder / name).symlink_to(secret)
    with pytest.raises(DataError, match=f"{name}: a link to .*secret.json, outside the folder; put the file itself there") as told:
        list(raw_rows(str(folder)))
    assert "very secret" not in str(told.value)


def test_a_link_that_the_user_names_is_read(folder, tmp_path):
    (tmp_path / "mine.jsonl").symlink_to(folder / "rows.jsonl")
    assert [raw.row for raw in raw_rows(str(tmp_path / "mine.jsonl"))] == [{"a": 1}]


@pytest.mark.parametrize("leads", ["relative", "absolute", "link"])
def test_a_saved_set_reads_no_arrow_file_of_another(tmp_path, leads):
    for name, value in (("mine", 1), ("other", 2)):
        datasets.Dataset.from_dict({"a": [value]}).save_to_disk(str(tmp_path / name))
    arrow = "data-00000-of-00001.arrow"
    state = json.loads((tmp_path / "mine" / "state.json").read_text())
    named = {"relative": f"../other/{arrow}", "absolute": str(tmp_path / "other" / arrow), "link": "planted.arrow"}[leads]
    if leads == "link":
        (tmp_path / "mine" / named).symlink_to(tmp_path / "other" / arrow)
    state["_data_files"] = [{"filename": named}]
    (tmp_path / "mine" / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match=r"state\.json: names .*, outside the folder"):
        list(raw_rows(str(tmp_path / "mine")))


def test_a_saved_sets_splits_are_its_own(tmp_path):
    datasets.DatasetDict({"train": datasets.Dataset.from_dict({"a": [1]})}).save_to_disk(str(tmp_path / "mine"))
    datasets.Dataset.from_dict({"a": [2]}).save_to_disk(str(tmp_path / "other"))
    assert [raw.row for raw in raw_rows(str(tmp_path / "mine"))] == [{"a": 1}]
    (tmp_path / "mine" / "dataset_dict.json").write_text('{"splits": ["../other"]}')
    with pytest.raises(DataError, match=r"dataset_dict\.json: names '../other', outside the folder"):
        list(raw_rows(str(tmp_path / "mine")))


def test_what_lies_beside_a_models_weights_is_no_link_out_of_its_folder(byte_tokenizer, tmp_path, secret):
    model = shutil.copytree(byte_tokenizer, tmp_path / "model")
    (model / "model.safetensors").symlink_to(secret)  # large, and often kept elsewhere: read as weights, or not at all
    ChatTokenizer(str(model))
    (model / "vocab.txt").symlink_to(secret)
    with pytest.raises(UserError, match=r"vocab.txt: a link to .*, outside the folder; what lies beside a model is copied with it"):
        ChatTokenizer(str(model))
