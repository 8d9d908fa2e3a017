"""The two pages about a check as a person sees them: our own first, Evidently's behind its link."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page

from tests.browser.pages import browsing
from tests.monitoring.checks import EVIL, broken, check, estimate, finding, sample, score, verdict
from tiltyard.monitoring.charts import draw_charts
from tiltyard.monitoring.page import render_page
from tiltyard.monitoring.points import points_of
from tiltyard.monitoring.report import evidently_report

PHONE, DESK = 390, 1200


@contextmanager
def _watched(browser: str, file: Path, width: int) -> Iterator[tuple[Page, list[str]]]:
    """Open a page, and keep what it complains of and whom it asks for anything."""
    troubles: list[str] = []
    with browsing(browser, width=width) as page:
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        page.on("dialog", lambda dialog: troubles.append(dialog.message))
        page.on("request", lambda asked: troubles.append(asked.url) if asked.url.startswith("http") else None)
        page.goto(file.as_uri())
        yield page, troubles


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the page about a check with all there can be, and of Evidently's report."""
    folder = tmp_path_factory.mktemp("pages")
    hostile = f"`region` has a level that nobody knows, `{EVIL}`, in 4 % of rows"
    found = verdict(
        finding("feature_age"),
        finding("feature_region", "new_level", "warning", sentence=hostile),
        finding(f"feature_{'long_' * 12}name", "scale", "note"),
    )
    facts = {
        "drift": found,
        "quality": (broken(),),
        "performance": (score(harm=True),),
        "estimate": estimate(valid=False),
    }
    checks = [check(week, performance=(score(week),), estimate=estimate()) for week in range(5)]
    last = check(5, **facts)
    charts = draw_charts(points_of([*checks, last]), "roc_auc", last.reference)
    (folder / "index.html").write_text(render_page(last, charts=charts, report="evidently.html"), encoding="utf-8")
    drawn = evidently_report(sample(200), sample(150, shift=1.0, seed=1), found)
    assert drawn is not None
    (folder / "evidently.html").write_text(drawn, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "dark"), (DESK, "light")])
def test_the_page_about_a_check_can_be_read_on_a_phone_and_at_night(
    browser: str, pages: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    with _watched(browser, pages / "index.html", width) as (page, troubles):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        ground, ink = (
            sum(int(part) for part in page.evaluate(f"getComputedStyle(document.body).{what}")[4:-1].split(","))
            for what in ("backgroundColor", "color")
        )
        assert (ground > ink) == (scheme == "light")
        assert abs(ground - ink) > 450
        assert page.locator("img").evaluate_all("all => all.every(one => one.naturalWidth > 0)")
        assert EVIL in page.locator("body").inner_text()
    assert troubles == []


def test_evidentlys_report_opens_from_the_page_and_shows_the_verdict(browser: str, pages: Path) -> None:
    with _watched(browser, pages / "index.html", DESK) as (page, troubles):
        page.get_by_role("link", name="Evidently's report").click()
        page.get_by_text("Dataset Drift is detected").wait_for()
        text = page.locator("body").inner_text()
        assert "Drift is detected for 16.667% of columns (2 out of 12)." in text
        assert "Verdict of Tiltyard" in text
        assert page.locator(".js-plotly-plot").first.is_visible()
    assert troubles == []
