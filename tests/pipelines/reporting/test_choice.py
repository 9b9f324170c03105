"""The groups of a page are spread over the run, hold its seldom faults, and follow some prompts all the way."""

from toolrl.pipelines.reporting.choice import choose
from toolrl.pipelines.reporting.groups import GroupRow


def row(draw, reason="correct", prompt=""):
    return GroupRow(draw // 8 + 1, draw, 1, prompt or f"p{draw % 100}", ("t",), (1.0,), (reason,), (5,), (0,), trained=True, kept=True)


def test_a_run_that_fits_is_there_whole():
    rows = [row(i) for i in range(10)]
    choice = choose(rows, 10)
    assert (choice.rows, choice.told) == (tuple(rows), "")


def test_of_a_long_run_every_reason_whole_prompts_and_an_even_rest_are_chosen():
    rows = [row(i, "no_think" if i == 777 else "wrong_value" if i % 2 else "correct") for i in range(1000)]
    choice = choose(rows, 200)
    assert len(choice.rows) == 200
    assert [each.draw for each in choice.rows] == sorted({each.draw for each in choice.rows})
    assert 777 in {each.draw for each in choice.rows}
    by_prompt = {}
    for each in choice.rows:
        by_prompt.setdefault(each.prompt_id, []).append(each)
    assert sum(len(found) == 10 for found in by_prompt.values()) >= 5  # all ten draws of each
    assert all(any(start <= each.draw < start + 100 for each in choice.rows) for start in range(0, 1000, 100))
    assert choose(rows, 200) == choice
    assert "every draw of some prompts" in choice.told


def test_one_group_is_enough():
    assert len(choose([row(i) for i in range(50)], 1).rows) == 1
