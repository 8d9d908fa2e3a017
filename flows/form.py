"""The form in Prefect's UI that starts a run: a flow's parameters as JSON Schema, typed as a person fills them in."""

from collections.abc import Mapping
from typing import Any

from prefect import Flow
from prefect.utilities.callables import parameter_schema

_NOT_FOR_PEOPLE = {"path"}
"""Formats that only programs have a use for."""


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
    """Make one field of what may be a value or null, or a time or a date."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind.get("type") != "null"]
    rest = {key: value for key, value in field.items() if key != "anyOf" and not (kinds and value is None)}
    plain = rest | (kinds[0] if kinds else {})
    if len({kind.get("format") for kind in kinds}) > 1 or plain.get("format") in _NOT_FOR_PEOPLE:
        plain.pop("format", None)
    return plain
