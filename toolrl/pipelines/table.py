"""`toolrl table RECIPE`: what is done of a recipe, beside the paper's numbers. Starts nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence

from toolrl.pipelines.recipes import page
from toolrl.pipelines.recipes.plan import plan
from toolrl.pipelines.recipes.results import as_json as table_as_json


def table(recipe: str, words: Sequence[str], *, markdown: bool, as_json: bool, width: int) -> str:
    """Return what `toolrl table` prints, `width` columns wide. Raises UserError kin."""
    planned = plan(recipe, words)
    if as_json:
        return json.dumps(table_as_json(planned))
    return page.markdown(planned) if markdown else page.text(planned, width)
