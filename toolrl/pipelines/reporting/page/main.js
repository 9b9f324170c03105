// Puts the page together: charts that are seen are drawn, the groups are listed, and then it is ready.
"use strict";

const SMOOTH = [1, 5, 10, 25, 50, 100];

async function main() {
  const start = await block("start");
  Object.assign(rules, start.rules);
  const runs = start.runs;
  offerSmoothing(runs, () => {
    drawCurves(start, runs);
    drawWhenIdle();
  });
  offerMetrics(start, runs);
  drawCurves(start, runs);
  drawHistograms(start.histograms);
  const withGroups = runs.filter((run) => run.groups);
  if (withGroups.length) {
    const browser = new Browser(start.served ? new ServedGroups() : new CarriedGroups(withGroups), withGroups, start.facets);
    await browser.list(0);
    await browser.fromAddress();
  }
  requestAnimationFrame(() => setTimeout(() => {
    performance.mark("ready");
    document.documentElement.dataset.ready = "yes";
    drawWhenIdle();
  }));
}

const over = () => Number(byId("smooth").value);

function offerSmoothing(runs, redraw) {
  const points = Math.max(...runs.map((run) => run.x.length));
  const usual = SMOOTH.filter((each) => each <= Math.max(1, points / 20)).pop();
  byId("smooth").append(...SMOOTH.map((each) => make("option", { value: each, selected: each === usual }, String(each))));
  byId("smooth").addEventListener("change", redraw);
}

function cleared(id) {
  [...byId(id).children].forEach(remove);
  return byId(id);
}

// What a point of a chart is, where it is not one version as it was.
function note(per, smooth) {
  const versions = per > 1 ? ` A point is ${per} versions.` : "";
  return versions + (smooth > 1 ? ` Each is the mean of ${smooth} points.` : "");
}

function drawCurves(start, runs) {
  const per = Math.max(...runs.map((run) => run.per));
  const [first, ...others] = start.charts.map((spec) => curves({ ...spec, about: spec.about + note(per), xName: start.step }, runs, over()));
  if (first) chart(cleared("first-chart"), { ...first, tall: true });
  const host = cleared("curve-charts");
  others.forEach((spec) => chart(host, spec));
  if (byId("reason-charts")) drawAreas("reason-charts", start.step, runs, "reasons", "Reasons", "Shares of completions by the reason of their verdict.", true);
  drawAreas("time-charts", start.step, runs, "stages", "Seconds between two versions", "By stage.", false);
}

function drawAreas(id, step, runs, of, title, about, share) {
  const host = cleared(id);
  runs.filter((run) => run[of]).forEach((run) => {
    const { x, per, names, columns } = run[of];
    const series = names.map((label, i) => ({ label, values: smoothed(columns[i], over()), color: i }));
    chart(host, { title: runs.length > 1 ? `${title}, ${run.name}` : title, about: about + note(per, over()), xName: step, x, series, share, stacked: true });
  });
}

function drawHistograms(histograms) {
  histograms.forEach((spec) => {
    const x = [...spec.from, spec.from[spec.from.length - 1] + spec.width];
    const series = spec.series.map((each, i) => ({ label: each.name, values: [...each.shares, 0], color: i, dash: i }));
    chart(byId("shape-charts"), { ...spec, x, xName: spec.unit, steps: true, series });
  });
}

// Every metric that was measured can be looked at, drawn from a block that is unpacked only then.
function offerMetrics(start, runs) {
  const select = byId("metric");
  const families = new Map();
  Object.keys(start.units).sort().forEach((name) => {
    const family = name.split("/")[0];
    if (!families.has(family)) families.set(family, make("optgroup", { label: family }));
    families.get(family).append(make("option", { value: name }, name));
  });
  select.append(...families.values());
  select.addEventListener("change", async () => {
    const host = cleared("chosen-charts");
    const name = select.value;
    if (!name) return;
    const all = await Promise.all(runs.map(async (run) => ({ ...run, metrics: await block(`metrics-${run.number}`) })));
    const [unit, help] = start.units[name];
    const about = unit ? `${help} (${unit})` : help;
    chart(host, curves({ title: name, about, xName: start.step, curves: [{ metric: name, label: name }] }, all, over()));
  });
}

main().catch((error) => trouble(`The page could not be put together: ${error.message}`));
