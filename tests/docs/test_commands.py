"""What the pages tell a reader to type is accepted as it stands there."""

import re
from pathlib import Path

import pages
import pytest

from toolrl.cli.commands import NAMES
from toolrl.cli.main import make_parser
from toolrl.cli.reference import commands_page
from toolrl.config.kinds import KINDS
from toolrl.config.load import load, settings
from toolrl.monitor.metrics import LIVE, METRICS
from toolrl.pipelines.recipes.files import find

TYPED = [(page, line, words) for page in pages.PAGES for line, words in pages.commands(page, "toolrl")]
TARGETS = set(re.findall(r"^([\w-]+):", (pages.ROOT / "Makefile").read_text(), flags=re.MULTILINE))
SETTINGS = {name for kind in KINDS.values() for name in settings(kind)}
SECTIONS = {name.split(".")[0] for name in SETTINGS}
METRIC_NAMES = {metric.name for metric in (*METRICS, *LIVE)}
FAMILIES = {name.split("/")[0] for name in METRIC_NAMES}
OPEN = {name.removesuffix("*") for name in METRIC_NAMES if name.endswith("*")}
FILES = re.compile(r".*\.(py|json|jsonl|parquet|yaml|md|template|safetensors|log)")
"""Ends of names of files, which may begin like a section."""


def parsers():
    (commands,) = (action.choices for action in make_parser()._actions if isinstance(action.choices, dict))
    return commands


def kind_of(command, arguments):
    """The schema of what a command takes as settings: its own, or that of the command it starts."""
    named = getattr(arguments, "command", "rl")
    return KINDS[command if command in KINDS else named]


@pytest.mark.parametrize(("page", "line", "words"), TYPED, ids=[f"{p.name}:{n}:{' '.join(w[1:3])}" for p, n, w in TYPED])
def test_every_command_of_a_block_is_accepted(page, line, words, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)  # what ships is found from any folder
    for block in pages.blocks(page):
        if name := re.match(r"# (\S+\.yaml)\n", block.text):
            (tmp_path / name[1]).write_text(block.text)
    try:
        arguments = make_parser().parse_args(words[1:])
    except SystemExit:
        pytest.fail(f"{page.name}:{line}: {' '.join(words)}: {capsys.readouterr().err}")
    for recipe in [word for word in getattr(arguments, "words", ()) if "=" not in word]:
        assert find(recipe).is_file()
    given = getattr(arguments, "settings", ())
    kind = kind_of(words[1], arguments)
    named = [f"model.path={arguments.model}", "run.dir=runs/evaluate/any"] if words[1] == "evaluate" and arguments.model else []
    if words[1] in ("replay", "serve"):  # these add to settings that a run or a model has
        unknown = {word.partition("=")[0] for word in given} - set(settings(kind))
        assert not unknown, f"{page.name}:{line}"
    elif given or named:
        load(kind, [*given, *named])


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_commands_and_options_within_the_text_exist(page):
    known = parsers()
    for text in pages.code(page):
        words = text.split()
        if words[0] != "toolrl" or len(words) < 2 or not re.fullmatch(r"[a-z]+", words[1]):
            continue
        assert words[1] in known, f"{page.name}: {text}"
        options = {option for action in known[words[1]]._actions for option in action.option_strings}
        assert {word.partition("=")[0].strip("[]") for word in words if word.startswith(("--", "[--"))} <= options, f"{page.name}: {text}"


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_settings_within_the_text_exist(page):
    for text in pages.code(page):
        found = re.fullmatch(r"([a-z]+\.[a-z_0-9]+)(=\S+|: \S+)?", text)
        if found and text.split(".")[0] in SECTIONS and not FILES.fullmatch(text):
            assert found[1] in SETTINGS, f"{page.name}: {text}"


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_metrics_within_the_text_exist(page):
    for text in pages.code(page):
        if re.fullmatch(r"[a-z]+/[a-z_]+", text) and text.split("/")[0] in FAMILIES:
            assert text in METRIC_NAMES or any(text.startswith(family) for family in OPEN), f"{page.name}: {text}"


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_targets_of_make_exist(page):
    typed = [words for _, words in pages.commands(page, "make")] + [text.split() for text in pages.code(page) if text.startswith("make ")]
    for words in typed:
        target = next((word for word in words[1:] if "=" not in word), None)
        assert target is None or target in TARGETS, f"{page.name}: {' '.join(words)}"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_page_beside_the_reference(name):
    assert any(re.search(rf"\btoolrl {name}\b", page.read_text()) for page in pages.PAGES[1:] if page.name not in pages.GENERATED)


def test_the_generated_page_is_up_to_date():
    assert (Path(pages.DOCS) / "commands.md").read_text() == commands_page(parsers()) + "\n", "run `make docs`"
