"""`tiltyard up` in the foreground, with stand-ins for the parts; the folder it runs in is the project."""

import signal
import sys
from unittest.mock import patch

from tests.conftest import free_port
from tests.stack.conftest import standin_commands
from tiltyard.cli import up as command
from tiltyard.cli.app import main
from tiltyard.stack import ports, running

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started deaf to it
    with (
        patch.object(running, "commands", standin_commands),
        patch.object(running, "STOP_SECONDS", 6.0),
        patch.object(ports, "USUAL", {name: free_port() for name in ports.USUAL}),
        patch.object(command, "_put_into_force"),
    ):
        sys.exit(main(["up"]))
