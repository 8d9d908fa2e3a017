"""Checking the champion, and claiming what follows from it, as Prefect tasks."""

from tasks.step import step
from tiltyard.steps import acting, monitoring

check = step("Check the window", minutes=240, outside=True, keep=False)(monitoring.check_champion)
claim = step("Claim what follows", minutes=10, outside=True, keep=False)(acting.claim)
done = step("Note what was done", minutes=10, outside=True, keep=False)(acting.done)
