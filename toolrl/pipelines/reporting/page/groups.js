// The list of groups: what is looked for, from the page itself or from its server, a page at a time.
"use strict";

const PER_PAGE = 50;
const RIGHT = "correct";

const mean = (row) => {
  const known = row.rewards.filter((reward) => reward !== null);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
};

// Groups that the page carries. `takes` and `ordered` mean the same as `Wanted` and `ordered` of groups.py.
class CarriedGroups {
  constructor(runs) {
    this.rows = new Map(runs.map((run) => [run.number, block(`rows-${run.number}`)]));
  }

  async page(wanted, start) {
    const rows = ordered((await this.rows.get(wanted.run)).filter((row) => takes(row, wanted)), wanted.order);
    return { rows: rows.slice(start, start + PER_PAGE), total: rows.length };
  }

  async find(run, version, draw) {
    return (await this.rows.get(run)).find((row) => row.version === version && row.draw === draw);
  }

  async detail(run, row) {
    const [groups, prompts] = await Promise.all([block(`group-${run}-${row.at[0]}`), block(`prompt-${run}-${row.prompt_at[0]}`)]);
    return { ...groups[row.at[1]], prompt: prompts[row.prompt_at[1]] };
  }

  async same(run, prompt) {
    return ordered((await this.rows.get(run)).filter((row) => row.prompt === prompt), "oldest");
  }
}

// Groups that the server reads from the run's folder.
class ServedGroups {
  async page(wanted, start) {
    return this.ask("groups", { ...wanted, start, count: PER_PAGE });
  }

  async find(run, version, draw) {
    return this.ask("row", { run, version, draw });
  }

  async detail(run, row) {
    return this.ask("group", { run, version: row.version, draw: row.draw });
  }

  async same(run, prompt) {
    return (await this.ask("groups", { run, same: prompt, order: "oldest", count: 500 })).rows;
  }

  async ask(what, query) {
    const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    const answer = await fetch(`${what}?${new URLSearchParams(given)}`);
    const found = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
    if (!answer.ok) throw new Error(found.error);
    return found;
  }
}

function takes(row, wanted) {
  if (wanted.first !== "" && row.version < Number(wanted.first)) return false;
  if (wanted.last !== "" && row.version > Number(wanted.last)) return false;
  if (wanted.reason && !row.reasons.includes(wanted.reason)) return false;
  if (wanted.tool && !row.tools.includes(wanted.tool)) return false;
  if (wanted.prompt && !row.prompt.toLowerCase().includes(wanted.prompt.toLowerCase())) return false;
  if (wanted.low === "" && wanted.high === "") return true;
  const value = mean(row);
  return value !== null && (wanted.low === "" || value >= Number(wanted.low)) && (wanted.high === "" || value <= Number(wanted.high));
}

function ordered(rows, order) {
  const sign = { newest: -1, oldest: 1, lowest: 1, highest: -1 }[order];
  if (order === "newest" || order === "oldest") return [...rows].sort((a, b) => sign * (a.draw - b.draw));
  const value = new Map(rows.map((row) => [row, mean(row)]));
  return [...rows].sort((a, b) => {
    const [x, y] = [value.get(a), value.get(b)];
    return (x === null) - (y === null) || sign * ((x || 0) - (y || 0)) || a.draw - b.draw;
  });
}

// The rewards of a group as small boxes: full where 1, empty where 0, dashed where the verifier failed.
function strip(row) {
  const kind = (reward) => (reward === null ? "none" : reward >= 1 ? "yes" : reward <= 0 ? "no" : "");
  const boxes = make("span", { className: "strip", "aria-hidden": "true" }, row.rewards.map((reward) => make("i", { className: kind(reward) })));
  const words = make("span", { className: "hidden" }, row.rewards.map((reward) => (reward === null ? "none" : shown(reward))).join(" "));
  return [boxes, words];
}

function fault(row) {
  const counts = new Map();
  row.reasons.filter((reason) => reason !== RIGHT).forEach((reason) => counts.set(reason, (counts.get(reason) || 0) + 1));
  const [most] = [...counts].sort((a, b) => b[1] - a[1]);
  return most ? most[0] : "–";
}

class Browser {
  constructor(source, runs, facets) {
    this.source = source;
    this.runs = runs;
    this.form = byId("filter");
    this.start = 0;
    this.asked = 0;
    for (const name of ["reason", "tool"]) this.form.elements[name].append(...facets[name].map((value) => make("option", { value }, value)));
    const again = () => this.list(0);
    this.form.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(again, 120);
    });
    this.form.addEventListener("reset", () => setTimeout(again));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    byId("before").addEventListener("click", () => this.list(this.start - PER_PAGE));
    byId("after").addEventListener("click", () => this.list(this.start + PER_PAGE));
    addEventListener("hashchange", () => this.fromAddress());
  }

  wanted() {
    const given = Object.fromEntries(new FormData(this.form));
    return { ...given, run: Number(given.run ?? this.runs[0].number) };
  }

  async list(start) {
    const asked = ++this.asked;
    const wanted = this.wanted();
    const found = await this.source.page(wanted, start).catch((error) => trouble(error.message));
    if (asked !== this.asked) return;
    if (found) byId("trouble").hidden = true;
    const { rows, total } = found || { rows: [], total: 0 };
    this.start = start;
    byId("rows").replaceChildren(...rows.map((row) => this.line(wanted.run, row)));
    byId("count").textContent = total === 1 ? "1 group" : `${total.toLocaleString("en")} groups`;
    byId("where").textContent = total ? `${start + 1} to ${start + rows.length}` : "";
    byId("before").disabled = start === 0;
    byId("after").disabled = start + rows.length >= total;
  }

  line(run, row) {
    const open = make("button", { type: "button", className: "link" }, String(row.draw));
    open.setAttribute("aria-label", `Draw ${row.draw}: look at it`);
    const line = make(
      "tr",
      {},
      make("td", {}, open),
      make("td", {}, String(row.version)),
      make("td", {}, strip(row)),
      make("td", {}, shown(mean(row))),
      make("td", {}, fault(row)),
      make("td", {}, row.tools.join(", ")),
      make("td", {}, row.prompt),
    );
    line.row = row;
    line.addEventListener("click", () => this.open(run, row));
    return line;
  }

  async open(run, row, focus = true) {
    const asked = (this.opened = `${run}/${row.version}/${row.draw}`);
    document.querySelectorAll("#rows tr").forEach((line) => {
      if (line.row.draw === row.draw && line.row.version === row.version) line.setAttribute("aria-current", "true");
      else line.removeAttribute("aria-current");
    });
    try {
      const others = this.runs.filter((other) => other.number !== run);
      const [group, ...same] = await Promise.all([this.source.detail(run, row), ...[this.runs.find((each) => each.number === run), ...others].map(async (each) => (await this.source.same(each.number, row.prompt)).map((found) => [each, found]))]);
      if (this.opened !== asked) return;
      showGroup(this, run, row, group, same.flat());
      history.replaceState(null, "", `#run=${run}&version=${row.version}&draw=${row.draw}`);
      if (focus) byId("detail").focus({ preventScroll: matchMedia("(min-width: 62rem)").matches });
    } catch (error) {
      trouble(error.message);
    }
  }

  // Opens the group that the address names, as in #run=0&version=3&draw=37.
  async fromAddress() {
    const named = new URLSearchParams(location.hash.slice(1));
    if (!named.has("draw")) return;
    const run = this.runs.find((each) => each.number === Number(named.get("run") || 0));
    let row;
    try {
      row = run && (await this.source.find(run.number, Number(named.get("version")), Number(named.get("draw"))));
    } catch (error) {
      return trouble(error.message);
    }
    if (!row) return trouble(`The page has no draw ${named.get("draw")} of version ${named.get("version")}.`);
    byId("groups").scrollIntoView();
    await this.open(run.number, row);
  }
}
