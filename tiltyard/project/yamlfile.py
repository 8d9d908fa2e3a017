"""YAML as people mean it: no key twice, `yes` is a word, `1e-5` is a number, and every refusal names the line."""

import math
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tiltyard.errors import ProjectError

_LONGEST_PATH = 200
_BOOLEAN = "tag:yaml.org,2002:bool"
_FLOAT = "tag:yaml.org,2002:float"
_INTEGER = "tag:yaml.org,2002:int"
_BREAKS = frozenset("\x85\u2028\u2029")


class _Loader(yaml.SafeLoader):
    """YAML's safe loader with the core schema of YAML 1.2 for booleans and numbers.

    YAML 1.1, which PyYAML follows, reads `positive: yes` as a boolean, `1e-5` as a text and `12:30` as 750: none
    of them is what the writer of a project file means.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping; a repeated key is an error."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    problem = f"the key `{key_node.value}` stands twice"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
                seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)

    def construct_finite(self, node: yaml.ScalarNode) -> float:
        """Build a number; infinity and NaN are errors, for no key has a use for them."""
        word = node.value.lower().lstrip("+-")
        if word in {".inf", ".nan"} or not math.isfinite(number := float(node.value)):
            raise yaml.MarkedYAMLError(problem=f"`{node.value}` is not a number to use", problem_mark=node.start_mark)
        return number


class _Dumper(yaml.SafeDumper):
    """YAML's safe dumper, quoting every text that YAML 1.1 or 1.2 would read as something else."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Write a text; one with a line break of YAML 1.1 in double quotes, the only ones that escape it."""
        style = '"' if _BREAKS.intersection(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_REPLACED = {_BOOLEAN, _FLOAT, _INTEGER}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor(_INTEGER, lambda _, node: int(node.value))
_Loader.add_constructor(_FLOAT, _Loader.construct_finite)


def _core_schema(side: type[_Loader | _Dumper]) -> None:
    """Add the resolvers of booleans and numbers of YAML 1.2."""
    number = r"[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    side.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
    side.add_implicit_resolver(_INTEGER, re.compile(r"^[-+]?\d+$"), list("-+0123456789"))
    side.add_implicit_resolver(_FLOAT, re.compile(rf"^(?:{number})$"), list("-+.0123456789"))


_Dumper.add_representer(str, _Dumper.represent_text)
_core_schema(_Loader)
_core_schema(_Dumper)


def dump_yaml(content: Mapping[str, Any]) -> str:
    """Write a mapping as YAML that a person can review and `parse_yaml` reads back unchanged.

    Args:
        content: Mappings, lists and scalars; numbers finite.

    Example:
        >>> print(dump_yaml({"levels": ["08", "yes", "1e5", "blue"]}), end="")
        levels: ['08', 'yes', '1e5', blue]
    """
    return yaml.dump(
        dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )


_EMPTY = "Its first line should be `name: …`."


def parse_yaml(text: str, *, where: str, empty: str = _EMPTY) -> dict[str, Any]:
    """Read YAML whose top level is a mapping.

    Args:
        text: The YAML.
        where: Name of the file, for the error.
        empty: What to do about a file without keys.

    Raises:
        ProjectError: It is not such a mapping; says at which line.

    Example:
        >>> parse_yaml("positive: yes", where="tiltyard.yaml")
        {'positive': 'yes'}
    """
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506  # a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ProjectError(
            f"not valid YAML: {error.problem}", where=f"{where}{line}", cure=_cure(str(error.problem))
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ProjectError(f"not valid YAML: {reason}", where=where, cure="Save it as plain UTF-8 text.") from error
    if not isinstance(content, dict):
        raise ProjectError("holds no keys", where=where, cure=empty)
    return content


def _cure(problem: str) -> str:
    """Return what to do about a problem that YAML names in its own words."""
    cures = {
        "stands twice": "Keep one of the two.",
        "cannot start any token": "Indent with spaces, and put texts with special characters in quotes.",
        "mapping values are not allowed": "Put a text that holds `: ` in quotes, and check the indentation.",
        "could not determine a constructor": "Remove the `!tag`; put a text that begins with `!` in quotes.",
        "is not a number to use": "Give a finite number.",
        "undefined alias": "Put a text that begins with `*` in quotes.",
    }
    return next((cure for words, cure in cures.items() if words in problem), "Check the line and the one before it.")


def read_yaml(path: Path, *, empty: str = _EMPTY) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Args:
        path: The file.
        empty: What to do about a file without keys.

    Raises:
        ProjectError: The file is missing, unreadable or not such a mapping; says where.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ProjectError(
            "there is no such file", where=str(path), cure="Write one with `tiltyard init TABLE --target COLUMN`."
        ) from None
    except IsADirectoryError:
        raise ProjectError("is a folder, not a file", where=str(path), cure="Name the YAML file in it.") from None
    except UnicodeDecodeError as error:
        raise ProjectError(
            f"is not UTF-8 text (byte {error.start})", where=str(path), cure="Save it as UTF-8."
        ) from error
    except (OSError, ValueError) as error:  # the latter for a path with a null character
        reason = getattr(error, "strerror", None) or error
        where = repr(str(path))[1:-1]
        where = where if len(where) <= _LONGEST_PATH else f"{where[: _LONGEST_PATH - 1]}…"
        raise ProjectError(
            f"cannot be read ({reason})", where=where, cure="Check the path and its permissions."
        ) from None
    return parse_yaml(text, where=str(path), empty=empty)
