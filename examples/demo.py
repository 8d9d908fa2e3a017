"""The demo, `make demo`: handwritten digits, three challengers, one promotion, one refusal, answers over HTTP.

It runs the commands a person would type, on the 1,797 handwritten digits that ship with scikit-learn, in the folder
`.tiltyard/demo`. It fails when a verdict is not the one announced, and leaves no process behind.
"""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sklearn.datasets import load_digits

from tiltyard.cli.app import main
from tiltyard.project.yamlfile import dump_yaml, read_yaml

HOME = Path(".tiltyard/demo")
PROJECT = HOME / "tiltyard.yaml"
SHADES = " .:-=+*#@"
PATIENCE = 90.0


def title(text: str) -> None:
    """Print a headline."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n## {text}", flush=True)


def run(*words: str) -> None:
    """Run a command as a person would, and stop the demo when it fails."""
    print(f"$ tiltyard {' '.join(words)}", flush=True)
    code = main([*words])
    if code:
        sys.exit(code)


def search(**settings: Any) -> None:
    """Change the section `search` of the project file, as a person would in an editor."""
    head = "".join(line for line in PROJECT.read_text().splitlines(keepends=True) if line.startswith("#"))
    content = read_yaml(PROJECT) | {"search": settings}
    PROJECT.write_text(head + dump_yaml(content))
    print(f"tiltyard.yaml: {dump_yaml({'search': settings}).strip()}", flush=True)


def train(reason: str, expected: str) -> None:
    """Train a challenger and see that the verdict is the one announced."""
    run("train", "--project", str(HOME), "--reason", reason)
    entries = sorted((HOME / ".tiltyard" / "store" / "ledger" / "digits").iterdir())
    judged = [entry for entry in map(read_json, entries) if entry["kind"] == "judged"]
    verdict = judged[-1]["evidence"]["verdict"]
    if verdict != expected:
        sys.exit(f"the demo expected the verdict `{expected}` and got `{verdict}`")


def read_json(file: Path) -> Any:
    """Read a JSON file."""
    return json.loads(file.read_bytes())


@contextmanager
def server() -> Iterator[str]:
    """Run the model server; yields its address, and ends it whatever happens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["serve", "--project", str(HOME), "--port", str(port)]
    print(f"$ tiltyard {' '.join(words)} &", flush=True)
    log = HOME / "server.log"
    with log.open("wb") as sink, subprocess.Popen([sys.executable, "-m", "tiltyard", *words], stderr=sink) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def wait_for(address: str, version: int) -> None:
    """Wait until the server answers with a version."""
    start = time.monotonic()
    while time.monotonic() - start < PATIENCE:
        try:
            served = get(f"{address}/v1/models")["models"][0]["version"]
        except OSError:
            served = None
        if served == version:
            print(f"the server answers with version {version}", flush=True)
            return
        time.sleep(0.2)
    sys.exit(f"the server did not take up version {version} in {PATIENCE:.0f} s; see {HOME / 'server.log'}")


def get(url: str, body: object = None) -> Any:
    """Send a request; a body makes it a POST."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:  # noqa: S310  # our own server
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


def where_to_look() -> None:
    """Say where everything is."""
    title("Where to look")
    runs = sorted((HOME / ".tiltyard" / "runs").iterdir(), key=lambda folder: folder.stat().st_mtime)
    print(f"model card of the last challenger:  {runs[-1] / 'card.html'}")
    print(f"validation report:                  {runs[-1] / 'validation.html'}")
    print(f"project file and contract:          {PROJECT}, {HOME / 'contract.yaml'}")
    print(f"MLflow's pages:  .venv/bin/mlflow ui --backend-store-uri sqlite:///{HOME / '.tiltyard' / 'mlflow.db'}")
    print("the champion over HTTP:  make up, and make down to stop it")


def demo() -> None:
    """Run it."""
    shutil.rmtree(HOME, ignore_errors=True)
    title("1. A project from a table")
    run("init", "sklearn:digits", "--target", "target", "--folder", str(HOME))
    title("2. The first champion: one small decision tree, because there is none to beat")
    search(families=["tree"], trials=2, folds=2)
    train("the first model", expected="promote")
    with server() as address:
        wait_for(address, version=1)
        title("3. A better challenger: it wins on the same test rows, and the server swaps to it")
        search(families=["linear", "knn"], trials=4, folds=2)
        train("more families", expected="promote")
        wait_for(address, version=2)
        ask(address)
        title("4. A worse challenger: it is refused, and the champion stays")
        search(families=["tree"], trials=3, folds=2)
        train("back to trees", expected="refuse")
        wait_for(address, version=2)
    title("5. What happened, who did it, and why")
    run("history", "--project", str(HOME), "--verify")
    where_to_look()


if __name__ == "__main__":
    began = time.monotonic()
    demo()
    print(f"\nDone in {time.monotonic() - began:.0f} s.")
