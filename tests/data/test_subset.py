"""Parts of the dialogues: those that do not meet share nothing, those that meet leave nothing out."""

import json
import random
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.data.demonstrations import load_demonstrations
from toolrl.data.source import load_prompts
from toolrl.data.subset import subset_of
from toolrl.errors import DataError
from toolrl.types import Prompt

DIALOGUES = st.lists(st.integers(1, 7), min_size=1, max_size=40)
"""Prompts of each dialogue."""
CUTS = st.lists(st.integers(1, 99), max_size=4, unique=True).map(lambda cuts: [0, *sorted(cuts), 100])


def prompts_of(sizes):
    return [Prompt(f"d{i}-{k}", "s", (), (), (), dialogue=f"d{i}") for i, size in enumerate(sizes) for k in range(size)]


def part(prompts, subset):
    try:
        return subset_of(prompts, subset, prompt_of=lambda prompt: prompt)
    except DataError:
        return ()


@given(DIALOGUES, CUTS)
def test_adjacent_parts_cover_everything_once_and_keep_dialogues_whole(sizes, cuts):
    prompts = prompts_of(sizes)
    parts = [part(prompts, f"{low}-{high}") for low, high in pairwise(cuts)]
    assert Counter(prompt.id for each in parts for prompt in each) == Counter(prompt.id for prompt in prompts)
    dialogues = [{prompt.dialogue for prompt in each} for each in parts]
    assert sum(map(len, dialogues)) == len(sizes)


@given(DIALOGUES, st.integers(0, 99), st.integers(1, 100))
def test_a_part_has_its_share_to_within_one_dialogue(sizes, low, width):
    high = min(100, low + width)
    prompts = prompts_of(sizes)
    assert abs(len(part(prompts, f"{low}-{high}")) - Fraction(high - low, 100) * len(prompts)) < max(sizes)


@given(DIALOGUES, CUTS, st.randoms(use_true_random=False))
def test_the_order_of_rows_decides_nothing_but_their_order(sizes, cuts, order):
    prompts = prompts_of(sizes)
    shuffled = order.sample(prompts, len(prompts))
    found = part(shuffled, f"{cuts[0]}-{cuts[1]}")
    assert {prompt.id for prompt in found} == {prompt.id for prompt in part(prompts, f"{cuts[0]}-{cuts[1]}")}
    assert list(found) == [prompt for prompt in shuffled if prompt in found]


def test_a_part_is_known_for_ever():
    """blake2b("subset d0") … put six dialogues in the order 0, 4, 3, 5, 1, 2."""
    assert [prompt.dialogue for prompt in part(prompts_of([1] * 6), "0-50")] == ["d0", "d3", "d4"]


def test_a_prompt_without_a_dialogue_is_one_of_its_own():
    prompts = [Prompt(f"p{i}", "s", (), (), ()) for i in range(10)]
    assert len(part(prompts, "0-50")) == len(part(prompts, "50-100")) == 5


def test_no_part_is_everything_and_one_too_small_says_so():
    prompts = prompts_of([4])
    assert part(prompts, "") == tuple(prompts)
    with pytest.raises(DataError, match="no dialogue begins in 60-70 percent of 4 rows of 1 dialogues; widen it"):
        subset_of(prompts, "60-70", prompt_of=lambda prompt: prompt)


def test_demonstrations_and_prompts_of_one_file_are_cut_in_the_same_places(tmp_path):
    """What `toolrl sft` trains on under 0-50 is what `toolrl rl` leaves out under 50-100, several turns of a dialogue included."""
    rows = []
    for dialogue in range(20):
        turns = [{"role": "user", "content": f"request {dialogue}"}]
        for step in range(random.Random(dialogue).randint(1, 4)):
            call = {"name": "f", "arguments": {"x": step}}
            row = {"id": f"{dialogue}-{step}", "tools": [{"name": "f", "parameters": {}}], "messages": list(turns), "answer": [call]}
            rows.append({**row, "completion": "<think>x</think>\n<tool_call>[]</tool_call>", "dialogue": f"conversation {dialogue}"})
            turns += [{"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "user", "content": "on"}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    supervised = subset_of(load_demonstrations(str(path)), "0-50", prompt_of=lambda row: row[0])
    reinforced = subset_of(load_prompts(str(path)), "50-100", prompt_of=lambda prompt: prompt)
    ids = [prompt.id for prompt, _ in supervised] + [prompt.id for prompt in reinforced]
    assert sorted(ids) == sorted(row["id"] for row in rows)
    assert not {prompt.dialogue for prompt, _ in supervised} & {prompt.dialogue for prompt in reinforced}
