"""How soon the page about a run can be used, written and served: python benchmarks/report.py [--completions N] [--tokens N] [--run DIR].

    a run by the real writers ─┬─> report.html: seconds to make it, its bytes  ─┬─> Chromium: ready, a filter, a group with its diffs
                               └─> --serve: seconds to start, memory           ─┘   (median of several loads, each in a new tab)

`ready` is when the charts in view are drawn and the groups are listed, after the navigation began; a filter and a group are timed from the
event to the frame after the change. The claim: ready within 1.5 s, both ways.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from playwright.sync_api import sync_playwright
from report_run import write_run

LOADS = 5
MIB = 1024 * 1024
TOOLRL = (sys.executable, "-m", "toolrl")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHANGED_MS = """([act, changed]) => new Promise((done) => {
  const began = performance.now(), place = document.querySelector(changed);
  new MutationObserver((_, watch) => {
    watch.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
  }).observe(place, { childList: true });
  const [where, value] = act, on = document.querySelector(where);
  if (value === null) on.click();
  else { on.value = value; on.dispatchEvent(new Event("input", { bubbles: true })); }
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=int, default=100_000)
    parser.add_argument("--tokens", type=int, default=200, help="of a completion, mean")
    parser.add_argument("--run", type=Path, help="look at this run instead of making one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = options.run or Path(folder) / "run"
        if options.run is None:
            began = time.monotonic()
            write_run(run, options.completions, options.tokens)
            size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
            seconds = time.monotonic() - began
            print(
                f"run: {options.completions:,} completions of {options.tokens} tokens, {size / MIB:.0f} MiB, in {seconds:.0f} s", flush=True
            )
        with sync_playwright() as driver:
            path = next(found for name in BROWSERS if (found := shutil.which(name)))
            browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
            written(browser, run, Path(folder) / "report.html")
            served(browser, run)
            browser.close()


def written(browser, run: Path, out: Path) -> None:
    made = subprocess.run([*TOOLRL, "report", str(run), "--out", str(out), "--json"], capture_output=True, text=True, check=True)
    found = json.loads(made.stdout)
    print(f"written: {found['bytes'] / MIB:.1f} MiB in {found['seconds']:.1f} s, {found['groups']:,} of {found['of_groups']:,} groups")
    look(browser, out.as_uri())


def served(browser, run: Path) -> None:
    began = time.monotonic()
    server = subprocess.Popen([*TOOLRL, "report", str(run), "--serve", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        address = next(line.split()[-1] for line in server.stdout if line.startswith("open it: "))
        print(f"served: listens after {time.monotonic() - began:.1f} s, {memory_mib(server.pid):.0f} MiB")
        look(browser, address)
        print(f"  memory of the server afterwards {memory_mib(server.pid):.0f} MiB")
    finally:
        server.terminate()
        server.wait()


def look(browser, address: str) -> None:
    """Open the page several times and print the median milliseconds of what a person waits for."""
    times: dict[str, list[float]] = {"ready": [], "filter": [], "group": []}
    said = []
    for _ in range(LOADS):
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        times["ready"].append(page.evaluate("performance.getEntriesByName('ready')[0].startTime"))
        times["filter"].append(page.evaluate(CHANGED_MS, [["[name=reason]", "wrong_value"], "#rows"]))
        times["group"].append(page.evaluate(CHANGED_MS, [["#rows tr:nth-child(7) button", None], "#detail"]))
        page.close()
    for name, each in times.items():
        print(f"  {name:7} {statistics.median(each):6.0f} ms  ({min(each):.0f} to {max(each):.0f})")
    print(f"  console: {'; '.join(said) or 'nothing said'}", flush=True)


def memory_mib(pid: int) -> float:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


if __name__ == "__main__":
    main()
