"""The reference page of the command line, from what `--help` says."""

from collections.abc import Iterator

import typer.main
import typer.testing

from tiltyard.cli.app import app

_WIDTH = 100

_OPENING = """# The command line

Commands on a project take `--project` (its file or folder; the current folder when left out), those that report take
`--json`. Colours and progress bars are for terminals only; `NO_COLOR` turns colours off.

This page is written from `--help` by `make docs`.

## Exit codes

| code | meaning |
|---|---|
"""

EXIT_CODES = {
    0: "done; for `train`, the run ended with a verdict, whichever; for `monitor`, nothing was found, or too few rows",
    1: "a fault of Tiltyard; the message names the log with all details",
    2: "the call, the project file or the environment is wrong",
    3: "the table cannot be read or breaks its contract",
    4: "no model could be trained",
    5: "the bundle cannot be built, or is damaged",
    6: "MLflow, the ledger or the object store refused or cannot be reached",
    7: "somebody else was first",
    8: "the model server cannot start",
    9: "Prefect refused or cannot be reached",
    10: "the local stack or one of its parts does not start or does not answer",
    11: "the rollout that was watched ended, and its version did not become champion",
    12: "`monitor`: a warning, something has changed",
    13: "`monitor`: an alarm, the data is no longer what the champion knows, or the champion does worse",
    14: "`monitor`: broken data, the feed is to be repaired",
    130: "stopped by Ctrl-C",
}


def command_names() -> tuple[str, ...]:
    """Return the names of all commands, in the order of `--help`."""
    group = typer.main.get_group(app)
    return tuple(group.commands)


def reference_page() -> str:
    """Return the reference of the command line as Markdown."""
    rows = (f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())
    sections = (f"\n## `{' '.join(words)}`\n\n```text\n{_help(words[1:])}```\n" for words in _calls())
    return _OPENING + "".join(rows) + "".join(sections)


def _calls() -> Iterator[list[str]]:
    yield ["tiltyard"]
    groups = typer.main.get_group(app).commands
    for name in command_names():
        yield ["tiltyard", name]
        yield from (["tiltyard", name, word] for word in getattr(groups[name], "commands", ()))


def _help(words: list[str]) -> str:
    """Return what `--help` prints, on a terminal of a fixed width."""
    result = typer.testing.CliRunner().invoke(
        app, [*words, "--help"], prog_name="tiltyard", terminal_width=_WIDTH, max_content_width=_WIDTH
    )
    assert result.exit_code == 0, result.output
    return "".join(f"{line.rstrip()}\n" for line in result.output.strip().splitlines())
