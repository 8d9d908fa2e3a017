"""Building and verifying the bundle as Prefect tasks."""

from tasks.step import step
from tiltyard.steps import bundling

build = step("Build the bundle", minutes=120)(bundling.build)
verify = step("Verify the bundle in a sandbox", minutes=30)(bundling.verify)
