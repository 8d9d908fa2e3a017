"""A demo's stage: headlines, commands as a person types them, patience, and an end where it goes wrong."""

import json
import os
import re
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from tiltyard.cli.app import main
from tiltyard.project.yamlfile import dump_yaml

PATIENCE = 300.0
_PAUSE = 0.25
_LOOK = 1.0
"""Seconds between two looks at how far it is: to ask for that must not slow down what is waited for."""

_WIDTH = 110
_BOLD, _FAINT, _GREEN = "1", "2", "32"


def title(text: str) -> None:
    """Print a headline."""
    print("\n" + _shown(f"## {text}", _BOLD), flush=True)


def tell(text: str) -> None:
    """Print a sentence or two of the story."""
    print(textwrap.fill(text, _WIDTH), flush=True)


def proved(text: str) -> None:
    """Print what has come true."""
    print(_shown(f"=> {text}", _GREEN), flush=True)


def fail(what: str) -> NoReturn:
    """End the demo: the story did not happen.

    Raises:
        SystemExit: Always.
    """
    sys.exit(f"the demo failed: {what}")


def expect(found: object, expected: object, what: str) -> None:
    """End the demo when something is not as the story says."""
    if found != expected:
        fail(f"{what} should be {expected!r} and is {found!r}")


def run(*words: str, code: int = 0) -> None:
    """Run a command as a person would; another exit code than the story's ends the demo."""
    print(_shown(f"$ tiltyard {' '.join(map(_quoted, words))}", _FAINT), flush=True)
    expect(main([*words]), code, f"the exit code of `tiltyard {words[0]}`")


def wait(done: Callable[[], bool], news: str, *, progress: Callable[[], str] = str, patience: float = PATIENCE) -> None:
    """Wait until something has come true, show how far it is, and tell it.

    Args:
        done: Whether it has; a server that does not answer yet counts as no.
        news: What to tell.
        progress: How far it is, in a few words.
        patience: Seconds after which the demo fails.
    """
    start, said, looked = time.monotonic(), "", 0.0
    while (passed := time.monotonic() - start) < patience:
        try:
            if done():
                _sweep()
                proved(f"{news}, after {passed:.1f} s")
                return
            if passed >= looked:
                looked, said = passed + _LOOK, _show_progress(progress(), said, passed)
        except OSError:
            pass
        time.sleep(_PAUSE)
    _sweep()
    fail(f"not within {patience:.0f} s: {news}; see `tiltyard logs`")


def ask(url: str, body: object = None) -> Any:
    """Ask a server of the stack; a body makes it a POST.

    Raises:
        OSError: It does not answer, or refuses.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})  # noqa: S310  # our own server
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # our own server
        return json.load(answer)


def edited(text: str, sections: Mapping[str, Any], why: str = "") -> str:
    r"""Return a project file with sections in place of those of the same name, or at its end.

    Args:
        text: The project file.
        sections: Content of the sections by name.
        why: Comment that stands above the first of them.

    Example:
        >>> print(edited("name: a\nsearch:\n  trials: 2\n", {"search": {"trials": 3}}, "more"), end="")
        name: a
        # more
        search: {trials: 3}
    """
    for name in sections:
        text = re.sub(rf"^(?:#[^\n]*\n)?{name}:[^\n]*\n(?:[ -][^\n]*\n)*", "", text, flags=re.MULTILINE)
    return f"{text}{f'# {why}{chr(10)}' if why else ''}{dump_yaml(dict(sections))}"


def _show_progress(words: str, said: str, passed: float) -> str:
    """Show how far it is: on a terminal on one line, elsewhere only what is new; return what was said."""
    if sys.stdout.isatty():
        print(f"\r\033[K   {passed:4.0f} s  {words}", end="", flush=True)
    elif words not in ("", said):
        print(f"   {words} ...", flush=True)
    return words


def _sweep() -> None:
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)


def _shown(text: str, style: str) -> str:
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return f"\033[{style}m{text}\033[0m" if coloured else text


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word
