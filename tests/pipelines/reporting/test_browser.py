"""The page in a real browser, offline: nothing fails, filters and diffs say what the rows say, and hostile text stays text."""

import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from toolrl.cli.main import main
from toolrl.types import Message

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page of some runs; what the console says is an error of the test."""
    said, pages = [], []

    def open_(*runs, **look):
        out = tmp_path / "page.html"
        assert main(["report", *map(str, runs), "--out", str(out)]) == 0
        page = browser.new_page(viewport={"width": 1400, "height": 900}, **look)
        page.context.set_offline(True)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or said.append(request.url))
        pages.append(page)
        page.goto(out.as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_
    for page in pages:
        page.close()
    assert said == []


def expect(place):
    """What a place comes to say, within some seconds."""
    from playwright.sync_api import expect

    return expect(place)


def test_groups_are_filtered_and_a_diff_is_shown(opened, with_metrics):
    page = opened(with_metrics())
    assert page.locator("#count").inner_text() == "3 groups"
    expect(page.locator("#rows button")).to_have_text(["8", "1", "0"])
    page.select_option("[name=reason]", "not_a_list")
    expect(page.locator("#count")).to_have_text("1 group")
    page.get_by_role("button", name="Draw 0: look at it").click()
    detail = page.locator("#detail")
    detail.get_by_role("button", name="Sample 2: look at it").click()
    assert detail.locator("tr.differs").all_inner_texts() == ['city\t"Oslo"\t"Rome"\twrong_value']
    assert detail.locator("tr.differs ins").inner_text() == "Oslo"
    assert detail.locator("tr.differs del").inner_text() == "Rome"
    assert detail.locator("mark").inner_text() == '"'
    assert page.evaluate("location.hash") == "#run=0&version=1&draw=0"
    page.fill("[name=low]", "0.9")
    expect(page.locator("#count")).to_have_text("0 groups")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#count")).to_have_text("3 groups")


@pytest.mark.parametrize(
    ("field", "value", "draws"),
    [("tool", "forecast", ["1", "0"]), ("first", "2", ["8"]), ("last", "1", ["1", "0"]), ("high", "0", ["1"]), ("prompt", "SMALL", ["8"]),
     ("order", "lowest", ["1", "8", "0"]), ("order", "highest", ["0", "8", "1"])],
)  # fmt: skip
def test_the_page_filters_as_the_server_does(opened, with_metrics, field, value, draws):
    page = opened(with_metrics())
    place = page.locator(f"[name={field}]")
    place.select_option(value) if place.evaluate("e => e.tagName") == "SELECT" else place.fill(value)
    expect(page.locator("#rows button")).to_have_text(draws)


def test_the_same_prompt_is_followed_through_training_and_into_other_runs(opened, with_metrics):
    page = opened(with_metrics(name="one"), with_metrics(name="two"))
    page.get_by_role("button", name="Draw 1: look at it").click()
    through = page.locator("#detail table").last.locator("tbody tr")
    expect(through).to_have_text([re.compile(f"^{run}1{draw}") for run in ("one", "two") for draw in (0, 1)])
    through.nth(2).get_by_role("button").click()
    expect(page.locator("#detail-h")).to_have_text("Draw 0, two")


def test_what_a_model_wrote_stays_text(opened, with_metrics, weather):
    prompt = replace(weather.prompt, id=HOSTILE, messages=(Message("user", HOSTILE),))
    page = opened(with_metrics(groups=[(1, 0, prompt, (HOSTILE, weather.texts.right))]))
    page.get_by_role("button", name="Draw 0: look at it").click()
    expect(page.locator("#detail")).to_contain_text(HOSTILE)
    assert page.locator("#detail img, #detail script, #rows img").count() == 0
    assert page.title() != "owned"


def test_a_keyboard_is_enough(opened, with_metrics):
    page = opened(with_metrics())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    chart = page.locator(".plot").first
    chart.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator(".chart [role=status]").first.inner_text() == "version 1: training 0.125"
    page.locator("#rows button").nth(2).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_focused()
    assert page.locator("#detail-h").inner_text() == "Draw 0"


def test_charts_and_controls_have_names_and_tables(opened, with_metrics):
    page = opened(with_metrics())
    assert page.locator(".plot").first.get_attribute("aria-label").startswith("Reward, over version 0 to 2: training from 0.125 to 0.5;")
    page.locator(".chart details summary").first.click()
    expect(page.locator(".chart details table").first.locator("tbody tr").nth(2)).to_have_text("20.50.75")
    unnamed = "e => !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.textContent.trim()"
    assert page.locator("select, input, button").evaluate_all(f"all => all.filter({unnamed}).length") == 0
    landmarks = page.locator("main, header, nav[aria-label], footer").evaluate_all("all => all.map((each) => each.tagName)")
    assert sorted(landmarks) == ["FOOTER", "HEADER", "MAIN", "NAV"]


def test_all_of_a_run_is_served_to_the_browser_until_it_is_stopped(browser, with_metrics):
    command = [sys.executable, "-m", "toolrl", "report", str(with_metrics()), "--serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = next(line.split()[-1] for line in server.stdout if line.startswith("open it: "))
        said, page = [], browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address + "#run=0&version=1&draw=0")
        expect(page.locator("#detail-h")).to_have_text("Draw 0")
        expect(page.locator("#rows button")).to_have_text(["8", "1", "0"])
        page.select_option("[name=tool]", "(no call)")
        expect(page.locator("#rows button")).to_have_text(["8"])
        page.locator("#rows button").click()
        expect(page.locator("#detail")).to_contain_text("How are you?")
        page.fill("[name=low]", "7")
        expect(page.locator("#count")).to_have_text("0 groups")
        assert said == []
        page.goto(address + "#run=0&version=9&draw=99")
        page.reload()
        page.wait_for_selector("html[data-ready]")
        expect(page.locator("#trouble")).to_contain_text("version 9 has no draw 99")
        page.fill("[name=low]", "0")
        expect(page.locator("#trouble")).to_be_hidden()
        page.close()
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 130


def test_every_chart_is_drawn_seen_or_not_and_again_where_points_are_averaged(opened, with_metrics):
    page = opened(with_metrics())
    charts = page.locator(".plot").count()
    expect(page.locator(".plot canvas")).to_have_count(charts)
    page.select_option("#smooth", "5")
    expect(page.locator(".plot canvas")).to_have_count(charts)
    expect(page.locator("#first-chart tr.raw")).to_have_count(1)
    page.select_option("#metric", "loop/step_s")
    expect(page.locator("#chosen-charts .plot canvas")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened, with_metrics, scheme):
    page = opened(with_metrics(), color_scheme=scheme)
    names = ("ink", "soft", "good", "bad", "mid", "focus")
    shades = page.evaluate(
        "names => names.map(n => getComputedStyle(document.documentElement).getPropertyValue('--' + n).trim())", ["ground", "panel", *names]
    )
    low = {
        name: contrast(shade, ground)
        for ground in shades[:2]
        for name, shade in zip(names, shades[2:], strict=True)
        if contrast(shade, ground) < 4.5
    }
    assert low == {}


def contrast(one, other):
    """The ratio of WCAG 2.2."""

    def luminance(shade):
        shade = shade.lstrip("#")
        shade = "".join(2 * c for c in shade) if len(shade) == 3 else shade
        parts = [int(shade[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)
