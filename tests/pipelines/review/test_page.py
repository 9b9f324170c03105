"""Lines of a page fit the terminal and cannot drive it."""

from toolrl.pipelines.review.page import cut, named, page, pieces, table, title


def test_a_line_is_cut_to_the_width_and_control_characters_are_marked():
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert cut("a\x1b[2Jb\r", 20) == "a�[2Jb�"


def test_wide_characters_take_two_columns():
    assert cut("天天天", 6) == "天天天"
    assert cut("天天天", 5) == "天天…"
    assert list(pieces("", 5)) == [""]
    assert named("user", "天" * 24, 12 + 20) == ["user        " + "天" * 10, " " * 12 + "天" * 10, " " * 12 + "天" * 4]
    assert table([["天", "x"], ["abc", "y"]]) == ["天   x", "abc  y"]


def test_facts_of_a_title_go_on_in_the_next_line():
    assert title("run", ["a" * 10, "b" * 10], 24) == ["── run · aaaaaaaaaa", "   bbbbbbbbbb"]


def test_a_fact_that_no_line_can_hold_is_wrapped():
    assert title("run", ["one two three four five"], 24) == ["── run", "   one two three four", "   five"]


def test_a_named_value_is_wrapped_beside_its_name_and_cut_after_so_many_lines():
    assert named("rule", "one two", 33) == ["rule        one two"]
    assert named("user", "1\n2\n3\n4", 40, most=3) == ["user        1", "            2", "            … 2 more lines; --json has them all"]


def test_the_last_column_of_a_table_is_wrapped():
    lines = table([["a", "one two three four five six seven"], ["bb", "x"]], width=26)
    assert lines == ["a   one two three four", "    five six seven", "bb  x"]


def test_empty_sections_leave_no_gap():
    assert page([["a"], [], ["b", "c"]], 10) == "a\n\nb\nc"
