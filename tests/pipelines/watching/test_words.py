"""No text out of a file reaches a terminal as anything but text."""

import io

import pytest
from rich.console import Console

from toolrl.pipelines.watching.words import joined, plain

HOSTILE = ["\x1b[2J\x1b[31m", "\x1b]0;title\x07", "a\rb", "a\nb", "\x9b31m", "‮abc", "​", "\x00", "\ud800"]


@pytest.mark.parametrize("text", HOSTILE)
def test_control_characters_become_a_sign(text):
    assert plain(text).plain.isprintable()


def test_markup_is_text():
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system="standard", width=60).print(joined([plain("[red]x[/red] [link=http://a]b[/link]")]))
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().strip() == "[red]x[/red] [link=http://a]b[/link]"


def test_a_line_is_of_the_parts_that_are_there():
    assert joined([plain("a"), plain(""), plain("b")]).plain == "a · b"
