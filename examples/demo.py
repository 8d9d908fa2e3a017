"""The demo, `make demo`: a champion on the full stack, and what becomes of it when the world changes.

It runs the commands a person would type, in the folder `.tiltyard/demo`, on the handwritten digits that ship with
scikit-learn. The stack comes up; a champion, and a worse challenger that is refused; traffic in which nothing is wrong;
then a second scanner, whose pictures stand at a slant: a check raises an alarm, late labels prove the harm, Prefect
trains anew, and the model server swaps while an application asks on and on; at last a challenger that waits for your
approval in Prefect's UI. The verdicts are the product's own; the demo fails when one is not as announced, or when a
single request is lost. The stack stays up, so that the story can be read in both UIs; `make down` ends it.
"""

import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from examples.application import Application
from examples.scans import TARGET, Scans, append_rows, drawn, parted, slanted
from examples.stage import ask, expect, fail, proved, run, tell, title, wait
from examples.yard import Yard

FOLDER = Path(".tiltyard/demo")
MODEL = "digits"
SIZES = (850, 350, 350)
"""Pictures of the table, of the usual traffic, and of the second scanner; it has the rest as well, never labelled."""

LABELLED = 0.9
"""Share of the second scanner's pictures whose label comes."""

WATCHED = {"window": 350, "min_rows": 300, "cooldown_hours": 0}
WHY_WATCHED_SO = "a demo has hundreds of rows and no time: small windows, no pause after a promotion"
ENOUGH = 200
"""Answers of the new champion that are waited for."""


class Asked(NamedTuple):
    """Pictures that were asked for, and the ids of the predictions about them."""

    scans: Scans
    ids: tuple[str, ...]


def bring_up(table: Scans) -> Yard:
    """Bring the stack up, after taking down one of an earlier demo."""
    title("1. A project from a table, and the stack for it")
    yard = Yard(FOLDER, MODEL)
    append_rows(yard.table, table)
    run("init", str(yard.table), "--target", TARGET, "--folder", str(FOLDER))
    yard.edit(search=search("linear"), split={"test": 0.36})
    yard.edit(WHY_WATCHED_SO, monitoring=WATCHED)
    print("$ export TILTYARD_LOG_SECONDS=2  # what was answered is in the store by then, and not after half a minute")
    os.environ["TILTYARD_LOG_SECONDS"] = "2"
    yard.run("up", "--detach")
    return yard


def search(family: str) -> dict[str, Any]:
    """Return a short search in one family of models."""
    return {"families": [family], "trials": 3, "folds": 2}


def first_champion(yard: Yard, application: Application, usual: Scans) -> Asked:
    """Train the first champion, and ask it."""
    title("2. The first champion, because there is none to beat; it answers over HTTP")
    yard.train("the first model", expected="promote")
    wait(lambda: yard.is_served(1), "the server answers with version 1")
    print(drawn(*usual.images[:2]))
    url = f"{yard.addresses.server}/v1/models/{MODEL}"
    names = [column["name"] for column in ask(url)["features"]]
    one, other, *_ = usual.rows()
    print(f"$ curl {url}/predict -d '{{\"rows\": [{json.dumps(one)[:42]}…}}]}}'")
    answers = [ask(f"{url}/predict", {"rows": [one]})]
    print(short(answers[0]))
    print(f"$ curl {url}/predict -d '{{\"features\": [{', '.join(str(other[name]) for name in names[:8])}, …]}}'")
    answers.append(ask(f"{url}/predict", {"features": [other[name] for name in names]}))
    print(short(answers[1]))
    ids = [answer["id"] for answer in answers] + application.ask_all(usual.after(2))
    print(f"{len(ids)} pictures were asked for.", flush=True)
    return Asked(usual, tuple(ids))


def short(answer: Any) -> str:
    """Return an answer with its probabilities rounded, the small ones left out."""
    prediction = answer["predictions"][0]
    likely = {name: round(share, 3) for name, share in prediction["probabilities"].items() if share >= 0.001}
    return json.dumps({**answer, "predictions": [{**prediction, "probabilities": likely}]})


def refusal(yard: Yard) -> None:
    """Train a worse challenger."""
    title("3. A worse challenger: it is refused, and the champion stays")
    yard.edit(search=search("tree"))
    yard.train("try a tree", expected="refuse")
    yard.edit(search=search("linear"))


def quiet_check(yard: Yard, usual: Asked) -> None:
    """Check traffic in which nothing is wrong."""
    title("4. Traffic as ever: a check finds nothing wrong")
    yard.label(usual.ids, usual.scans.digits.tolist())
    yard.wait_for_log(len(usual.ids))
    yard.check(code=0, action="none")


def alarm(yard: Yard, application: Application, usual: Asked, turned: Scans, upright: Scans) -> Asked:
    """Let the second scanner ask, and check before any label has come."""
    title("5. A second scanner holds the pages at a slant: the check raises an alarm before any label has come")
    print(drawn(upright.images[0], turned.images[0]))
    asked = Asked(turned, tuple(application.ask_all(turned)))
    print(f"{len(asked.ids)} pictures like the right one were asked for.")
    yard.wait_for_log(len(usual.ids) + len(asked.ids))
    yard.check(code=13, action="none")
    return asked


def proof(yard: Yard, application: Application, asked: Asked) -> None:
    """Give the labels that have come by now, let the table grow, and check again."""
    title("6. Labels come late, and not all of them; they prove the harm: the check asks for a retraining")
    come = np.random.default_rng(1).random(len(asked.ids)) < LABELLED
    first, digit = asked.ids[0], int(asked.scans.digits[0])
    url = f"{yard.addresses.server}/v1/models/{MODEL}/feedback"
    print(f"$ curl {url} -d '{json.dumps({'id': first, 'label': digit})}'")
    print(json.dumps(application.tell(first, digit)))
    digits = asked.scans.digits.tolist()
    yard.label(asked.ids, [value if here else "" for value, here in zip(digits, come, strict=True)])
    append_rows(yard.table, asked.scans.chosen(come))
    tell(f"The owner's pipeline appends the {come.sum()} labelled rows to {yard.table}, as it always does.")
    yard.check(code=13, action="retrain")
    tell("The page about it: a summary, pictures over time, and Evidently's report.")
    yard.run("report", "--path")
    for name, address in yard.pages_of_check():
        print(f"{name}: {address}")


def retraining(yard: Yard, application: Application, unseen: Scans) -> None:
    """Have an application ask on and on while Prefect trains and the server swaps."""
    title("7. Prefect's automation starts the training; the server swaps while an application asks on and on")
    with application.asking(unseen) as tally:
        wait(lambda: bool(yard.automatic_run()), "Prefect has taken the event", progress=lambda: "the event is sent")
        started = yard.automatic_run()
        proved(f"started by the automation `{started['created_by']['display_value']}`")
        print(f"    {yard.page_of_run(started['id'])}")
        wait(lambda: tally.newest > 1, "a new champion answers", progress=lambda: yard.progress(started["id"]))
        wait(lambda: tally.answers[tally.newest] >= ENOUGH, f"it has given {ENOUGH} answers")
    print(yard.last("judged").reason)
    expect(yard.last("promoted").version, tally.newest, "the version that answers")
    for line in tally.lines():
        proved(line)
    if tally.lost:
        fail(f"{len(tally.lost)} requests were lost: {tally.lost[0]}")
    if tally.share_right(tally.newest) <= tally.share_right(1):
        fail("the new champion is no better on the second scanner's pictures")


def question(yard: Yard) -> str:
    """Have a worker train a challenger that waits for a person; return the run's page."""
    title("8. A challenger that needs a person's word")
    yard.edit(search=search("mlp"), gates={"approval": "required", "inconclusive": "ask"})
    started = yard.start_run("a small neural network")
    wait(
        lambda: yard.has("approval_wanted"),
        "it waits for a person's decision",
        progress=lambda: yard.progress(started),
    )
    print(yard.last("judged").reason)
    return yard.page_of_run(started)


def where_to_look(yard: Yard, waiting: str) -> None:
    """Say where everything is."""
    title("Where to look")
    version = yard.last("approval_wanted").version
    print(f"Your turn: approve version {version} there (menu of the run, Resume), or")
    print(f"`tiltyard approve {version} --project {FOLDER}`:    {waiting}")
    print(f"the alarm's page, in the browser:    tiltyard report --project {FOLDER}")
    print(f"Prefect, runs and their artifacts:   {yard.prefect_page('runs')}")
    print(f"MLflow, versions and their alias:    {yard.addresses.mlflow}/#/models/{MODEL}")
    print(f"the model server:                    {yard.addresses.server}/v1/models")
    print(f"model card of the last challenger:   {yard.newest_card()}")
    print(f"project file and contract:           {yard.file}, {FOLDER / 'contract.yaml'}")
    print("The stack stays up; `make down` stops it, `make up` starts it again.")


def demo() -> None:
    """Run it."""
    table, usual, upright, rest = parted(SIZES)
    yard = bring_up(table)
    application = Application(yard.addresses.server, MODEL)
    usually = first_champion(yard, application, usual)
    refusal(yard)
    quiet_check(yard, usually)
    asked = alarm(yard, application, usually, slanted(upright), upright)
    proof(yard, application, asked)
    retraining(yard, application, slanted(rest))
    waiting = question(yard)
    title("9. What happened, who did it, and why")
    yard.run("history", "--verify")
    where_to_look(yard, waiting)


if __name__ == "__main__":
    began = time.monotonic()
    demo()
    print(f"\nDone in {time.monotonic() - began:.0f} s.")
