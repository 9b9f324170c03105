"""`toolrl table RECIPE`: what is done of a recipe, beside the paper's numbers. Starts nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from toolrl.pipelines.recipes import page
from toolrl.pipelines.recipes.plan import plan
from toolrl.pipelines.recipes.results import as_json as table_as_json


def table(recipes: Sequence[str], words: Sequence[str], *, markdown: bool, as_json: bool, width: int) -> str:
    """Return what `toolrl table` prints, `width` columns wide. Raises UserError kin."""
    show = page.markdown if markdown else partial(page.text, width=width)
    plans = [plan(recipe, words) for recipe in recipes]
    return "\n".join(json.dumps(table_as_json(each)) for each in plans) if as_json else "\n\n".join(map(show, plans))
