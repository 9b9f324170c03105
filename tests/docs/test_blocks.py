"""Blocks of data and of code are what they say they are."""

import ast
import json

import pages
import pytest
import yaml

from toolrl.config.kinds import KINDS
from toolrl.config.load import load

BLOCKS = [(page, block) for page in pages.PAGES for block in pages.blocks(page)]
LANGUAGES = {"", "sh", "bash", "text", "json", "jsonl", "yaml", "python", "toml", "ini"}
RL_SECTIONS = set(KINDS["rl"].__dataclass_fields__)


def of(language):
    found = [(page, block) for page, block in BLOCKS if block.language == language]
    return pytest.mark.parametrize(("page", "block"), found, ids=[f"{page.name}:{block.line}" for page, block in found])


def test_every_language_of_a_block_is_one_that_is_checked_here():
    assert {block.language for _, block in BLOCKS} <= LANGUAGES


@of("python")
def test_python_compiles(page, block):
    ast.parse(block.text, f"{page.name}:{block.line}")


@of("json")
def test_json_is_json(page, block):
    json.loads(block.text)


@of("jsonl")
def test_every_line_of_jsonl_is_json(page, block):
    for line in block.text.splitlines():
        json.loads(line)


@of("yaml")
def test_yaml_is_yaml_and_settings_in_it_are_settings(page, block, tmp_path):
    for document in yaml.safe_load_all(block.text):
        if isinstance(document, dict) and set(document) <= RL_SECTIONS:
            (tmp_path / "block.yaml").write_text(block.text)
            load(KINDS["rl"], ["model.path=demo://start", "data.train=demo://train", str(tmp_path / "block.yaml")])
