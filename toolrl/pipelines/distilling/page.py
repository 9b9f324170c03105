"""What `toolrl distill` tells a person at its end: the report as tables, where everything is, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolrl.data.origin import DEMONSTRATIONS
from toolrl.pipelines.review.page import page, table, wrap

MOST_FAILURES = 5
"""Kinds of failure shown; report.json has all."""
_KEEPS = {"shortest": "the shortest right sample of each", "first": "the first right sample of each", "all": "every right sample"}


def text(content: Mapping[str, Any], folder: Path, width: int) -> str:
    """Return the report for a terminal `width` columns wide."""
    rows = folder / DEMONSTRATIONS
    sections = (_head(content), _sources(content), _reasons(content), _failed(content, width), _use(content, width))
    lines = [page(sections, max(width, 40)), "", f"rows   {rows}"]  # a path to copy is never cut
    if content["demonstrations"]:
        lines += ["", "next:", f"  toolrl sft … data.train={rows}   imitate them"]
        lines.append(f"  toolrl rl … data.train={rows}   or learn from the same rows by trying")
    return "\n".join(lines)


def _head(content: Mapping[str, Any]) -> list[str]:
    kept, right, asked = content["demonstrations"], content["prompts_right"], content["prompts"]
    more = f", {kept:,} rows" if kept != right else ""
    return [f"kept {right:,} of {asked:,} prompts ({_share(right, asked)}), {_KEEPS[content['keep']]}{more}"]


def _sources(content: Mapping[str, Any]) -> list[str]:
    sources = content["sources"]
    rows = [_source(name, counts) for name, counts in sources.items()]
    if len(rows) > 1:
        total: Counter[str] = Counter()
        for counts in sources.values():
            total.update(counts)
        rows.append(_source("total", total))
    return table([["source", "prompts", "kept", "", "samples", "right", ""], *rows], right=range(1, 7))


def _source(name: str, counts: Mapping[str, int]) -> list[str]:
    prompts, kept, samples, right = (counts[key] for key in ("prompts", "prompts_right", "samples", "samples_right"))
    return [name, f"{prompts:,}", f"{kept:,}", _share(kept, prompts), f"{samples:,}", f"{right:,}", _share(right, samples)]


def _reasons(content: Mapping[str, Any]) -> list[str]:
    rows = [[f"{number:,}", _share(number, content["samples"]), reason] for reason, number in content["reasons"].items()]
    lines = [f"samples by what the verifier said ({content['mode']})", *(f"  {line}" for line in table(rows, right=(0, 1)))] if rows else []
    if content["truncated"]:
        lines.append(f"  {content['truncated']:,} were cut at sampling.max_tokens")
    return lines


def _failed(content: Mapping[str, Any], width: int) -> list[str]:
    failed: Sequence[Mapping[str, Any]] = content["failed"]
    if not failed:
        return []
    counts = Counter(each["why"] for each in failed)
    lines = [f"warning: {len(failed):,} asks have no answer; the same command asks them again"]
    for why, number in counts.most_common(MOST_FAILURES):
        lines += [f"  {line}" for line in wrap(f"{number:>5,}  {why}", width - 2, " " * 7)]
    return [*lines, f"  and {len(counts) - MOST_FAILURES} more kinds in report.json"] if len(counts) > MOST_FAILURES else lines


def _use(content: Mapping[str, Any], width: int) -> list[str]:
    length = f"; a kept completion has {content['kept_tokens_median']:g} (median)" if content["kept_tokens_median"] is not None else ""
    lines = [f"tokens: {content['prompt_tokens']:,} of prompts, {content['completion_tokens']:,} of completions{length}"]
    if content["replies_without_counts"]:
        lines.append(f"  {content['replies_without_counts']:,} replies came without their numbers of tokens")
    if content["cost"] is not None:
        lines.append(f"cost: {content['cost']:,.2f}")
    start = content["this_start"]
    if start["asked"]:
        lines.append(
            f"this start: {start['asked']:,} replies in {start['seconds']:,.0f} s, {start['tokens_per_s']:,} tokens/s as they came"
        )
    if start["requests"]:
        faults = ", ".join(f"{kind} {number:,}" for kind, number in start["faults"].items()) or "all answered"
        held = f"; {start['held_s']:,.0f} s held by the limit" if start["held_s"] else ""
        lines.append(f"  {start['requests']:,} requests: {faults}{held}")
    return [part for line in lines for part in wrap(line, width, "    ")]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
