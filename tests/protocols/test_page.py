"""The page to try a request: nothing from elsewhere, and a person gets a prediction on it."""

import json
import re

import pytest

from tests.browser.pages import browsing, find_browser
from tests.serving.servers import Server
from tiltyard.serving.handler import handle
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Served

WIDTHS = {"desk": 1280, "phone": 390}


def test_the_page_needs_nothing_from_elsewhere(served: Served) -> None:
    answer = handle(served, Request("GET", "/docs"))
    headers, page = dict(answer.headers), answer.body.decode()
    assert (answer.status, headers[b"content-type"]) == (200, b"text/html; charset=utf-8")
    assert not re.findall(r"(?:https?:)?//[a-z]", page)
    assert not re.findall(r"""(?:src|href)=["'](?!data:|openapi\.json)""", page)
    assert not re.findall(r"\son[a-z]+=|\sstyle=|javascript:|innerHTML|\beval\b", page)
    assert page.count("<script>") == page.count("<style>") == 1


def test_the_browser_may_run_the_pages_own_script_alone(served: Served) -> None:
    headers = dict(handle(served, Request("GET", "/docs")).headers)
    policy = dict(part.split(" ", 1) for part in headers[b"content-security-policy"].decode().split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["script-src"])
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])
    assert headers[b"x-content-type-options"] == b"nosniff"


def test_the_page_is_read_only(served: Served) -> None:
    answer = handle(served, Request("POST", "/docs"))
    assert (answer.status, json.loads(answer.body)["error"]["cure"]) == (405, "Send GET.")
    assert handle(served, Request("POST", "/openapi.json")).status == 405


@pytest.fixture(scope="module")
def browser() -> str:
    """Path of a browser; the tests are skipped where there is none."""
    found = find_browser()
    if found is None:
        pytest.skip("neither Chromium nor Chrome is installed")
    return found


@pytest.mark.exhaustive
@pytest.mark.parametrize("width", WIDTHS)
def test_a_person_gets_a_prediction(server: Server, browser: str, width: str) -> None:
    with browsing(browser, width=WIDTHS[width]) as page:
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.goto(f"http://127.0.0.1:{server.port}/docs#stays")
        page.get_by_role("heading", name="stays", exact=True).wait_for()
        page.get_by_label("age").fill("41.5")
        page.get_by_label("plan").select_option("gold")
        page.get_by_label("member").select_option("true")
        page.get_by_label("remark").fill("it's late")
        page.get_by_label("seen").fill("2026-11-20T10:00:00")
        with page.expect_response("**/v1/models/stays/predict") as waited:
            page.get_by_role("button", name="Predict").click()
        answer = waited.value
        sent = json.loads(answer.request.post_data or "")["rows"][0]
        assert (sent["age"], sent["plan"], sent["member"], sent["remark"]) == (41.5, "gold", True, "it's late")
        assert sent["seen"] == "2026-11-20T10:00:00Z"
        told = answer.json()
        page.locator("#answer").get_by_text(str(told["predictions"][0]["prediction"]), exact=True).first.wait_for()
        assert page.locator("#answer .bar").count() == 2
        assert "'it'\\''s late'" not in page.locator("#curl").inner_text()
        assert "it'\\''s late" in page.locator("#curl").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width]
        assert not faults


@pytest.mark.exhaustive
def test_a_person_is_told_what_is_wrong(server: Server, browser: str) -> None:
    with browsing(browser) as page:
        page.goto(f"http://127.0.0.1:{server.port}/docs#churn")
        page.get_by_role("heading", name="churn", exact=True).wait_for()
        page.get_by_role("button", name="Clear").click()
        page.get_by_role("button", name="Predict").click()
        page.locator("#shown").get_by_text("`age` is missing, and may not be").wait_for()
        assert page.locator(".field.wrong").count() == 1
        page.get_by_label("age").fill("50")
        page.get_by_label("plan").select_option(label="another value …")
        page.get_by_label("another value").first.fill("platinum")
        page.get_by_role("button", name="Predict").click()
        page.locator("#shown").get_by_text("plan: a level never seen in training").wait_for()
        assert page.locator(".field.wrong").count() == 0
        page.get_by_role("link", name="demand").click()
        page.get_by_role("heading", name="demand", exact=True).wait_for()
        page.get_by_role("button", name="Predict").click()
        page.locator("#answer .result").wait_for()
