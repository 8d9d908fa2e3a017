"""The project file's JSON Schema for editors, and its reference page for people; both come from the models."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema

from tiltyard.project.meanings import meanings
from tiltyard.project.model import Project
from tiltyard.project.section import Section

SCHEMA_FILE = "schema.json"

_TITLES: dict[str, str] = {
    "": "Top level",
    "CsvSource": "data.source, kind: csv",
    "ParquetSource": "data.source, kind: parquet",
    "SqlSource": "data.source, kind: sql",
    "BundledSource": "data.source, kind: sklearn",
    "CallableSource": "data.source, kind: python",
    "Coarsen": "data.protect.COLUMN, instead of `drop` or `hash`",
    "Costs": "search.threshold, instead of a metric",
}


class _WithMeanings(GenerateJsonSchema):
    """A JSON Schema whose keys say what they mean."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """Return the schema of one section."""
        found = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        for key, text in meanings(model).items():
            if key in found.get("properties", {}):
                found["properties"][key]["description"] = text
        return found


def project_schema() -> dict[str, Any]:
    """Return the JSON Schema of the project file (draft 2020-12).

    Example:
        >>> project_schema()["required"]
        ['name', 'task', 'data']
    """
    schema = Project.model_json_schema(schema_generator=_WithMeanings)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    source = schema["$defs"]["DataSection"]["properties"]["source"]
    description = source.pop("description")
    kinds = {key: source.pop(key) for key in list(source) if key != "title"}
    source |= {"anyOf": [{"type": "string"}, kinds], "description": description}
    return schema


def schema_text() -> str:
    """Return the JSON Schema as a file's content."""
    return json.dumps(project_schema(), indent=2, ensure_ascii=False) + "\n"


def editor_line(schema_file: Path, project_file: Path) -> str:
    """Return the comment by which editors find the schema and complete keys.

    Args:
        schema_file: Where `schema_text` was written.
        project_file: The project file that the comment goes into; the reference is relative where that is possible.
    """
    try:
        reference = schema_file.resolve().relative_to(project_file.resolve().parent).as_posix()
        reference = f"./{reference}"
    except ValueError:
        reference = schema_file.resolve().as_uri()
    return f"# yaml-language-server: $schema={reference}\n"


def reference_page() -> str:
    """Return the reference of the project file as Markdown."""
    parts = [_OPENING]
    for title, model in _sections():
        parts.append(f"\n## `{title}`\n" if title in Project.model_fields else f"\n## {title}\n")
        if model is not Project and model.__doc__:
            parts.append(f"\n{' '.join(model.__doc__.split())}\n")
        parts.append("\n| key | value | default | meaning |\n|---|---|---|---|\n")
        schema = model.model_json_schema()
        parts.extend(_row(name, model, schema) for name in model.model_fields)
    return "".join(parts)


_OPENING = """# The project file

`tiltyard.yaml` says what to predict, from what, and what a new model must show. It is validated once, at the door:
an unknown key or a value out of bounds stops the command with one sentence that names the key and the cure.
`name`, `task.kind`, `data.source` and `data.target` are enough; everything else has the default below.

Relative paths are relative to the project file. Where things run (addresses, buckets, secrets) is not written here but
in the environment; the [guide](guide.md#where-things-run) lists the variables. `yes`, `no`, `on` and `off` are
words here, not booleans; `true` and `false` are.

This page is written from the models by `make docs`; `tiltyard schema` prints the same as JSON Schema, for editors.
"""


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield a heading and a model for each table of the page, in the order of the file."""
    yield _TITLES[""], Project
    for name, field in Project.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield name, annotation
            yield from _nested(annotation)


def _nested(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the models that stand below the keys of a section."""
    definitions = model.model_json_schema().get("$defs", {})
    room = f"{__package__}."
    written = {child.__name__: child for child in Section.__subclasses__() if child.__module__.startswith(room)}
    for name, title in _TITLES.items():
        if name in definitions:
            yield title, written[name]


def _row(name: str, model: type[BaseModel], schema: dict[str, Any]) -> str:
    """Return one line of a table."""
    field = model.model_fields[name]
    section = field.annotation if isinstance(field.annotation, type) else None
    documented = section.__doc__ if section and issubclass(section, BaseModel) else ""
    meaning = " ".join((meanings(model).get(name) or documented or "").split()).replace("|", "\\|")
    default = "*required*" if field.is_required() else _code(field.get_default(call_default_factory=True))
    words = _words(schema["properties"][name], schema.get("$defs", {}))
    return f"| `{name}` | {words} | {default} | {meaning} |\n"


def _code(value: object) -> str:
    """Return a default as it would be written in the file; a whole section's are in its own table."""
    if value is None or isinstance(value, BaseModel):
        return ""
    return f"`{json.dumps(value)}`"


_NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}


def _words(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Say in words what a JSON Schema allows."""
    if "$ref" in schema:
        definition = definitions[schema["$ref"].rpartition("/")[2]]
        return _words(definition, definitions) if "enum" in definition else "keys, see its table"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{word}`" for word in schema.get("enum", [schema.get("const")]))
    branches = schema.get("anyOf", schema.get("oneOf"))
    if branches is not None:
        words = [_words(branch, definitions) for branch in branches if branch.get("type") != "null"]
        return "text, number or boolean" if len(words) == len(_NAMES) else " or ".join(dict.fromkeys(words))
    items = schema.get("items", schema.get("additionalProperties"))
    if isinstance(items, dict):
        return f"{_CONTAINERS[schema['type']]} {_words(items, definitions)}"
    return _NAMES.get(schema.get("type", ""), "any") + _bounds(schema)


_CONTAINERS = {"array": "list of", "object": "mapping of name to"}


def _bounds(schema: dict[str, Any]) -> str:
    """Return the limits of a number."""
    marks = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    limits = [f"{mark} {schema[key]}" for key, mark in marks.items() if key in schema]
    return f" {', '.join(limits)}" if limits else ""
