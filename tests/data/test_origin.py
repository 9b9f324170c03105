import json
import os
import subprocess
import sys
import time
from decimal import Decimal

import pytest

from toolrl.data.origin import raw_rows
from toolrl.errors import DataError, UserError

ROWS = [{"id": "a", "n": 1, "s": {"x": 1}}, {"id": "b", "n": 0.1, "s": {"y": [1, None]}}]
READ = [{"id": "a", "n": Decimal("1.0"), "s": {"x": 1}}, {"id": "b", "n": Decimal("0.1"), "s": {"y": [1, None]}}]


def table():
    import datasets

    return datasets.Dataset.from_list(ROWS)


def rows(spec):
    return [raw.row for raw in raw_rows(str(spec))]


def ids(spec):
    return [row["id"] for row in rows(spec)]


def test_a_parquet_file_is_read_through_datasets_without_the_keys_that_arrow_added(tmp_path):
    table().to_parquet(tmp_path / "x.parquet")
    assert rows(tmp_path / "x.parquet") == READ
    raw = next(raw_rows(str(tmp_path / "x.parquet")))
    assert (raw.place, raw.name, raw.source) == (f"{tmp_path}/x.parquet:1", "x.parquet:1", "x.parquet")


def test_an_arrow_file_and_a_folder_of_save_to_disk_are_read(tmp_path):
    table().save_to_disk(tmp_path / "saved")
    assert rows(tmp_path / "saved") == READ
    assert rows(tmp_path / "saved" / "data-00000-of-00001.arrow") == READ
    assert next(raw_rows(str(tmp_path / "saved"))).name == "saved:1"


def test_of_several_saved_tables_train_is_read_or_the_one_that_is_named(tmp_path):
    import datasets

    datasets.DatasetDict({"test": table().select([1]), "train": table().select([0])}).save_to_disk(tmp_path / "both")
    datasets.DatasetDict({"a": table().select([1]), "b": table().select([0])}).save_to_disk(tmp_path / "neither")
    assert ids(tmp_path / "both") == ["a"]
    assert ids(f"{tmp_path}/both:test") == ["b"]
    with pytest.raises(DataError, match=r"no split 'dev' among t\w+, t\w+; name another"):
        rows(f"{tmp_path}/both:dev")
    with pytest.raises(DataError, match=r"got the splits a, b; name one, as in .*neither:a"):
        rows(tmp_path / "neither")


def test_the_files_of_a_folder_are_read_in_their_order_whatever_they_are(tmp_path):
    table().select([0]).to_parquet(tmp_path / "1.parquet")
    (tmp_path / "2.jsonl").write_text('{"id": "c"}\n')
    (tmp_path / "3.json").write_text('[{"id": "d"}]')
    (tmp_path / "README.md").write_text("no data")
    (tmp_path / "_part.json").write_text("no data")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "4.jsonl").write_text('{"id": "e"}\n')
    assert ids(tmp_path) == ["a", "c", "d"]
    assert [raw.name for raw in raw_rows(str(tmp_path))][1] == f"{tmp_path.name}/2.jsonl:1"


def test_a_copy_of_a_hub_repository_gives_its_train_split_or_the_one_that_is_named(tmp_path):
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        (tmp_path / "data" / f"{split}-00000-of-00001.jsonl").write_text(json.dumps({"id": split}))
    assert ids(tmp_path) == ["train"]
    assert ids(f"{tmp_path}:test") == ["test"]
    with pytest.raises(DataError, match=r"no file of the split 'dev' among data/test-00000-of-00001\.jsonl, data/train"):
        raw_rows(f"{tmp_path}:dev")


def test_what_is_not_there_is_refused_before_anything_is_read(tmp_path):
    for spec in ("nowhere.jsonl", "./nowhere/x", str(tmp_path / "nothing"), "a/b/c", "data set", "owner/rows.jsonl"):
        with pytest.raises(DataError, match="no such file or folder; give a JSONL file"):
            raw_rows(spec)
    with pytest.raises(DataError, match="no data in it"):
        raw_rows(str(tmp_path))


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"x\.parquet.*cannot be read"):
        rows(tmp_path / "x.parquet")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(DataError, match=r"saved: cannot be read as a folder of `save_to_disk`"):
        rows(tmp_path / "saved")


def test_a_number_that_json_has_not_is_named_by_its_row(tmp_path):
    import datasets

    datasets.Dataset.from_list([{"n": 1.5}, {"n": float("nan")}]).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet:2: cannot be read .*nan is no JSON number"):
        rows(tmp_path / "x.parquet")


def test_a_hub_that_cannot_be_reached_is_said_within_seconds(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(UserError, match=r"owner/name: no such file or folder, and the Hugging Face hub cannot be reached") as caught:
        raw_rows("owner/name")
    assert time.monotonic() - start < 10
    assert caught.value.exit_code == 2


OFFLINE = """
import sys
from toolrl.data.origin import raw_rows
from toolrl.errors import UserError
try:
    print([raw.row["id"] for raw in raw_rows(sys.argv[1])])
except UserError as error:
    print("refused:", error)
"""


def offline(spec, cache):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(cache)}
    code = [sys.executable, "-c", OFFLINE, spec]
    return subprocess.run(code, capture_output=True, text=True, check=True, env=environment).stdout


def test_with_the_hub_switched_off_its_cache_is_used_and_a_name_that_is_not_in_it_refused(tmp_path):
    import datasets

    table().to_parquet(tmp_path / "x.parquet")
    datasets.load_dataset("parquet", data_files=[str(tmp_path / "x.parquet")], split="train", cache_dir=str(tmp_path / "made"))
    (made,) = (tmp_path / "made").glob("parquet/*/0.0.0/*/")
    cached = tmp_path / "cache" / "owner___name" / "default" / "0.0.0" / "abc"
    cached.parent.mkdir(parents=True)
    made.rename(cached)
    (cached / "parquet-train.arrow").rename(cached / "name-train.arrow")
    assert offline("owner/name", tmp_path / "cache") == "['a', 'b']\n"
    assert offline("hf://datasets/owner/name:train", tmp_path / "cache") == "['a', 'b']\n"
    assert offline("owner/unknown", tmp_path / "cache").startswith("refused: owner/unknown: cannot be loaded from the hub (ConnectionError")


def test_a_hub_name_may_hold_configuration_and_split(monkeypatch):
    import datasets

    asked = []

    def load(name, configuration, *, split, streaming):
        asked.append((name, configuration, split, streaming))
        found = datasets.IterableDatasetDict({"train": table().to_iterable_dataset()})
        return found["train"] if split else found

    monkeypatch.setattr("toolrl.data.origin.hub_answers", lambda: True)
    monkeypatch.setattr(datasets, "load_dataset", load)
    for spec in ("owner/name", "hf://owner/name", "owner/name:test", "owner/name:extra:test"):
        assert ids(spec) == ["a", "b"]
    assert next(raw_rows("owner/name")).place == "owner/name:1"
    assert asked[:4] == [("owner/name", *rest, True) for rest in ((None, None), (None, None), (None, "test"), ("extra", "test"))]


def test_the_library_is_not_loaded_for_json(tmp_path):
    (tmp_path / "x.jsonl").write_text("{}\n")
    code = "import sys; from toolrl.data.origin import raw_rows; print(list(raw_rows(sys.argv[1]))[0].row, 'datasets' in sys.modules)"
    command = [sys.executable, "-c", code, str(tmp_path / "x.jsonl")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "{} False\n"
