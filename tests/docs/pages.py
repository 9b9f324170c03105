"""The pages as a reader of Markdown sees them: links, headings, blocks of code, code within the text."""

import re
import shlex
from collections import Counter
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown import Markdown
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
GENERATED = {"commands.md", "settings.md", "metrics.md"}
SHELL = ("", "sh", "bash")


class Block(NamedTuple):
    """A block of code: its language, its text, and the line of the page that it begins on."""

    language: str
    text: str
    line: int


def parsed(page):
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def children(page):
    """Every piece of running text: links, code, plain words."""
    return [child for token in parsed(page) if token.type == "inline" for child in token.children]


def links(page):
    """Where its links and pictures lead, in order."""
    return [str(child.attrs.get("href") or child.attrs.get("src")) for child in children(page) if child.type in ("link_open", "image")]


def blocks(page):
    """Its blocks of code; indented ones have no language."""
    return [Block(token.info.strip(), token.content, token.map[0] + 1) for token in parsed(page) if token.type in ("fence", "code_block")]


def code(page):
    """The code within the text, each piece on one line."""
    return [" ".join(child.content.split()) for child in children(page) if child.type == "code_inline"]


def github_anchors(page):
    """The anchors that GitHub gives its headings."""
    tokens = parsed(page)
    texts = [after.children for token, after in pairwise(tokens) if token.type == "heading_open"]
    titles = ["".join(child.content for child in text) for text in texts]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def site_html(page):
    """The page as the site shows it: mkdocs has Python-Markdown, which is stricter about empty lines than GitHub."""
    return Markdown(extensions=["tables", "fenced_code", "toc"]).convert(page.read_text())


def site_anchors(page):
    return set(re.findall(r'<h\d id="([^"]+)"', site_html(page)))


def words(html):
    """What a reader sees of a page, without its spaces."""
    return "".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


def shape(html):
    """How many items, rows, headings and blocks a page has."""
    return Counter(re.findall(r"<(li|tr|h\d|pre)\b", html))


def commands(page, *names):
    """The command lines of its blocks that begin with one of `names`: (line of the block, words). A backslash joins two lines.

    Where a block has a prompt, `$ `, the lines without one are what was printed.
    """
    shell = [block for block in blocks(page) if block.language in SHELL]
    lines = [(block.line, line) for block in shell for line in _typed(re.sub(r"\\\n\s*", " ", block.text).splitlines())]
    typed = [(number, line.removeprefix(".venv/bin/")) for number, line in lines]
    return [(number, shlex.split(line, comments=True)) for number, line in typed if line.startswith(tuple(f"{name} " for name in names))]


def _typed(lines):
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return prompted or lines
