"""From a YAML file to a project, or to one sentence that says which key is wrong and how to mend it."""

import hashlib
import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tiltyard.errors import ProjectError, did_you_mean
from tiltyard.project.model import Project

PROJECT_FILE = "tiltyard.yaml"

M = TypeVar("M", bound=BaseModel)


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, refusing a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping; a repeated key is an error."""
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key `{key}` stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        ProjectError: The file is missing, unreadable or not such a mapping; says where.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProjectError(
            "there is no such file", where=str(path), cure="Write one with `tiltyard init TABLE --target COLUMN`."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"cannot be read ({error})", where=str(path)) from error
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506  # a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ProjectError(f"not valid YAML: {error.problem}", where=f"{path}{line}") from error
    except yaml.YAMLError as error:
        raise ProjectError(f"not valid YAML: {error}", where=str(path)) from error
    if not isinstance(content, dict):
        raise ProjectError("holds no keys", where=str(path), cure="Its first line should be `name: …`.")
    return content


def parse_model(model: type[M], content: dict[str, Any], *, where: str) -> M:
    """Validate a mapping as `model`.

    Args:
        model: The pydantic model to build.
        content: Mapping as read from YAML or JSON.
        where: Name of the file, for the error.

    Raises:
        ProjectError: With one sentence a problem: the key, the value, and the near miss or what is allowed.
    """
    try:
        return model.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        problems = [_explain(problem, model) for problem in error.errors(include_url=False)]
        raise ProjectError("; ".join(dict.fromkeys(problems)), where=where) from error


def _explain(problem: Any, model: type[BaseModel]) -> str:
    """Turn one pydantic problem into a sentence."""
    location = [part for part in problem["loc"] if not (isinstance(part, str) and part in _TAGS)]
    key = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        section = _section_at(model, location[:-1])
        known = list(section.model_fields) if section else []
        parent = f" under `{'.'.join(map(str, location[:-1]))}`" if len(location) > 1 else ""
        return f"`{location[-1]}` is not a key{parent} here; {did_you_mean(str(location[-1]), known)[:-1]}"
    if problem["type"] == "missing":
        return f"`{key}` is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not key or problem["type"] == "value_error":
        return message.rstrip(".")
    return f"`{key}: {_short(problem['input'])}`: {message[0].lower()}{message[1:]}"


_TAGS = frozenset({"csv", "parquet", "sql", "sklearn", "python"})


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _section_at(model: type[BaseModel], path: list[Any]) -> type[BaseModel] | None:
    """Return the model that stands at a path of keys, when there is exactly one."""
    for part in path:
        field = model.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return None
        model = field.annotation
    return model


def load_project(path: Path) -> Project:
    """Load and validate a project file.

    Args:
        path: The file, or the folder that holds `tiltyard.yaml`.

    Raises:
        ProjectError: The file is missing or wrong; names the key and the cure.
    """
    file = path / PROJECT_FILE if path.is_dir() else path
    return parse_model(Project, read_yaml(file), where=str(file))


def project_schema() -> dict[str, Any]:
    """Return the JSON Schema of the project file."""
    return Project.model_json_schema()


def digest(model: BaseModel | tuple[BaseModel, ...]) -> str:
    """Return 16 hex digits that change when, and only when, the content changes."""
    parts = model if isinstance(model, tuple) else (model,)
    content = json.dumps([part.model_dump(mode="json") for part in parts], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
