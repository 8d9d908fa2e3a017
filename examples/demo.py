"""The demo, `make demo`: handwritten digits on the full stack, as a team would live with it.

It runs the commands a person would type, on the 1,797 handwritten digits that ship with scikit-learn, in the folder
`.tiltyard/demo`: the stack comes up, a first champion, a promotion, a refusal, answers over HTTP; at last a challenger
that a worker trains and that waits for your approval in Prefect's UI. It fails when something is not as announced. The
stack stays up, so that the same story can be read in both UIs; `make down` ends it.
"""

import json
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sklearn.datasets import load_digits

from tiltyard.cli.app import main
from tiltyard.project.addresses import Addresses, read_addresses
from tiltyard.project.yamlfile import dump_yaml, read_yaml

FOLDER = Path(".tiltyard/demo")
HOME = (FOLDER / ".tiltyard").resolve()
PROJECT = FOLDER / "tiltyard.yaml"
SHADES = " .:-=+*#@"
PATIENCE = 300.0


def title(text: str) -> None:
    """Print a headline."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n## {text}", flush=True)


def run(*words: str) -> None:
    """Run a command as a person would, and stop the demo when it fails."""
    print(f"$ tiltyard {' '.join(words)}", flush=True)
    code = main([*words])
    if code:
        sys.exit(code)


def edit(**sections: dict[str, Any]) -> None:
    """Change sections of the project file, as a person would in an editor."""
    head = "".join(line for line in PROJECT.read_text().splitlines(keepends=True) if line.startswith("#"))
    PROJECT.write_text(head + dump_yaml(read_yaml(PROJECT) | sections))
    print(f"tiltyard.yaml: {dump_yaml(sections).strip()}", flush=True)


def train(reason: str, expected: str) -> None:
    """Train a challenger and see that the verdict is the one announced."""
    run("train", "--project", str(FOLDER), "--reason", reason)
    judged = [entry for entry in ledger() if entry["kind"] == "judged"]
    verdict = judged[-1]["evidence"]["verdict"]
    if verdict != expected:
        sys.exit(f"the demo expected the verdict `{expected}` and got `{verdict}`")


def ledger() -> list[dict[str, Any]]:
    """Read the ledger's entries."""
    return [read_json(entry) for entry in sorted((HOME / "store" / "ledger" / "digits").iterdir())]


def read_json(file: Path) -> Any:
    """Read a JSON file."""
    return json.loads(file.read_bytes())


def bring_up() -> Addresses:
    """Bring the stack up, after taking down one of an earlier demo; return where it is."""
    if PROJECT.exists():
        run("down", "--project", str(FOLDER))
    shutil.rmtree(FOLDER, ignore_errors=True)
    title("1. A project from a table, and the stack for it")
    run("init", "sklearn:digits", "--target", "target", "--folder", str(FOLDER))
    run("up", "--detach", "--project", str(FOLDER))
    addresses = read_addresses(HOME)
    if addresses is None:
        sys.exit("the stack is not up")
    return addresses


def start_by_worker(addresses: Addresses, reason: str) -> str:
    """Start a run of the deployment, as the form in Prefect's UI does; return the run's page."""
    found = get(f"{addresses.prefect}/deployments/name/train/digits")
    url = f"{addresses.prefect}/deployments/{found['id']}/create_flow_run"
    body = {"parameters": {"reason": reason}, "state": {"type": "SCHEDULED"}}
    print(f"$ curl -H content-type:application/json {url} -d '{json.dumps(body)}'", flush=True)
    started = get(url, body)
    return f"{addresses.prefect.removesuffix('/api')}/v2/runs/flow-run/{started['id']}"


def wait_for_version(addresses: Addresses, version: int) -> None:
    """Wait until the server answers with a version."""

    def answers() -> bool:
        served = get(f"{addresses.server}/v1/models")["models"]
        return any(model["version"] == version for model in served)

    wait(answers, f"the server answers with version {version}")


def wait_for_question() -> None:
    """Wait until a person is asked."""
    wait(lambda: ledger()[-1]["kind"] == "approval_wanted", "version 4 waits for a person's decision")


def wait(done: Callable[[], bool], news: str) -> None:
    """Wait until something has come true, and tell it."""
    start = time.monotonic()
    while time.monotonic() - start < PATIENCE:
        try:
            if done():
                print(f"{news}, after {time.monotonic() - start:.1f} s", flush=True)
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"not within {PATIENCE:.0f} s: {news}; see `tiltyard logs --project {FOLDER}`")


def get(url: str, body: object = None) -> Any:
    """Send a request; a body makes it a POST."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})  # noqa: S310  # our own server
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # our own server
        return json.load(answer)


def ask(address: str) -> None:
    """Ask for two digits, in both shapes of a request."""
    digits = load_digits()
    url = f"{address}/v1/models/digits/predict"
    names = [column["name"] for column in get(f"{address}/v1/models/digits")["features"]]
    row = dict(zip(digits.feature_names, digits.data[1796].tolist(), strict=True))
    draw(digits.images[1796])
    print(f'$ curl {url} -d \'{{"rows": [{{"pixel_0_0": 0.0, "pixel_0_1": 0.0, …}}]}}\'')
    print(short(get(url, {"rows": [row]})))
    draw(digits.images[1795])
    row = dict(zip(digits.feature_names, digits.data[1795].tolist(), strict=True))
    print(f"$ curl {url} -d '{{\"features\": [0.0, 0.0, …]}}'")
    print(short(get(url, {"features": [row[name] for name in names]})), flush=True)


def draw(image: Any) -> None:
    """Print a picture of 8 x 8 pixels of 0 to 16."""
    for line in image:
        print("   " + "".join(SHADES[int(pixel / 2)] * 2 for pixel in line))


def short(answer: Any) -> str:
    """Return an answer with its probabilities rounded, the small ones left out."""
    prediction = answer["predictions"][0]
    likely = {name: round(share, 3) for name, share in prediction["probabilities"].items() if share >= 0.001}
    return json.dumps({**answer, "predictions": [{**prediction, "probabilities": likely}]})


def where_to_look(addresses: Addresses, run: str) -> None:
    """Say where everything is."""
    title("Where to look")
    prefect = addresses.prefect.removesuffix("/api")
    print(f"your turn: approve version 4 there (menu of the run, Resume), or `tiltyard approve 4 --project {FOLDER}`")
    print(f"    {run}")
    print(f"Prefect, runs and their artifacts:   {prefect}/v2/runs")
    print(f"MLflow, versions and their alias:    {addresses.mlflow}/#/models/digits")
    print(f"the model server:                    {addresses.server}/v1/models")
    cards = sorted((HOME / "runs").glob("*/card.html"), key=lambda file: file.stat().st_mtime)
    print(f"model card of the last challenger:   {os.path.relpath(cards[-1])}")
    print(f"project file and contract:           {PROJECT}, {FOLDER / 'contract.yaml'}")
    print("The stack stays up; `make down` stops it, `make up` starts it again.")


def demo() -> None:
    """Run it."""
    addresses = bring_up()
    title("2. The first champion: one small decision tree, because there is none to beat")
    edit(search={"families": ["tree"], "trials": 2, "folds": 2})
    train("the first model", expected="promote")
    wait_for_version(addresses, 1)
    title("3. A better challenger: it wins on the same test rows, and the server swaps to it")
    edit(search={"families": ["linear"], "trials": 3, "folds": 2})
    train("a linear model", expected="promote")
    wait_for_version(addresses, 2)
    ask(addresses.server)
    title("4. A worse challenger: it is refused, and the champion stays")
    edit(search={"families": ["tree"], "trials": 3, "folds": 2})
    train("back to trees", expected="refuse")
    title("5. A challenger that a worker trains; the rows cannot tell, so that a person is asked")
    edit(search={"families": ["knn"], "trials": 3, "folds": 2}, gates={"inconclusive": "ask"})
    run("deploy", "--project", str(FOLDER))
    page = start_by_worker(addresses, "nearest neighbours")
    wait_for_question()
    title("6. What happened, who did it, and why")
    run("history", "--project", str(FOLDER), "--verify")
    where_to_look(addresses, page)


if __name__ == "__main__":
    began = time.monotonic()
    demo()
    print(f"\nDone in {time.monotonic() - began:.0f} s.")
