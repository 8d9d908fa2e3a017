"""Take the pictures of both UIs again, from the demo's stack: `make demo`, then `python docs/screenshots.py`.

Nothing in the stack is changed by it: forms and dialogs are filled in and left.
"""

import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

from tests.browser.pages import Mlflow, Prefect, browsing, find_browser
from tiltyard.monitoring.shelf import latest_page
from tiltyard.project.addresses import Addresses, read_addresses
from tiltyard.storage.opening import open_store

HOUSE = Path(__file__).parents[1]
IMAGES = HOUSE / "docs" / "images"
DEMO = HOUSE / ".tiltyard" / "demo"
MODEL = "digits"
TARGET = "digits-production"
SETTLE_MS = 1_500.0


def main() -> int:
    """Take every picture; returns 1 when the demo's stack is not up, or there is no browser."""
    addresses, browser = read_addresses(DEMO / ".tiltyard"), find_browser()
    if addresses is None or browser is None:
        sys.stderr.write("The demo's stack must be up (`make demo`), and Chromium or Chrome must be installed.\n")
        return 1
    IMAGES.mkdir(exist_ok=True)
    with browsing(browser) as page:
        of_prefect(Prefect(page, addresses.prefect.removesuffix("/api")), addresses)
        of_mlflow(Mlflow(page, addresses.mlflow), addresses)
        of_check(page)
    return 0


def of_prefect(prefect: Prefect, addresses: Addresses) -> None:
    """Take the pictures of Prefect's UI: runs, a run, its artifacts, a check, the form, a question to a person."""
    page = prefect.page
    page.goto(f"{prefect.address}/v2/runs")
    page.get_by_text("a small neural network").first.wait_for()
    take(page, "prefect-runs", height=1100)
    runs = ask(f"{addresses.prefect}/flow_runs/filter", {"sort": "START_TIME_DESC"})
    promoted = next(run["id"] for run in runs if "monitoring: Evidence of harm" in run["name"])
    prefect.open_run(promoted)
    page.get_by_role("main").get_by_role("tab", name="Artifacts").click()
    page.get_by_role("heading", name=f"{MODEL}-verdict").wait_for()
    take(page, "prefect-run", height=1260)
    for key in ("verdict", "leaderboard", "scores"):
        open_artifact(prefect, addresses, promoted, f"{MODEL}-{key}")
        take(page, f"prefect-{key}")
    checked = next(run["id"] for run in runs if run["name"].startswith("check of"))
    open_artifact(prefect, addresses, checked, f"{MODEL}-monitoring")
    take(page, "prefect-check")
    deployment = ask(f"{addresses.prefect}/deployments/name/train/{MODEL}")["id"]
    prefect.open_form(deployment)
    prefect.write("Reason", "new autumn data")
    prefect.give_number("Trials", 40)
    take(page, "prefect-form", height=1360)
    waiting = next(run["id"] for run in runs if run["state"]["type"] == "PAUSED")
    dialog = prefect.open_decision(waiting)
    prefect.choose(dialog, "Decision", "approve")
    dialog.get_by_role("textbox", name="Reason").fill("seen on the slices that matter")
    dialog.get_by_role("textbox", name="Who decides").fill("Ada")
    take(page, "prefect-approval", height=1250)


def of_check(page: Page) -> None:
    """Take the pictures of the page about the last check: its summary, and the score over time."""
    store = open_store(str(DEMO / ".tiltyard" / "store"), cache=DEMO / ".tiltyard" / "cache")
    page.goto(latest_page(store, MODEL, DEMO / ".tiltyard" / "reports").as_uri())
    take(page, "check-page", height=800)
    chart = page.locator("figure img").first
    chart.scroll_into_view_if_needed()
    chart.screenshot(path=IMAGES / "check-score.png")
    sys.stdout.write("docs/images/check-score.png\n")


def open_artifact(prefect: Prefect, addresses: Addresses, run: str, key: str) -> None:
    """Open the page of an artifact of a run."""
    wanted = {"artifacts": {"flow_run_id": {"any_": [run]}, "key": {"any_": [key]}}}
    found = ask(f"{addresses.prefect}/artifacts/filter", wanted)[0]["id"]
    prefect.page.goto(f"{prefect.address}/v2/artifacts/artifact/{found}")
    prefect.page.get_by_role("tab", name="Raw").wait_for()


def of_mlflow(mlflow: Mlflow, addresses: Addresses) -> None:
    """Take the pictures of MLflow's UI: versions, one version, the alias, the copy into another model."""
    page = mlflow.page
    page.goto(f"{mlflow.address}/#/models/{MODEL}")
    page.get_by_text("@ champion").first.wait_for()
    put_aside(page.locator("[data-component-id='mlflow.assistant.chat_panel.close']"))
    take(page, "mlflow-model", height=1400)
    mlflow.open_version(MODEL, 3)
    take(page, "mlflow-version", height=1200)
    with another_model(addresses.mlflow):
        mlflow.open_promotion(MODEL, 3, TARGET)
        take(page, "mlflow-promote")
    dialog = mlflow.open_aliases(MODEL, 1)
    mlflow.add_alias(dialog, "champion")
    take(page, "mlflow-alias")


def put_aside(button: Locator) -> None:
    """Close a panel that the page opens by itself, where it does."""
    if button.count():
        button.first.click()


@contextmanager
def another_model(address: str) -> Iterator[None]:
    """Have a model to copy into, and remove it again."""
    models = f"{address}/api/2.0/mlflow/registered-models"
    ask(f"{models}/create", {"name": TARGET})
    try:
        yield
    finally:
        ask(f"{models}/delete", {"name": TARGET}, method="DELETE")


def take(page: Page, name: str, *, height: int = 1000) -> None:
    """Take a picture, once the page has come to rest; where this checkout lies is nobody's business."""
    page.set_viewport_size({"width": 1400, "height": height})
    page.wait_for_timeout(SETTLE_MS)
    page.evaluate(_HIDE, [re.escape(str(HOUSE)), "~/tiltyard"])
    page.screenshot(path=IMAGES / f"{name}.png")
    sys.stdout.write(f"docs/images/{name}.png\n")


_HIDE = """([pattern, instead]) => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walker.nextNode())
        walker.currentNode.nodeValue = walker.currentNode.nodeValue.replace(new RegExp(pattern, 'g'), instead)
}"""


def ask(url: str, content: object = None, *, method: str | None = None) -> Any:
    """Ask a server of the stack; content makes it a POST."""
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"}, method=method)  # noqa: S310  # ours
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # our own server
        return json.loads(answer.read() or b"null")


if __name__ == "__main__":
    sys.exit(main())
