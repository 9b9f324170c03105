"""The upper parts of the screen: what run it is and what it does, its curves, the seconds of a step, its actors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from toolrl.monitor.lines import Line
from toolrl.monitor.status import ActorStatus
from toolrl.monitor.supervised_console import duration
from toolrl.pipelines.review.page import pieces, printable
from toolrl.pipelines.watching.doing import BAD, PLAIN, Doing, left_s
from toolrl.pipelines.watching.panels import PANELS, Panel
from toolrl.pipelines.watching.plots import plot
from toolrl.pipelines.watching.series import Series
from toolrl.pipelines.watching.watched import WatchedRun
from toolrl.pipelines.watching.words import DIM, brief, joined, number, plain

PANEL_COLUMNS = 38
"""Columns of a pair of axes, at least."""
STAGES = (
    ("waiting for groups", "gen", "wait_generation"),
    ("learner", "learn", "learner"),
    ("push", "push", "push"),
    ("checkpoint", "ckpt", "checkpoint"),
    ("evaluation", "eval", "eval"),
)
"""Label, short label, and the stage in `loop/<stage>_s`."""
PARTS = {
    "learner": ("learner", ("turn", "old_logprobs", "reference", "forward", "backward", "optimizer")),
    "push": ("weights", ("connect", "drain", "pause", "send", "commit", "probe")),
}
"""What a stage consists of, in `<first>/<name>_s`."""
WELL = frozenset(("healthy", "up"))
"""States of an actor that need no attention."""


def header(run: WatchedRun, state: Doing) -> Text:
    """Return in a line which run it is, and how far."""
    steps, version = run.steps, run.version
    share = f" ({version / steps:.0%})" if version is not None and steps else ""
    left = left_s(run)
    facts = [plain(f"toolrl {run.kind}", PLAIN), plain(f"version {number(version, '')}/{steps}{share}", PLAIN)]
    facts.append(plain(f"attempt {len(run.attempts)}" if len(run.attempts) > 1 else "", PLAIN))
    facts.append(plain(f"about {duration(left)} to go" if left is not None and state.state == "running" else ""))
    return joined([*facts, plain(run.path, DIM)])


def told(state: Doing, width: int, most: int) -> list[Text]:
    """Return what it does in as many lines as that needs, at most so many."""
    *whole, last = list(pieces(printable(f"{state.state} · {state.told}"), width))[: most + 1]
    lines = [plain(line) for line in ([*whole, last] if len(whole) < most else [*whole[:-1], whole[-1] + last])]
    lines[0].stylize(state.style, 0, len(state.state))
    return lines


def figures(run: WatchedRun) -> Text:
    """Return the newest figures in a line, the most telling first."""
    newest, heldout = run.seen.newest, run.seen.heldout
    at = f" (version {heldout['version']})" if heldout else ""
    parts = []
    if run.kind == "rl":
        parts += [_figure("reward", newest, "reward/mean"), _figure("held out", heldout, "heldout/reward", "heldout/stderr", after=at)]
    else:
        parts.append(_figure("loss", newest, "learner/loss", form=".4f"))
        parts.append(_figure("held out", heldout, "heldout/loss", "heldout/loss_stderr", form=".4f", after=at))
        parts.append(_figure("greedy", heldout, "heldout/greedy"))
    parts.append(_figure("tokens/s", newest, "loop/tokens_per_s", form=",.0f"))
    parts.append(_figure("stale", newest, "loop/staleness_max", form=".0f"))
    parts.append(_figure("|Δ log p|", newest, "weights/parity_max_abs_dlogp", form=".1e"))
    return joined(parts)


def _figure(name: str, line: Line, metric: str, error: str = "", form: str = ".3f", after: str = "") -> Text:
    if line.get(metric) is None:
        return Text()
    noise = f" ± {number(line[error], form)}" if error and line.get(error) is not None else ""
    return Text.assemble((f"{name} ", DIM), (number(line[metric], form), PLAIN), (f"{noise}{after}", DIM))


def notices(run: WatchedRun) -> list[Text]:
    """Return what a person must know of: rewinds, files that cannot be read, failures that the run got over."""
    lines = [plain(f"rewound from version {each.version} to {each.to}; discarded/ has what was taken out", BAD) for each in run.rewinds]
    lines += [plain(trouble.removeprefix(f"{run.path}/"), BAD) for trouble in run.troubles.values()]
    if run.status is not None:
        lines += [plain(f"{each.what}{f' ({each.times} times)' if each.times > 1 else ''}", BAD) for each in run.status.failures[:2]]
    if len(run.attempts) > 1 and (why := run.attempts[-1].get("after")):
        lines.append(plain(f"attempt {len(run.attempts)} began after: {why}", BAD))
    return lines


def curves(run: WatchedRun, width: int, height: int, rows: int) -> Table:
    """Return as many panels as fit into the width, in `rows` rows, `height` lines in all."""
    known = PANELS[run.kind]
    panels = [panel for panel in known if any(run.seen.series[curve.metric].values for curve in panel.curves)] or known[:2]
    across = max(1, min(width // PANEL_COLUMNS, -(-len(panels) // rows)))
    each = (width - 2 * (across - 1)) // across
    table = Table.grid(padding=(0, 2, 0, 0))
    for row in range(rows):
        of_row = panels[row * across : (row + 1) * across]
        if of_row:
            table.add_row(*(_panel(panel, run.seen.series, each, height // rows) for panel in of_row))
    return table


def _panel(panel: Panel, series: Mapping[str, Series], width: int, height: int) -> RenderableType:
    shown = [curve for curve in panel.curves if series[curve.metric].values]
    title = Text(panel.title, style=PLAIN, no_wrap=True, overflow="ellipsis")
    values = [brief(series[curve.metric].last) for curve in shown]
    room = width - len(title) - sum(3 + len(curve.label) + len(value) for curve, value in zip(shown, values, strict=True))
    for curve, value in zip(shown, values, strict=True):
        colour = f"bold {curve.colour}"
        title.append("  ").append(f"{curve.label} " if curve.label else "", style=colour if room < 0 else DIM)
        title.append("" if room < 0 else value, style=colour)
    title.truncate(width, pad=True)
    return Group(title, plot(panel, series, width, height - 1))


def stages(run: WatchedRun, lines: int) -> RenderableType:
    """Return the seconds of the newest step and the mean of the last ones, a line a stage; its parts too where there is room."""
    recent = list(run.seen.recent)
    if not recent:
        return plain("no version was trained yet", DIM)
    shown = [(label, _mean(recent, f"loop/{stage}_s"), recent[-1].get(f"loop/{stage}_s"), stage) for label, _, stage in STAGES]
    total = fmean(_step(line) for line in recent) + (_mean(recent, "loop/eval_s") or 0.0)
    shown = [row for row in shown if row[1]]
    room = lines - 1 - len(shown)
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for justify in ("left", "right", "right"):
        table.add_column(no_wrap=True, justify=justify)  # type: ignore[arg-type]
    table.add_column(ratio=1, min_width=8)
    table.add_row(plain("seconds", DIM), plain("newest", DIM), plain(f"mean of {len(recent)}", DIM), "")
    begin = 0.0
    for label, mean, newest, stage in shown:
        assert mean is not None
        table.add_row(plain(label), _seconds(newest), _seconds(mean), Bar(total or 1.0, begin, begin + mean))
        begin += mean
        family, parts = PARTS.get(stage, ("", ()))
        for part in parts:
            metric = f"{family}/{part}_s"
            if room > 0 and (of_part := _mean(recent, metric)):
                room -= 1
                table.add_row(plain(f"  {part.replace('_', ' ')}", DIM), _seconds(recent[-1].get(metric)), _seconds(of_part), "")
    return table


def stages_in_a_line(run: WatchedRun) -> Text:
    """Return the same in one line: means, and the step that they are of."""
    recent = list(run.seen.recent)
    if not recent:
        return plain("no version was trained yet", DIM)
    parts = [Text.assemble((f"step {fmean(_step(line) for line in recent):.3g} s", PLAIN), (f" (mean of {len(recent)})", DIM))]
    for _, short, stage in STAGES:
        if mean := _mean(recent, f"loop/{stage}_s"):
            parts.append(Text.assemble((f"{short} ", DIM), f"{mean:.2g}"))
    return joined(parts)


def _step(line: Line) -> float:
    return line.get("loop/step_s") or 0.0


def _mean(lines: Sequence[Line], name: str) -> float | None:
    values = [value for line in lines if (value := line.get(name)) is not None]
    return fmean(values) if values else None


def _seconds(value: float | None) -> Text:
    return plain("" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}")


def actors(run: WatchedRun, now: float) -> list[Text]:
    """Return a line for each role of actors, with when one of it last answered, and one for each actor that is not well."""
    if run.status is None:
        return _counted(run.seen.newest)
    roles: dict[str, list[ActorStatus]] = {}
    for actor in run.status.actors:
        roles.setdefault(actor.role, []).append(actor)
    return [line for role, of_role in roles.items() for line in _role(role, of_role, now)] or [plain("no actor is up yet", DIM)]


def actors_in_a_line(run: WatchedRun) -> Text:
    """Return how many actors of each role are in which state, in one line."""
    if run.status is None:
        return joined(_counted(run.seen.newest))
    states = Counter((actor.role, actor.state) for actor in run.status.actors)
    words = [Text.assemble((f"{role} ", PLAIN), plain(f"{count} {state}", _style(state))) for (role, state), count in states.items()]
    return joined(words) if words else plain("no actor is up yet", DIM)


def _style(state: str) -> str:
    return "green" if state in WELL else BAD


def _role(role: str, actors: Sequence[ActorStatus], now: float) -> list[Text]:
    states = Counter(actor.state for actor in actors)
    words = [plain(f"{count} {state}", _style(state)) for state, count in states.items()]
    calls = sum(actor.calls for actor in actors)
    answered = [actor.answered for actor in actors if actor.answered is not None]
    lately = f"answered {duration(max(0.0, now - max(answered)))} ago" if answered else ""
    facts = [plain(f"{calls} calls open" if calls else ""), plain(lately, DIM)]
    lines = [joined([plain(f"{role:<7}", PLAIN).append(" ").append_text(joined(words, " ")), *facts])]
    for actor in actors:
        if actor.state not in WELL:
            where = f" on {actor.host}" if actor.host else ""
            lines.append(plain(f"  {actor.name} {actor.state}{where}", BAD))
    return lines


def _counted(line: Line) -> list[Text]:
    """Return what metrics tell of the actors of a run without a status."""
    lines = []
    for role, up, replaced in (("engine", "engine/serving", "engine/replaced"), ("reward", "reward/workers", "reward/workers_replaced")):
        if line.get(up) is not None:
            lost = plain(f"{line[replaced]:.0f} replaced" if line.get(replaced) else "", BAD)
            lines.append(joined([Text.assemble((f"{role:<8}", PLAIN), (f"{line[up]:.0f} up", "green")), lost]))
    return lines or [plain("no status file: its actors are not known", DIM)]
