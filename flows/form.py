"""The form in Prefect's UI that starts a run: a flow's parameters as JSON Schema, typed as a person fills them in."""

from collections.abc import Mapping
from typing import Any

from prefect import Flow
from prefect.utilities.callables import parameter_schema

_KINDS = {"date": {"title": "Day"}, "date-time": {"title": "Moment"}}
"""Names of the kinds of time that a field offers to choose from."""


def form(
    flow: Flow[..., Any],
    *,
    fixed: Mapping[str, str],
    hints: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the schema of a flow's parameters, one plain field for each.

    A parameter that may be left out is a field that may stay empty, rather than a choice between a value and null.

    Args:
        flow: The flow; its docstring describes the fields.
        fixed: Parameters that have one value in this deployment, and that value.
        hints: Sentences to be added to the description of a field, by parameter.
    """
    schema: dict[str, Any] = parameter_schema(flow).model_dump(mode="json")
    hints = hints or {}
    fields: dict[str, dict[str, Any]] = {}
    for name, described in schema["properties"].items():
        field = _plain(described)
        field["title"] = name.replace("_", " ").capitalize()
        field["description"] = " ".join(filter(None, (field.get("description"), hints.get(name))))
        if name in fixed:
            field |= {"enum": [fixed[name]], "default": fixed[name]}
        fields[name] = field
    return {**schema, "properties": fields}


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """Let an empty field stand for null; make a choice of a switch that may stay untouched."""
    kinds = [_KINDS.get(kind.get("format"), {}) | kind for kind in field.get("anyOf", ()) if kind["type"] != "null"]
    plain = {key: value for key, value in field.items() if key != "anyOf" and not (kinds and value is None)}
    if len(kinds) == 1:
        plain |= kinds[0]
        if plain["type"] == "boolean":
            plain["enum"] = [True, False]
    elif kinds:
        plain["anyOf"] = sorted(kinds, key=lambda kind: str(kind.get("format")))
    if plain.get("format") == "path":  # of no use to a person, and the UI has no field for it
        del plain["format"]
    return plain
