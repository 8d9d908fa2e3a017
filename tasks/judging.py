"""Finding the champion, evaluating and deciding as Prefect tasks."""

from tasks.step import step
from tiltyard.steps import champion, judging

find_opponent = step("Find the champion", minutes=10, outside=True, keep=False)(champion.find_opponent)
evaluate = step("Evaluate challenger and champion", minutes=240, outside=True)(judging.evaluate_models)
judge = step("Judge", minutes=10)(judging.gate)
