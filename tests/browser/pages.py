"""The pages of the two UIs as a person uses them: the form, the decision, the alias dialog, *Promote model*.

What the pages do not offer for finding their parts (roles and names are best) is written down here once.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",  # needed as root, as in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
PATIENCE = 60_000.0


def find_browser() -> str | None:
    """Return the path of a Chromium or Chrome of this machine; None when there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def browsing(browser: str, *, width: int = 1400, height: int = 1000) -> Iterator[Page]:
    """Open a page in a headless browser that dials nobody else.

    Args:
        browser: Path of the browser.
        width: Width of the window, pixels.
        height: Height of the window, pixels.
    """
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, headless=True, args=list(QUIET))
        page = window.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE)
        try:
            yield page
        finally:
            window.close()


@dataclass(frozen=True)
class Prefect:
    """Prefect's UI.

    Attributes:
        page: The browser's page.
        address: Where the server is, without a slash at the end.
    """

    page: Page
    address: str

    def open_form(self, deployment: str) -> None:
        """Open the form that starts a run."""
        self.page.goto(f"{self.address}/v2/deployments/deployment/{deployment}/run")
        self.page.get_by_role("button", name="Submit").wait_for()

    def write(self, parameter: str, text: str) -> None:
        """Fill in a text."""
        self.page.get_by_role("textbox", name=parameter).fill(text)

    def give_number(self, parameter: str, number: float) -> None:
        """Fill in a number."""
        self.page.get_by_role("spinbutton", name=parameter).fill(f"{number:g}")

    def submit(self) -> str:
        """Send the form; return the id of the run that it started."""
        with self.page.expect_response(lambda answer: answer.url.endswith("/create_flow_run")) as answer:
            self.page.get_by_role("button", name="Submit").click()
        started = answer.value.json()
        assert "id" in started, started
        return str(started["id"])

    def open_artifact(self, artifact: str) -> None:
        """Open the page of what a run shows."""
        self.page.goto(f"{self.address}/artifacts/artifact/{artifact}")
        self.page.get_by_role("heading").first.wait_for()

    def follow(self, link: str) -> Page:
        """Follow a link that opens a page of its own; return that."""
        with self.page.expect_popup() as opened:
            self.page.get_by_role("link", name=link).first.click()
        return opened.value

    def open_run(self, run: str) -> None:
        """Open the page of a run."""
        self.page.goto(f"{self.address}/v2/runs/flow-run/{run}")
        self.page.get_by_role("main").get_by_role("tablist").first.wait_for()

    def open_decision(self, run: str) -> Locator:
        """Open the dialog of a run that waits for a person; return it."""
        self.open_run(run)
        self.page.get_by_role("main").get_by_role("button", name="Open menu").first.click()
        self.page.get_by_role("menuitem", name="Resume").click()
        dialog = self.page.get_by_role("dialog", name="Resume Flow Run")
        dialog.wait_for()
        return dialog

    def choose(self, dialog: Locator, title: str, choice: str) -> None:
        """Choose one of a list in the dialog."""
        dialog.get_by_role("button", name=title).click()
        self.page.get_by_role("option", name=choice).click()

    def decide(self, dialog: Locator) -> None:
        """Send the decision, and see it taken."""
        dialog.get_by_role("button", name="Resume").click()
        dialog.wait_for(state="hidden")


@dataclass(frozen=True)
class Mlflow:
    """MLflow's UI.

    Attributes:
        page: The browser's page.
        address: Where the server is, without a slash at the end.
    """

    page: Page
    address: str

    def open_version(self, model: str, version: int) -> None:
        """Open the page of a version."""
        self.page.goto(f"{self.address}/#/models/{model}/versions/{version}")
        self.page.get_by_role("heading", name=f"Version {version}").wait_for()
        self.page.get_by_role("button", name="Promote model").wait_for()

    def open_aliases(self, model: str, version: int) -> Locator:
        """Open the dialog of a version's aliases; return it."""
        self.open_version(model, version)
        self.page.locator("[data-component-id*=modelversionviewaliaseditor]").first.click()
        return self._dialog(f"Add/Edit alias for model version {version}")

    def add_alias(self, dialog: Locator, alias: str) -> None:
        """Write an alias into the dialog; the page warns when it leaves another version."""
        box = dialog.get_by_role("combobox")
        box.fill(alias)
        box.press("Enter")
        dialog.get_by_text(f"@ {alias}").wait_for()

    def save_aliases(self, dialog: Locator) -> None:
        """Save, and see it done."""
        self.page.locator("[data-component-id='mlflow.edit-aliases-modal.save-button']").click()
        dialog.wait_for(state="hidden")

    def open_promotion(self, model: str, version: int, target: str) -> Locator:
        """Open *Promote model* and choose the model that gets the copy; return the dialog."""
        self.open_version(model, version)
        self.page.get_by_role("button", name="Promote model").click()
        dialog = self._dialog(f"Promote {model} version {version}")
        box = dialog.get_by_role("combobox")
        box.click()
        box.fill(target)
        self.page.get_by_title(target, exact=True).click()
        return dialog

    def promote(self, dialog: Locator, target: str) -> int:
        """Promote, and return the version that the copy has in its new model: the page goes there."""
        dialog.get_by_role("button", name="Promote").click()
        self.page.wait_for_url(f"**/models/{target}/versions/*")
        return int(self.page.url.rpartition("/")[2])

    def _dialog(self, name: str) -> Locator:
        dialog = self.page.get_by_role("dialog", name=name)
        dialog.wait_for()
        return dialog
