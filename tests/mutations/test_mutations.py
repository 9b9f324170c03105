"""A broken file is one message that names it, or a command goes on; never a traceback, a wait, or harm. All of it: `make mutations`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from mutator.campaign import World, cases, selection
from mutator.mutations import of_bytes
from mutator.readers import KINDS, Command, Kind

FILES, SEED = 230, 1
"""Of the short form: about so many mutated files, always the same."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutations") / "world"
    folder.mkdir()
    return World(folder)


def test_mutated_files_are_refused_in_one_message_with_their_name_or_passed_over_by_rule(world):
    chosen = selection(SEED, FILES)
    assert len(chosen) >= 200
    assert {case.kind.name for case in chosen} == {kind.name for kind in KINDS}
    wrong = {str(outcome.case): outcome.problems for outcome in map(world.run, chosen) if outcome.problems}
    assert wrong == {}


@pytest.mark.parametrize("kind", KINDS[::7], ids=lambda kind: kind.name)
def test_sound_files_are_read_by_every_command_that_reads_the_broken_ones(world, kind):
    assert dict(world.sound(kind)) == {}


def test_a_seed_makes_the_same_cases_again():
    assert list(map(str, cases(3, 1))) == list(map(str, cases(3, 1)))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("summary.json", b"{}", "went on, though what it read is no such file"),
        ("nothing.json", b"{}", "does not name the file"),
    ],
)
def test_the_campaign_sees_what_is_wrong(world, name, change, said):
    mutation = of_bytes("certainly broken", lambda data, random: change, certain=True)
    kind = Kind("probe", ("ended/summary.json",), (Command(("explain", "ended" if name == "summary.json" else "nowhere")),))
    case = next(cases(0, 1)).__class__(kind, "ended/summary.json", mutation, kind.commands[0], 0)
    assert any(said in problem for problem in world.run(case).problems)
