"""Finding the champion, evaluating and deciding as Prefect tasks."""

from tasks.step import step
from tiltyard.steps import champion, judging

find_opponent = step("Find the champion", outside=True, keep=False)(champion.find_opponent)
evaluate = step("Evaluate challenger and champion", outside=True)(judging.evaluate_models)
judge = step("Judge")(judging.gate)
