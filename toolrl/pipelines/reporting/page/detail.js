// One group: its prompt, its completions with their verdicts, the diff of calls, and the same prompt at other times.
"use strict";

const rules = {};

function showGroup(browser, run, row, group, same) {
  const run_name = browser.runs.length > 1 ? `, ${browser.runs.find((each) => each.number === run).name}` : "";
  const facts = [`version ${row.version}`, row.trained ? "trained" : group.outcome || "not trained", `attempt ${row.attempt}`, group.engine, `at most ${row.age} versions old`];
  const table = make("tbody");
  const chosen = make("div", { "aria-live": "polite" });
  const best = group.completions.findIndex((each) => each.reward !== null && each.reward < 1);
  group.completions.forEach((completion, i) => table.append(sampleLine(completion, i, () => choose(i))));
  const choose = (i) => {
    [...table.children].forEach((line, j) => {
      line.className = i === j ? "chosen" : "";
      line.querySelector("button").setAttribute("aria-pressed", String(i === j));
    });
    chosen.replaceChildren(...completionParts(group.completions[i], group.prompt).filter(Boolean));
  };
  const parts = [
    make("h3", { id: "detail-h" }, `Draw ${row.draw}${run_name}`),
    make("p", { className: "soft" }, facts.join(" · ")),
    group.why ? make("p", { className: "note" }, `Given up: ${group.why}`) : null,
    ...promptParts(group.prompt),
    make("h4", {}, `${group.completions.length} completions`),
    make(
      "div",
      { className: "scroll" },
      make(
        "table",
        {},
        make("thead", {}, make("tr", {}, ["sample", "reward", "advantage", "tokens", "reason"].map((name) => make("th", { scope: "col" }, name)))),
        table,
      ),
    ),
    chosen,
    ...throughTraining(browser, run, row, same),
  ];
  byId("detail").replaceChildren(...parts.filter(Boolean));
  byId("detail").scrollTop = 0;
  choose(best < 0 ? 0 : best);
}

function sampleLine(completion, i, open) {
  const button = make("button", { type: "button", className: "link" }, String(completion.sample));
  button.setAttribute("aria-label", `Sample ${completion.sample}: look at it`);
  button.addEventListener("click", open);
  const reason = completion.path ? `${completion.reason} at ${completion.path}` : completion.reason;
  const advantage = completion.advantage === null ? "–" : completion.advantage.toFixed(3);
  return make(
    "tr",
    {},
    make("td", {}, button),
    make("td", {}, verdict(completion.reward)),
    make("td", {}, advantage),
    make("td", {}, String(completion.num_tokens)),
    make("td", {}, reason),
  );
}

function verdict(reward) {
  if (reward === null) return make("span", {}, "none");
  return make("span", { className: `verdict ${reward >= 1 ? "yes" : reward <= 0 ? "no" : "part"}` }, shown(reward));
}

function promptParts(prompt) {
  const turns = prompt.messages.map((turn) => make("div", { className: "turn" }, make("b", {}, turn.role), make("pre", {}, [turn.content, ...turn.calls].filter(Boolean).join("\n"))));
  const tools = prompt.tools.map((tool) => make("div", {}, make("h4", {}, tool.name), make("p", { className: "said" }, tool.description), tool.parameters ? make("pre", {}, tool.parameters) : null));
  const wanted = prompt.reference.length ? make("pre", {}, prompt.reference.join("\n")) : make("p", { className: "soft" }, "No call: none of the tools fits.");
  return [
    make("h4", {}, `Prompt ${prompt.id}`),
    ...turns,
    make("details", {}, make("summary", {}, prompt.tools.length === 1 ? "1 tool" : `${prompt.tools.length} tools`), ...tools),
    make("h4", {}, prompt.accepted ? "Values that are right" : "Reference"),
    wanted,
  ];
}

function completionParts(completion, prompt) {
  const facts = [`${completion.num_tokens} tokens`, completion.finish_reason, `sampled by ${completion.weights}`];
  if (completion.seed !== null) facts.push(`seed ${completion.seed}`);
  const why = [completion.expected && `expected ${completion.expected}`, completion.got && `got ${completion.got}`].filter(Boolean).join(", ");
  const parts = [
    make("h4", {}, `Sample ${completion.sample}`),
    make("p", {}, verdict(completion.reward), ` ${completion.reason}${completion.path ? ` at ${completion.path}` : ""}${why ? `: ${why}` : ""}`),
    rules[completion.reason] ? make("p", { className: "soft" }, `Rule: ${rules[completion.reason]}.`) : null,
    make("p", { className: "soft" }, facts.join(" · ")),
  ];
  if (completion.text === undefined) {
    return [...parts, make("p", { className: "note" }, "Its text was not kept: with monitor.rollouts=share one group in eight is kept whole, of the others only the verdicts.")];
  }
  return [...parts, ...callParts(completion, prompt), make("h4", {}, "Completion"), textOf(completion)];
}

function textOf(completion) {
  const { text, place } = completion;
  if (place === null) return make("pre", { tabIndex: 0 }, text);
  const end = place + (text.codePointAt(place) > 0xffff ? 2 : 1);
  const mark = make("mark", { title: "here the verdict finds its fault" }, text.slice(place, end) || "⏎ end of the text");
  return make("pre", { tabIndex: 0 }, text.slice(0, place), mark, text.slice(end));
}

function callParts(completion, prompt) {
  const how = { strict: "", lenient: " (the form is wrong; read leniently)", none: "" }[completion.reading];
  const parts = [make("h4", {}, `Calls beside the reference${how}`)];
  if (completion.reading === "none") parts.push(make("p", { className: "soft" }, "No call could be read, even leniently."));
  else if (!completion.calls.length) parts.push(make("p", { className: "soft" }, prompt.reference.length ? "No call was given." : "No call is given, and none is wanted."));
  return [...parts, ...completion.calls.flatMap(callDiff)];
}

function callDiff(call) {
  let head = `${call.right ? "=" : "≠"} ${call.expected}`;
  if (call.predicted === null) head = `− ${call.expected}: is missing`;
  else if (call.reference === null) head = `+ ${call.got}: answers no call of the reference`;
  else if (call.expected !== call.got) head = `≠ name: expected ${call.expected}, got ${call.got}`;
  const parts = [make("p", { className: `call ${call.right ? "right" : "wrong"}` }, head)];
  if (!call.arguments.length) return [...parts, make("p", { className: "soft" }, "no arguments")];
  const lines = call.arguments.map(([path, reason, expected, got]) => {
    const same = reason === RIGHT && call.predicted !== null && call.reference !== null;
    const [before, after] = same ? [expected ?? "–", got ?? "–"] : apart(expected, got);
    const word = same ? (expected === null ? "is the default" : got === null ? "may be left out" : "same") : reason === RIGHT ? "" : reason;
    return make("tr", { className: same ? "same" : "differs" }, make("th", { scope: "row" }, path), make("td", { className: "expected" }, before), make("td", { className: "got" }, after), make("td", {}, word));
  });
  const head_row = make("tr", {}, ["argument", "reference", "completion", "verdict"].map((name) => make("th", { scope: "col" }, name)));
  return [...parts, make("div", { className: "scroll" }, make("table", { className: "diff" }, make("thead", {}, head_row), make("tbody", {}, lines)))];
}

// Two values with what lies between their common beginning and their common end marked.
function apart(expected, got) {
  if (expected === null || got === null) return [expected ?? "–", got ?? "–"];
  let start = 0;
  while (start < Math.min(expected.length, got.length) && expected[start] === got[start]) start++;
  let end = 0;
  while (end < Math.min(expected.length, got.length) - start && expected[expected.length - 1 - end] === got[got.length - 1 - end]) end++;
  const part = (text, tag) => [text.slice(0, start), make(tag, {}, text.slice(start, text.length - end)), text.slice(text.length - end)];
  return [part(expected, "ins"), part(got, "del")];
}

function throughTraining(browser, run, row, same) {
  const lines = same.map(([of, each]) => {
    const here = of.number === run && each.draw === row.draw && each.version === row.version;
    const button = make("button", { type: "button", className: "link", disabled: here }, String(each.draw));
    button.setAttribute("aria-label", `Draw ${each.draw}: look at it`);
    button.addEventListener("click", () => browser.open(of.number, each));
    return make("tr", { className: here ? "chosen" : "" }, browser.runs.length > 1 ? make("td", {}, of.name) : null, make("td", {}, String(each.version)), make("td", {}, button), make("td", {}, strip(each)), make("td", {}, shown(mean(each))), make("td", {}, fault(each)));
  });
  const names = [...(browser.runs.length > 1 ? ["run"] : []), "version", "draw", "rewards", "mean", "most frequent fault"];
  const all = row.drawn === undefined || row.drawn === same.filter(([of]) => of.number === run).length;
  return [
    make("h4", {}, "The same prompt through training"),
    all ? null : make("p", { className: "soft" }, `Drawn ${row.drawn} times in this run; what is on this page:`),
    make("div", { className: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, names.map((name) => make("th", { scope: "col" }, name)))), make("tbody", {}, lines))),
  ];
}
