"""The command `tiltyard`: its subcommands, and what becomes of an error."""

import inspect
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

import tiltyard
from tiltyard.cli.approvals import approvals
from tiltyard.cli.approve import approve, reject
from tiltyard.cli.check import check
from tiltyard.cli.deploy import deploy
from tiltyard.cli.doctor import doctor
from tiltyard.cli.feedback import feedback
from tiltyard.cli.history import history
from tiltyard.cli.init import init
from tiltyard.cli.logs import logs
from tiltyard.cli.monitor import monitor
from tiltyard.cli.predict import predict
from tiltyard.cli.promote import promote, rollback
from tiltyard.cli.replay import replay
from tiltyard.cli.report import report
from tiltyard.cli.resume import resume
from tiltyard.cli.rollout import COMMANDS as ROLLOUT
from tiltyard.cli.schema import schema
from tiltyard.cli.serve import serve
from tiltyard.cli.status import status
from tiltyard.cli.train import train
from tiltyard.cli.up import down, up
from tiltyard.errors import TiltyardError

_USAGE = 2
_INTERRUPTED = 130

app = typer.Typer(
    name="tiltyard",
    help="Keep a good model in production: a new one enters only by winning.",
    epilog="One YAML file and one table become a champion: tiltyard init, then tiltyard train. "
    "`tiltyard COMMAND --help` has examples.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"tiltyard {tiltyard.__version__}\n")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Hold the options of `tiltyard` itself."""


def _help(command: Callable[..., None]) -> str:
    """Return a command's docstring, its examples marked (by a backspace) to stay on lines of their own."""
    return (inspect.getdoc(command) or "").replace("\n\nExamples:\n", "\n\n\b\nExamples:\n")


for _command in (
    init,
    check,
    train,
    predict,
    serve,
    feedback,
    monitor,
    report,
    up,
    down,
    status,
    deploy,
    resume,
    logs,
    doctor,
    history,
    replay,
    approvals,
    approve,
    reject,
    promote,
    rollback,
    schema,
):
    app.command(help=_help(_command))(_command)


_rollout = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
for _word, _work in ROLLOUT.items():
    _rollout.command(_word, help=_help(_work))(_work)
app.add_typer(
    _rollout,
    name="rollout",
    help="Let a version take over step by step; it comes back by itself when it does harm.\n\n\b\nExamples:\n"
    '  tiltyard rollout start 7 --strategy canary --reason "model review"\n  tiltyard rollout status --watch',
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after `tiltyard`; those of the process when left out.

    Returns:
        The exit code: 0; the error's own; 1 for a fault of ours, with the traceback in a log; 130 after Ctrl-C.
    """
    from tiltyard.cli.output import complain

    try:
        code = app(args=None if arguments is None else list(arguments), prog_name="tiltyard", standalone_mode=False)
    except TiltyardError as error:
        complain(f"tiltyard: {error}")
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        complain("tiltyard: stopped.")
        return _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  # the last line of defence: a user never sees a traceback
        if isinstance(error, _usage_errors()):
            return _explain_usage(error)
        complain(
            f"tiltyard: this should not have happened ({type(error).__name__}: {_short(str(error))}). "
            f"The log with all details is {_write_log()}; please report it."
        )
        return 1
    return code if isinstance(code, int) else 0


def _usage_errors() -> type[Exception]:
    """Return the class of all wrong calls: typer makes `BadParameter` public, whose base it is."""
    return next(kind for kind in typer.BadParameter.__bases__ if issubclass(kind, Exception))


def _explain_usage(error: Exception) -> int:
    """Print a wrong call and where its help is; a call without any word gets the help itself."""
    from tiltyard.cli.output import complain

    context = getattr(error, "ctx", None)
    path = context.command_path if context else "tiltyard"
    message = getattr(error, "format_message", error.__str__)()
    if "\n" in message:
        sys.stderr.write(f"{message}\n")
    else:
        complain(f"tiltyard: {message.rstrip('.')}. See `{path} --help`.")
    return _USAGE


def _short(text: str) -> str:
    first = text.strip().split("\n")[0]
    return first if len(first) <= 120 else f"{first[:117]}…"


def _write_log() -> Path:
    """Write the traceback into the work folder, or the temporary folder where that cannot be; return the file."""
    from tiltyard.project.environment import WORK_FOLDER

    name = f"error-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    text = f"tiltyard {tiltyard.__version__}, Python {sys.version}\n{sys.argv}\n\n{traceback.format_exc()}"
    for folder in (Path(os.environ.get("TILTYARD_HOME") or WORK_FOLDER) / "logs", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / name
            file.write_text(text, encoding="utf-8")
        except OSError:
            continue
        return file.resolve()
    return Path(os.devnull)
