"""The processes of a server: each is started again whenever it ends."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

from tiltyard.project.section import Section
from tiltyard.serving.processes import hold_back_end

HEALTHY_SECONDS = 10.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
LOOK_SECONDS = 0.5
"""Between two looks at whether a process has anything to do."""

_log = logging.getLogger(__name__)


class Child:
    """One process that is started again whenever it ends.

    Args:
        role: `worker`, `sidecar` or `shadow`: a module of this room with a `main`.
        settings: What it is told.
        environment: Its environment variables.
        inherited: File descriptors it shares.
        wanted: Whether there is anything for it to do; it is started when there is, and may end by itself.
    """

    def __init__(
        self,
        role: str,
        settings: Section,
        environment: Mapping[str, str],
        inherited: Sequence[int] = (),
        *,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.role = role
        launch = [sys.executable, "-P", "-m", "tiltyard.serving.launch"]
        self._command = [*launch, f"tiltyard.serving.{role}", settings.model_dump_json()]
        self._environment = dict(environment)
        self._inherited = tuple(inherited)
        self._wanted = wanted
        self._process: asyncio.subprocess.Process | None = None
        self._told: signal.Signals | None = None

    async def keep(self, stopping: asyncio.Event, begin: asyncio.Event) -> None:
        """Start the process, and again after each end with a growing pause, until `stopping`.

        Args:
            stopping: Set at the end of the server.
            begin: Set when the process may start. A sidecar starts then even if the end came before: it brings away
                what was logged, now or when the server ran last.
        """
        pause = FIRST_PAUSE
        await begin.wait()
        while await self._is_due(stopping):
            began = asyncio.get_running_loop().time()
            process = await self._start()
            code = await process.wait()
            if stopping.is_set() or (code == 0 and not self._wanted()):
                continue
            lived = asyncio.get_running_loop().time() - began
            pause = FIRST_PAUSE if lived > HEALTHY_SECONDS else min(2 * pause, LONGEST_PAUSE)
            _log.error("the %s %d ended (%s); another starts", self.role, process.pid, _ending(code))
            await _pause(stopping, pause)

    async def _start(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            env=self._environment,
            pass_fds=self._inherited,
            start_new_session=True,
            preexec_fn=hold_back_end if self.role == "sidecar" else None,  # no threads here
        )
        if self._told is not None:  # while it was being started
            self.stop(self._told)
        return self._process

    async def _is_due(self, stopping: asyncio.Event) -> bool:
        """Wait until there is something to do for the process; False when the end comes first."""
        if self.role == "sidecar" and self._process is None:
            return True
        while not stopping.is_set() and not self._wanted():
            await _pause(stopping, LOOK_SECONDS)
        return not stopping.is_set()

    def stop(self, number: signal.Signals) -> None:
        """Signal the process, at once or when it has been started."""
        self._told = number
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    """Wait, but no longer than until `stopping`."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


def _ending(code: int) -> str:
    """Say how a process ended."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
