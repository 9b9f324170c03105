"""The generated reference pages say what the code says."""

from dataclasses import fields
from pathlib import Path

import pytest

from toolrl.config.kinds import KINDS
from toolrl.pipelines.config import field_docs, metrics_page, settings_page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_setting_has_its_documentation(kind):
    for section in fields(kind):
        part = type(getattr(kind(), section.name))
        assert set(field_docs(part)) == {f.name for f in fields(part)}


@pytest.mark.parametrize(("name", "page"), [("settings.md", settings_page), ("metrics.md", metrics_page)])
def test_the_generated_pages_are_up_to_date(name, page):
    assert (DOCS / name).read_text() == page() + "\n", "run `make docs`"


def test_every_row_of_a_page_is_one_whole_line_of_its_table():
    for page, columns in ((settings_page(), 4), (metrics_page(), 4)):
        rows = [line for line in page.splitlines() if line and not line.startswith(("#", "Made", "They", "Each"))]
        assert all(row.startswith("|") and row.replace("\\|", "").count("|") == columns + 1 for row in rows)
