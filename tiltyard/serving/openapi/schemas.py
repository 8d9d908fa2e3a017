"""JSON Schemas of a model's rows and answers, made from its contract.

A schema says what is read, not only what is usual: numbers written as text and the spellings of a missing value are
part of it. What a contract merely notes, ranges and levels, stands in descriptions and examples and refuses nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tiltyard.data.contract import Column, Contract, Kind, Level
from tiltyard.data.protection import raw_column
from tiltyard.data.values import FALSE_TEXTS, TRUE_TEXTS, TextRules, rules_of

Schema = dict[str, Any]

MOST_EXAMPLES = 10
_INT64 = 2**63
_EXPONENT = "(?:[eE][+-]?[0-9]+)?"
_SEEN = {
    Kind.NUMBER: 1.5,
    Kind.INTEGER: 3,
    Kind.BOOLEAN: True,
    Kind.CATEGORY: "a level",
    Kind.TEXT: "some words",
    Kind.TIME: "2026-01-31T13:45:00Z",
}


def row_schema(contract: Contract) -> Schema:
    """Return the schema of a row as an object: the features by name, others let pass and noted."""
    features = contract.features
    return {
        "type": "object",
        "properties": {column.name: value_schema(column, contract) for column in features},
        "required": [column.name for column in features if not column.nullable],
        "additionalProperties": True,
        "description": "Column → value. A key that is left out is a missing value.",
    }


def list_schema(contract: Contract) -> Schema:
    """Return the schema of a row as a list: one value a feature, in the contract's order."""
    features = contract.features
    return {
        "type": "array",
        "prefixItems": [value_schema(column, contract) for column in features],
        "minItems": len(features),
        "maxItems": len(features),
        "description": f"One value each, in this order: {', '.join(column.name for column in features)}.",
    }


def value_schema(column: Column, contract: Contract) -> Schema:
    """Return the schema of one column's raw value; a protected column is sent in the clear."""
    raw, rules = raw_column(column), rules_of(contract)
    variants = list(_VARIANTS[raw.kind](raw, rules))
    if column.nullable:
        spellings = {"enum": sorted(rules.missing), "description": "Spellings of a missing value."}
        variants += [{"type": "null"}, spellings, _pattern(r"\s*", "Nothing but spaces: missing, too.")]
    schema: Schema = {"title": column.name, "anyOf": variants}
    words = _words(raw, column)
    return {**schema, "description": words, "examples": list(example_values(column))}


def example_row(contract: Contract) -> dict[str, object]:
    """Return a row that is answered."""
    return {column.name: next(iter(example_values(column))) for column in contract.features}


def example_values(column: Column) -> Sequence[object]:
    """Return values of a column, the usual ones first."""
    raw = raw_column(column)
    if raw.levels:
        return raw.levels[:MOST_EXAMPLES]
    if raw.minimum is not None or raw.maximum is not None:
        bounds = [bound for bound in (raw.minimum, raw.maximum) if bound is not None]
        return [_plain(bound, raw.kind) for bound in bounds]
    return [_SEEN[raw.kind]] if not raw.time_format else [None] if raw.nullable else [raw.time_format]


def label_schema(contract: Contract) -> Schema:
    """Return the schema of a label: a class in any way it can be written, or a number for a regression."""
    target, rules = contract.target, rules_of(contract)
    classes = list(contract.classes)
    if not classes or target.kind is Kind.BOOLEAN:
        return {"anyOf": _VARIANTS[target.kind](target, rules), "examples": classes or [_SEEN[target.kind]]}
    spellings = [*classes, *_as_numbers(map(str, classes)), *map(str, classes)]
    return {"enum": list({(type(one), one): one for one in spellings}.values()), "examples": classes}


def classes_schema(classes: Sequence[Level]) -> Schema:
    """Return the schema of an answered class, or of a number for a regression."""
    return {"enum": list(classes)} if classes else {"type": "number"}


def entry_schema(classes: Sequence[Level], keys: Sequence[str]) -> Schema:
    """Return the schema of one row's answer."""
    properties: Schema = {"prediction": classes_schema(classes)}
    if classes:
        shares = {key: {"type": "number", "minimum": 0} for key in keys}
        properties["probabilities"] = closed(shares)
    return closed(properties)


def closed(properties: Mapping[str, Schema]) -> Schema:
    """Return the schema of an object with exactly these keys."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _numbers(_: Column, rules: TextRules) -> list[Schema]:
    whole = rules.pattern.removesuffix(_EXPONENT).replace("[0-9]+", "[0-9]{1,15}").replace("[0-9]*", "[0-9]{0,15}")
    return [{"type": "number"}, _pattern(f"{whole}(?:[eE][+-]?[0-9]{{1,2}})?", f"Read as a number: {rules.example}.")]


def _integers(_: Column, rules: TextRules) -> list[Schema]:
    bounded = {"type": "integer", "minimum": -_INT64, "maximum": _INT64 - 1}
    return [bounded, _pattern("[+-]?[0-9]{1,18}", f"Read as an integer; numbers are written like {rules.example}.")]


def _booleans(_: Column, __: TextRules) -> list[Schema]:
    texts = sorted(TRUE_TEXTS | FALSE_TEXTS)
    spellings = dict.fromkeys(spelt for text in texts for spelt in (text, text.upper(), text.capitalize()))
    return [{"type": "boolean"}, {"enum": [0, 1]}, {"enum": list(spellings)}]


def _words_of(column: Column, rules: TextRules) -> list[Schema]:
    if column.kind is Kind.CATEGORY and column.new_levels == "refuse" and column.levels:
        numbers = [
            int(level) for level in column.levels if level.isascii() and level.isdecimal() and str(int(level)) == level
        ]
        return [{"enum": [*column.levels, *numbers]}]
    present: Schema = {"type": "string", "pattern": r"\S", "not": {"enum": sorted(rules.missing)}}
    return [present, {"type": "number"}, {"type": "boolean"}]


def _as_numbers(texts: Iterable[str]) -> list[int]:
    """Return the numbers that some texts are, for a level is the same as number and as text."""
    return [int(text) for text in texts if text.isascii() and text.isdecimal() and str(int(text)) == text]


def _times(column: Column, _: TextRules) -> list[Schema]:
    if column.time_format:
        return [{"type": "string", "description": f"A time written like {column.time_format}."}]
    return [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]


_VARIANTS: Mapping[Kind, Callable[[Column, TextRules], list[Schema]]] = {
    Kind.NUMBER: _numbers,
    Kind.INTEGER: _integers,
    Kind.BOOLEAN: _booleans,
    Kind.CATEGORY: _words_of,
    Kind.TEXT: _words_of,
    Kind.TIME: _times,
}


def _pattern(pattern: str, description: str) -> Schema:
    return {"type": "string", "pattern": f"^{pattern}$", "description": description}


def _words(raw: Column, column: Column) -> str:
    """Describe a column in a sentence or two."""
    said = [f"A {raw.kind}{', may be missing' if column.nullable else ''}."]
    if raw.minimum is not None or raw.maximum is not None:
        low, high = ("…" if bound is None else f"{bound:.15g}" for bound in (raw.minimum, raw.maximum))
        said.append(f"In training from {low} to {high}; another number is answered and noted.")
    if raw.kind is Kind.CATEGORY and raw.levels:
        shown = ", ".join(raw.levels[:MOST_EXAMPLES]) + (", …" if len(raw.levels) > MOST_EXAMPLES else "")
        new = "is refused" if raw.new_levels == "refuse" else "is answered as unknown and noted"
        said.append(f"Levels: {shown}; a new one {new}.")
    if raw.time_format:
        said.append(f"Written like {raw.time_format}.")
    if column.protection is not None:
        said.append("Sent in the clear and protected before anything else sees it.")
    return " ".join(said)


def _plain(bound: float, kind: Kind) -> float | int:
    return int(bound) if kind is Kind.INTEGER and bound.is_integer() else bound
