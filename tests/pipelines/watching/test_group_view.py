"""A group in a line, and a completion with the place where it breaks."""

from rich.console import Console

from toolrl.pipelines.watching.browse import Browser
from toolrl.pipelines.watching.group_view import detail, group_list
from toolrl.pipelines.watching.groups import Groups


def browser_of(run):
    return Browser(run, Groups(run / "rollouts"))


def test_a_line_has_draw_version_verdicts_reasons_and_prompt(rl_run, drawn):
    lines = drawn(group_list(browser_of(rl_run()), 80, 5, ""))
    assert lines[0].split() == ["▶", "8", "v2", "✓✗✗✗", "1/4", "2", "unexpected_call,", "1", "no_think", "small", "talk"]
    assert lines[1].split() == ["1", "v1", "✗✗✗✗", "0/4", "4", "wrong_value", "weather"]


def test_large_groups_are_counted(rl_run, weather, drawn):
    run = rl_run([(1, 0, weather.prompt, (weather.texts.right, weather.texts.wrong) * 10)])
    assert drawn(group_list(browser_of(run), 80, 5, ""))[0].split()[3] == "10/20"


def test_groups_that_were_replaced_say_so(rl_run, drawn):
    assert "not trained" in drawn(group_list(browser_of(rl_run(dropped=(1,))), 80, 5, ""))[1]


def test_the_verdicts_stay_whole_where_there_is_little_room(rl_run, drawn):
    browser = browser_of(rl_run())
    for width in (22, 30, 52):
        lines = drawn(group_list(browser, width, 5, ""), width)
        assert lines[0].startswith("▶ 8  v2  ✓✗✗✗ 1/4")
        assert max(map(len, lines)) <= width


def test_a_completion_of_the_wrong_form_is_shown_where_it_breaks(rl_run, weather, drawn):
    text = "\n".join(f"line {i}" for i in range(40)) + "\n" + weather.texts.right
    browser = browser_of(rl_run([(1, 0, weather.prompt, (text,))]))
    lines = drawn(detail(browser, 80, 12))
    assert lines[0].startswith("0.0 text_outside · reward 0 · advantage +0.00")
    assert "its calls, read leniently, since the form is wrong" in lines
    assert "│ line 0" in lines
    assert "│ line 30" not in lines


def test_of_another_the_end_is_shown_where_its_calls_are(rl_run, weather, drawn):
    text = "<think>\n" + "\n".join(f"line {i}" for i in range(40)) + weather.texts.right.removeprefix("<think>")
    browser = browser_of(rl_run([(1, 0, weather.prompt, (text,))]))
    lines = drawn(detail(browser, 120, 12))
    assert lines[-1] == "│ </tool_call>"
    assert "│ line 0" not in lines


def test_a_text_that_was_not_kept_is_said_to_be(rl_run, drawn):
    browser = browser_of(rl_run(keep="share"))
    browser.older()  # draw 1: only every eighth is whole
    assert any("its text was not kept" in line for line in drawn(detail(browser, 100, 12)))


def test_the_character_where_it_breaks_is_marked(rl_run, weather):
    browser = browser_of(rl_run([(1, 0, weather.prompt, ("<think>hm</think>oops " + weather.texts.right,))]))
    console = Console(width=80, force_terminal=True, color_system="standard")
    segments = [each for line in console.render_lines(detail(browser, 80, 12)) for each in line]
    assert [each.text for each in segments if each.style is not None and each.style.reverse] == ["o"]
