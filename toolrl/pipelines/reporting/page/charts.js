// Charts, drawn by uPlot when they come into view, the others when there is time. Each has a name, a reading by arrow keys, and a table that says the same.
"use strict";

const COLORS = 10;
const TABLE_ROWS = 60;
const HEIGHT = 190;
const TALL = 340;
const WHOLE = [1, 2, 5].flatMap((n) => [...Array(9).keys()].map((power) => n * 10 ** power)).sort((a, b) => a - b);
const DASHES = [[], [6, 4], [2, 3], [10, 4, 2, 4], [1, 2]];
const BORDERS = ["solid", "dashed", "dotted", "double", "groove"];
const drawn = new Set();
const waiting = new Set();
const onceSeen = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => drawNow(entry.target)), { rootMargin: "200px" });

function drawNow(plot) {
  onceSeen.unobserve(plot);
  if (waiting.delete(plot)) plot.draw();
}

// Draws what nobody has seen yet while the browser has nothing to do, so that the page keeps its length when it is scrolled.
function drawWhenIdle() {
  requestIdleCallback(() => {
    const [next] = waiting;
    if (!next) return;
    drawNow(next);
    drawWhenIdle();
  });
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const color = (number) => css(`--c${(number % COLORS) + 1}`);

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((plot) => plot.redraw(false)));
addEventListener("resize", () => drawn.forEach((plot) => plot.setSize({ width: plot.root.parentElement.clientWidth, height: plot.height })));

// Puts a chart into `host` at once and draws it when it is seen.
// spec: {title, about, unit, x: [number], series: [{label, values, color, dash, points, faint}], share, log, stacked, steps, xName}
function chart(host, spec) {
  const plot = make("div", { className: spec.stacked ? "plot stacked" : "plot", tabIndex: 0, role: "group" });
  plot.setAttribute("aria-roledescription", "chart");
  plot.setAttribute("aria-label", inWords(spec));
  const reading = make("p", { className: "hidden", role: "status" });
  const rows = make("div", { className: "scroll", tabIndex: 0, role: "region" });
  rows.setAttribute("aria-label", `Table of ${spec.title}`);
  const table = make("details", {}, make("summary", {}, "Table"), rows);
  table.addEventListener("toggle", () => table.open && !rows.firstChild && rows.append(asTable(spec)));
  const figure = make(
    "figure",
    { className: "chart" },
    make("figcaption", {}, make("h3", {}, spec.title), make("p", {}, spec.about)),
    plot,
    reading,
    table,
  );
  plot.draw = () => draw(plot, spec, reading);
  host.append(figure);
  waiting.add(plot);
  onceSeen.observe(plot);
  return figure;
}

function remove(figure) {
  const plot = figure.querySelector(".plot");
  onceSeen.unobserve(plot);
  waiting.delete(plot);
  if (plot.chart) {
    drawn.delete(plot.chart);
    plot.chart.destroy();
  }
  figure.remove();
}

function draw(host, spec, reading) {
  const series = spec.stacked ? stacked(spec.series) : spec.series;
  const axis = { stroke: () => css("--soft"), grid: { stroke: () => css("--line"), width: 1 }, ticks: { stroke: () => css("--line"), width: 1 } };
  const plot = new uPlot(
    {
      width: host.clientWidth || 400,
      height: spec.tall ? TALL : HEIGHT,
      scales: {
        x: { time: false },
        y: spec.log ? { distr: 3 } : { range: (_, low, high) => bounds(low, high, spec) },
      },
      axes: [{ ...axis, incrs: WHOLE }, { ...axis, size: 64, values: (_, splits) => splits.map((split) => (split === null ? "" : shown(split))) }],
      cursor: spec.steps ? {} : { sync: { key: "versions", setSeries: false, scales: ["x", null] } },
      legend: { live: true, markers: { dash: (_, i) => BORDERS[(i && series[i - 1].dash) || 0] } },
      series: [{ label: spec.xName, value: (_, value) => shown(value) }, ...series.map(asSeries(spec))],
    },
    [spec.x, ...series.map((each) => each.values)],
    host,
  );
  host.chart = plot;
  drawn.add(plot);
  host.addEventListener("keydown", (event) => read(event, plot, spec, reading));
}

const asSeries = (spec) => (each) => ({
  label: each.label,
  class: each.faint ? "raw" : undefined,
  stroke: () => (each.faint ? `color-mix(in srgb, ${color(each.color)} 30%, transparent)` : color(each.color)),
  fill: spec.stacked ? () => color(each.color) : spec.steps ? () => `color-mix(in srgb, ${color(each.color)} 14%, transparent)` : undefined,
  width: each.faint || spec.stacked ? 1 : 2,
  dash: DASHES[(each.dash || 0) % DASHES.length],
  spanGaps: true,
  paths: spec.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
  points: { show: Boolean(each.points), size: 6, fill: () => color(each.color) },
  value: (_, value, __, index) => shown(each.own && index !== null ? each.own[index] : value),
});

// Series on top of each other, the highest drawn first; `own` is what each adds.
function stacked(series) {
  const sums = series[0].values.map(() => 0);
  const found = series.map((each) => ({ ...each, own: each.values, values: each.values.map((value, i) => (sums[i] += value || 0)) }));
  return found.reverse();
}

function bounds(low, high, spec) {
  if (low === null) return [0, 1];
  if (spec.share) return [Math.min(0, low), Math.max(1, high)];
  if (spec.stacked || spec.steps || low >= 0) return [0, (high || 1) * 1.06];
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  return [low - room, high + room];
}

// Arrow keys go from point to point and say what is there; Home and End to the ends; Escape leaves.
function read(event, plot, spec, reading) {
  const last = spec.x.length - 1;
  const at = plot.cursor.idx === null || plot.cursor.idx === undefined || plot.cursor.left < 0 ? -1 : plot.cursor.idx;
  const moves = { ArrowRight: Math.min(last, at + 1), ArrowLeft: Math.max(0, at < 0 ? last : at - 1), Home: 0, End: last };
  if (event.key === "Escape") plot.setCursor({ left: -10, top: -10 });
  if (!(event.key in moves)) return;
  event.preventDefault();
  const index = moves[event.key];
  plot.setCursor({ left: plot.valToPos(spec.x[index], "x"), top: plot.over.clientHeight / 2 });
  const told = spec.series.filter((each) => !each.faint && each.values[index] !== null).map((each) => `${each.label} ${shown(each.values[index])}`);
  reading.textContent = `${spec.xName} ${shown(spec.x[index])}: ${told.join(", ")}`;
}

function inWords(spec) {
  const told = spec.series.filter((each) => !each.faint).map((each) => {
    const values = each.values.filter((value) => value !== null && value !== undefined);
    if (!values.length) return `${each.label} has no value`;
    return `${each.label} from ${shown(values[0])} to ${shown(values[values.length - 1])}`;
  });
  return `${spec.title}, over ${spec.xName} ${shown(spec.x[0])} to ${shown(spec.x[spec.x.length - 1])}: ${told.join("; ")}. Arrow keys read the points.`;
}

function asTable(spec) {
  const series = spec.series.filter((each) => !each.faint);
  const every = Math.ceil(spec.x.length / TABLE_ROWS);
  const rows = spec.x.map((x, i) => [x, i]).filter(([, i]) => i % every === 0 || i === spec.x.length - 1 || series.some((each) => each.points && each.values[i] !== null));
  return make(
    "table",
    {},
    make("caption", { className: "soft" }, every > 1 ? `Every ${every}th point, and each that was measured now and then` : "Every point"),
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, spec.xName), series.map((each) => make("th", { scope: "col" }, each.label)))),
    make("tbody", {}, rows.map(([x, i]) => make("tr", {}, make("th", { scope: "row" }, shown(x)), series.map((each) => make("td", {}, shown(each.values[i])))))),
  );
}

function smoothed(values, over) {
  const window = [];
  return values.map((value) => {
    if (value === null || value === undefined) return null;
    window.push(value);
    if (window.length > over) window.shift();
    return window.reduce((a, b) => a + b, 0) / window.length;
  });
}

// One chart of the catalogue, of all runs: a colour a run, a dash a metric; of a single run a colour a metric.
function curves(spec, runs, over) {
  const several = runs.length > 1;
  const series = [];
  const tables = [];
  runs.forEach((run, r) => {
    spec.curves.forEach((curve, c) => {
      const values = run.metrics[curve.metric];
      if (!values) return;
      const look = { color: several ? r : c, dash: several ? c : 0, points: curve.points };
      const label = several ? `${run.name}${spec.curves.length > 1 ? `, ${curve.label}` : ""}` : curve.label;
      const own = { ...look, label, values: curve.points ? values : smoothed(values, over) };
      const behind = over > 1 && !curve.points && !several;
      const columns = behind ? [{ ...look, label: `${label}, each`, values, faint: true }, own] : [own];
      series.push(...columns);
      tables.push([run.x, ...columns.map((each) => each.values)]);
    });
  });
  const [x, ...values] = tables.length ? uPlot.join(tables) : [[]];
  return { ...spec, x, series: series.map((each, i) => ({ ...each, values: values[i].map((value) => (value === undefined ? null : value)) })) };
}
