"""Starting a rollout and seeing to it, as Prefect tasks."""

from tasks.step import step
from tiltyard.steps import rolling_out

begin = step("Start the rollout", minutes=10, outside=True, keep=False)(rolling_out.begin)
see_to = step("Finish what is open", minutes=10, outside=True, keep=False)(rolling_out.see_to)
