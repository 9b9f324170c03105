"""Links lead somewhere, on GitHub and on the site, and both show the same page."""

import re

import pages
import pytest
import yaml
from markdown_it import MarkdownIt

EVERY_PAGE = pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
FOLDERS = ("conf", "tests", "benchmarks", "toolrl", "requirements", "docs", "launch", "cluster")


@EVERY_PAGE
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page):
    for link in pages.links(page):
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in pages.github_anchors(target), f"{page.name} links to {link}, which GitHub does not know"
            assert anchor in pages.site_anchors(target), f"{page.name} links to {link}, which the site does not know"


@EVERY_PAGE
def test_a_page_of_the_site_links_to_pages_of_the_site_alone(page):
    if page.parent == pages.DOCS:
        outside = [link for link in pages.links(page) if link.startswith(("..", "/"))]
        assert not outside, f"{page.name}: the site has no {outside}; name the file in code instead"


@EVERY_PAGE
def test_the_site_shows_what_github_shows(page):
    github = MarkdownIt("commonmark").enable("table").render(page.read_text())
    site = pages.site_html(page)
    assert pages.shape(site) == pages.shape(github), "put an empty line before lists and tables"
    assert pages.words(site) == pages.words(github), "a bar in the code of a table needs <code>a&#124;b</code>"


@EVERY_PAGE
def test_files_that_are_named_are_there(page):
    for text in pages.code(page):
        if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./-]+", text):
            assert (pages.ROOT / text).exists(), f"{page.name} names {text}"


def test_every_page_has_its_place_in_the_navigation():
    def files(entry):
        for value in entry if isinstance(entry, list) else entry.values() if isinstance(entry, dict) else [entry]:
            yield from [value] if isinstance(value, str) else files(value)

    listed = list(files(yaml.safe_load((pages.ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(listed) == sorted(page.name for page in pages.DOCS.glob("*.md"))


def test_the_readme_and_the_front_page_lead_to_every_page():
    for page, prefix in ((pages.ROOT / "README.md", "docs/"), (pages.DOCS / "index.md", "")):
        reached = {link.partition("#")[0].removeprefix(prefix) for link in pages.links(page)}
        missing = {file.name for file in pages.DOCS.glob("*.md")} - reached - {"index.md"}
        assert not missing, f"{page.name} leads to all pages but {sorted(missing)}"
        lists = [re.findall(r"\]\(([^)]+)\)", line) for line in page.read_text().splitlines()]
        assert all(len(leads) == len(set(leads)) for leads in lists), f"{page.name} leads twice to a page in one line"
