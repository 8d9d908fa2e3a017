import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.monitoring.checks import EVIL, START, WEEK, broken, check, estimate, finding, score, verdict
from tiltyard.monitoring.history import Check
from tiltyard.monitoring.page import MOST_FINDINGS, render_markdown, render_page
from tiltyard.monitoring.policy import Decision
from tiltyard.monitoring.summary import summarise

RETRAIN = Decision(
    action="retrain",
    mode="non_inferiority",
    reason="it does worse",
    evidence=("`age` has drifted twice",),
    next_possible=START + 2 * WEEK,
)


class _Reader(HTMLParser):
    """Collects elements, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _full() -> Check:
    found = verdict(
        finding("prediction", "distribution", windows=3, since=START),
        finding("feature_age", "correlation", "warning", other="feature_pay"),
        finding("feature_region", "new_level", "note", sentence=f"`region` is `{EVIL}` in 4 % of rows"),
    )
    return check(
        drift=found,
        quality=(broken(),),
        performance=(score(-1, harm=True),),
        estimate=estimate(valid=False),
        decision=RETRAIN,
    )


def test_the_page_stands_alone_and_runs_nothing() -> None:
    page = render_page(_full(), charts={"score": b"\x89PNG"}, report="evidently.html")
    elements = _Reader(page).elements
    assert {"script", "link", "iframe", "form"}.isdisjoint(tag for tag, _ in elements)
    sources = [value for _, attributes in elements for key, value in attributes.items() if key in {"src", "href"}]
    assert sources == ["evidently.html", "data:image/png;base64,iVBORw=="]
    assert "url(" not in page
    assert "@import" not in page


def test_in_a_frame_that_no_link_leads_out_of_the_report_is_named() -> None:
    framed = render_page(_full(), report="evidently.html", linked=False)
    assert "a" not in [tag for tag, _ in _Reader(framed).elements]
    assert "<code>evidently.html</code>, beside this page" in framed


def test_a_value_that_a_client_sent_is_text() -> None:
    page = render_page(_full())
    assert EVIL not in page
    assert EVIL in _Reader(page).text


def test_the_page_says_what_how_sure_since_when_what_it_means_and_what_to_do() -> None:
    text = " ".join(_Reader(render_page(_full())).text.split())
    for said in (
        "The data that arrives is broken",
        "40 tests on 2,000 rows against 3,000 of the reference",
        "Since 2026-11-03 00:00 UTC: 3 windows running.",
        "1,200 of 2,000 (60%)",
        "estimated, not to be trusted",
        "Repair the feed; nothing is retrained on broken data.",
        "age and pay",
        "age has drifted twice",
        "2026-11-17 00:00 UTC",
    ):
        assert said in text, said


def test_findings_stand_worst_first_as_the_verdict_has_them() -> None:
    page = render_page(_full())
    places = [page.index(f'<strong class="name">{name}<') for name in ("prediction", "age and pay", "region")]
    assert places == sorted(places)


def test_a_long_list_of_findings_is_cut_and_the_page_says_so() -> None:
    found = verdict(*(finding(f"feature_x{number}") for number in range(MOST_FINDINGS + 7)))
    page = render_page(check(drift=found))
    assert page.count('class="name"') == MOST_FINDINGS
    assert "7 more are not listed here" in page
    assert "42 more stand on the page" in render_markdown(check(drift=found))


@pytest.mark.parametrize(
    ("facts", "state", "headline"),
    [
        ({}, "quiet", "Nothing has changed beyond what is usual"),
        ({"drift": verdict(finding("feature_age", level="note"))}, "quiet", "Nothing has changed beyond what is usual"),
        ({"drift": verdict(level="too_few_rows")}, "unsure", "Too few rows to tell"),
        ({"drift": verdict(finding("feature_age", level="warning"))}, "warning", "Something has changed: worth a look"),
        ({"estimate": estimate(harm=True)}, "warning", "Something has changed: worth a look"),
        ({"drift": verdict(finding("feature_age"))}, "alarm", "The data is no longer what the champion knows"),
        ({"performance": (score(harm=True),)}, "alarm", "The champion does worse than it did"),
        ({"quality": (broken(),), "performance": (score(harm=True),)}, "broken", "The data that arrives is broken"),
        ({"quality": (broken("traffic"),)}, "broken", "Hardly any data arrives"),
    ],
)
def test_the_headline_is_of_the_worst_that_was_found(facts: dict[str, Any], state: str, headline: str) -> None:
    summary = summarise(check(**facts))
    assert (summary.state, summary.headline) == (state, headline)
    page = render_page(check(**facts))
    assert f"<h1>{headline}</h1>" in page
    assert render_markdown(check(**facts)).startswith(f"# {headline}\n")


def test_a_check_without_rows_scores_or_decision_has_a_page() -> None:
    found = check(version=None, rows=0, drift=verdict(level="too_few_rows", rows=0), decision=None)
    page = render_page(found)
    assert "No labels have come yet" in page
    assert "What the policy decided" not in page
    assert "version" not in render_markdown(found)


def test_a_score_of_too_few_labels_is_unknown_and_not_zero() -> None:
    found = check(performance=(score(value=None, low=None, high=None, version=None),))
    assert "unknown" in render_page(found)
    assert "several versions" in render_page(found)
    assert "too little is known" in render_markdown(found)


def test_an_estimate_is_never_shown_as_a_measurement() -> None:
    found = check(estimate=estimate())
    assert "<em>estimated</em>" in render_page(found)
    assert "estimated, not measured" in render_markdown(found)


def test_nothing_of_a_sentence_is_read_as_markdown() -> None:
    hostile = finding("feature_a|b_c", sentence="`x` is [here](javascript:alert) | <img src=x> *now* ~~gone~~")
    text = render_markdown(check(drift=verdict(hostile)), links=(("Report", "http://127.0.0.1/x y"),))
    row = next(line for line in text.splitlines() if line.startswith("| alarm"))
    assert "<img" not in text
    assert "\\[here\\](javascript:alert) \\|" in row
    assert len(re.findall(r"(?<!\\)\|", row)) == 7
    assert "- [Report](<http://127.0.0.1/x y>)" in text


def test_the_gravest_changes_are_named_each_column_once() -> None:
    found = verdict(
        finding("feature_age", sentence="`age` lies higher: 5 instead of 3; chance never does this"),
        finding("feature_age", "distribution", sentence="`age` is distributed otherwise; chance never does this"),
        *(finding(f"feature_x{number}", "scale", "warning") for number in range(3)),
        finding("feature_pay", level="note"),
    )
    said = summarise(check(drift=found, quality=(broken(),))).what
    assert said == (
        "`pay` is missing in 97 % of rows. `age` lies higher: 5 instead of 3. `x0` has moved. `x1` has moved. "
        "3 more findings on the page."
    )
