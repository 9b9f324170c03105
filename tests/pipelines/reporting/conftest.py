"""Runs with metrics and rollouts, written by the real writers; and a browser where the machine has one."""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from recorded import LINES, write_lines

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def with_metrics(make_run):
    """Write a run of the usual groups and lines of metrics beside it; returns its folder."""

    def make(lines=None, *, attempts=({"attempt": 1, "started": "2026-01-01T00:00:00+00:00", "changed": {}},), **given):
        with ThreadPoolExecutor(1) as thread:  # Playwright has an event loop in ours
            run = thread.submit(make_run, **given).result()
        (run / "versions.json").write_text(json.dumps({"attempts": list(attempts)}))
        write_lines(run, LINES if lines is None else lines)
        return run

    return make


@pytest.fixture(scope="module")
def browser():
    """A browser without a window, driven by Playwright, whose event loop ends with the module; skips where the machine has none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here; `apt-get install chromium` and these tests run")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()
