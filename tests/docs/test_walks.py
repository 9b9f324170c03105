"""What the pages show was printed by what they tell to type."""

import json
import re
import runpy
import shlex
import sys

import pages
import pytest

from toolrl.cli.main import main

YOUR_DATA = pages.DOCS / "your-data.md"
REWARD = pages.DOCS / "write-a-reward.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's folder: the rows of one page, the rewards of the other."""
    (rows,) = [block.text for block in pages.blocks(YOUR_DATA) if block.language == "jsonl"]
    module, _ = (block.text for block in pages.blocks(REWARD) if block.language == "python")
    (tmp_path / "rows.jsonl").write_text(rows)
    (tmp_path / "my_rewards.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    sys.modules.pop("my_rewards", None)


def typed(command):
    return main(shlex.split(command)[1:])


def test_rows_are_prepared_and_audited_as_your_data_shows(folder, capsys):
    """Each block of a command is followed by what it prints; some of it may be left out."""
    blocks = [block for block in pages.blocks(YOUR_DATA) if block.language in ("", "text")][:4]
    for command, shown in zip(blocks[::2], blocks[1::2], strict=True):
        assert typed(command.text) == 0
        printed = {line.rstrip() for line in capsys.readouterr().out.splitlines()}
        assert set(shown.text.splitlines()) <= printed


def test_the_row_that_is_explained_is_the_first_of_the_file(folder):
    (row,) = [block.text for block in pages.blocks(YOUR_DATA) if block.language == "json"]
    assert json.loads(row) == json.loads((folder / "rows.jsonl").read_text().splitlines()[0])


def test_the_configuration_of_the_page_fits_the_machine_it_is_planned_for(folder, capsys):
    (config,) = [block.text for block in pages.blocks(YOUR_DATA) if block.language == "yaml"]
    (folder / "mine.yaml").write_text(config)
    (command,) = [block.text for block in pages.blocks(YOUR_DATA) if block.text.startswith("toolrl plan")]
    assert typed(command) == 0
    assert "it fits" in capsys.readouterr().out.splitlines()


def test_the_reward_of_the_page_is_sound_on_its_rows(folder, capsys):
    typed("toolrl prepare rows.jsonl --out data/mine --heldout-share 0.5")
    for block in pages.blocks(REWARD):
        for command in re.findall(r"^toolrl audit .*", block.text, flags=re.MULTILINE):
            assert typed(command) == 0
    assert typed("toolrl audit data/mine --functions my_rewards:near=0.9 my_rewards:brief=0.1") == 0
    assert "FAILED" not in capsys.readouterr().out


def test_the_try_of_the_page_holds(folder):
    _, tried = (block.text for block in pages.blocks(REWARD) if block.language == "python")
    (folder / "tried.py").write_text(tried)
    runpy.run_path(str(folder / "tried.py"))


def test_without_its_condition_the_brief_reward_pays_an_empty_text_more_than_a_brief_one(folder):
    """As the page says of it."""
    careless = (folder / "my_rewards.py").read_text().replace(" if end >= 0 else 0.0", "")
    (folder / "careless.py").write_text(careless)
    brief = runpy.run_path(str(folder / "careless.py"))["brief"]
    assert brief(None, "") > brief(None, "<think>x</think>")
