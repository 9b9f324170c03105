import json
from pathlib import Path

import pytest

import toolrl.data.benchmarks
from toolrl.cli.main import main
from toolrl.data.contamination import Guard
from toolrl.pipelines.fingerprint import fingerprint

SHIPPED = Path(toolrl.data.benchmarks.__file__).parent
ROW = {"id": "x", "question": [[{"role": "user", "content": "a secret question"}]], "function": [{"name": "f"}]}


def test_the_command_writes_hashes_and_none_of_the_text(tmp_path, capsys):
    (tmp_path / "BFCL_v4_x.json").write_text(json.dumps(ROW) + "\n" + json.dumps(ROW))
    out = tmp_path / "x.fingerprints"
    assert main(["fingerprint", "bfcl", str(tmp_path), "--out", str(out), "--revision", "r1"]) == 0
    assert capsys.readouterr().out == f"{out}: 2 items, 1 fingerprints\n"
    header, line = out.read_text().splitlines()
    assert json.loads(header) == {"format": "toolrl.fingerprints/1", "benchmark": "BFCL", "revision": "r1", "items": 2}
    assert len(line) == 16
    assert Guard.load([out]).items == {"BFCL": 2}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bfcl", "missing", "--out", "x"], "missing: no such file or folder"),
        (["bfcl", ".", "--out", "x"], "no file BFCL_v*.json there"),
        (["own", "empty.jsonl", "--out", "x"], "empty.jsonl: no items there"),
        (["bfcl", "BFCL_v4_x.json", "--out", "no/x"], "cannot be written"),
        (["bfcl", "BFCL_v4_x.json", "--out", "data"], "cannot be written"),
        (["bfcl", "BFCL_v4_x.json", "--out", "x", "--revision", "a\nb"], "revision: got 'a\\nb'"),
        (["apibank", "BFCL_v4_x.json", "--out", "x"], "not a row of API-Bank"),
    ],
)
def test_what_the_user_must_change_is_said_and_nothing_is_written(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    Path("empty.jsonl").touch()
    Path("BFCL_v4_x.json").write_text(json.dumps(ROW))
    Path("data").mkdir()
    before = sorted(Path().iterdir())
    if "no file" in says:
        arguments[1] = "data"
    assert main(["fingerprint", *arguments]) == 2
    assert says in capsys.readouterr().err
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(("name", "folder"), [("bfcl", "bfcl_v4"), ("apibank", "apibank"), ("acebench", "acebench_en")])
def test_remaking_the_shipped_fingerprints_gives_the_shipped_bytes(shared_data, tmp_path, name, folder):
    shipped = SHIPPED / f"{name}.fingerprints"
    revision = json.loads(shipped.read_text().splitlines()[0])["revision"]
    fingerprint(name, [shared_data / folder], out=tmp_path / "again", revision=revision)
    assert (tmp_path / "again").read_bytes() == shipped.read_bytes()
