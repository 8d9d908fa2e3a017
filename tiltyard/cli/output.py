"""What a command says: to people in short lines, to machines as JSON; errors on one line."""

import json
import os
import sys
from typing import Any

import typer

STYLES = {"promote": "green", "refuse": "red", "inconclusive": "yellow", "error": "red", "warning": "yellow"}
STYLES |= {"wrong": "red", "warn": "yellow"}


def _colours() -> bool | None:
    """Return False where the user wants none; None leaves it to the terminal."""
    return False if os.environ.get("NO_COLOR") else None


def say(text: str = "", *, style: str = "") -> None:
    """Print a line for people.

    Args:
        text: The line; wrapped by the terminal alone, so that it can be copied.
        style: A verdict or a level, which chooses the colour.
    """
    typer.secho(text, fg=STYLES.get(style), color=_colours())


def write_json(content: Any) -> None:
    """Print one JSON document for machines."""
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n")


def complain(sentence: str) -> None:
    """Print an error on stderr, red on a terminal: one line, or one a problem where there is a list of them."""
    lines = (" ".join(line.split()) for line in sentence.splitlines())
    typer.secho("\n".join(filter(None, lines)), fg="red", err=True, color=_colours())
