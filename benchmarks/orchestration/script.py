"""The training as a plain script: the steps one after the other, nothing kept, nothing recorded outside MLflow.

python benchmarks/orchestration/script.py PROJECT
"""

import sys
from pathlib import Path

from tiltyard.steps import bundling, champion, data, judging, promoting, registering, taking_over, training
from tiltyard.steps.run import assign, identify


def train(project: Path) -> None:
    """Train, judge, register, and promote a winner."""
    assignment = assign(project)
    run = identify(assignment, data.read_table(assignment))
    opponent = champion.find_opponent(run)
    data.check(run, opponent, data.examine(run))
    parts = data.split(run)
    result = training.tune(run)
    fitted = training.fit_winner(run, result)
    evaluation = judging.evaluate_models(run, fitted, opponent)
    bundle = bundling.build(run, fitted)
    verification = bundling.verify(run, bundle)
    verdict = judging.gate(run, evaluation, verification, bundle.manifest.size_bytes)
    registered = registering.register(
        run, parts=parts, result=result, fitted=fitted, scorecard=evaluation.challenger, bundle=bundle
    )
    promoting.document(run, fitted=fitted, parts=parts, registered=registered, evaluation=evaluation, verdict=verdict)
    if verdict.outcome == "promote":
        taking_over.crown(run, registered, evaluation, verdict)


if __name__ == "__main__":
    train(Path(sys.argv[1]))
