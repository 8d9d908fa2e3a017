"""What pydantic found wrong with a file, as sentences that name the key, the value and the cure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tiltyard.errors import did_you_mean
from tiltyard.project.meanings import meanings


@dataclass(frozen=True)
class _Problem:
    """One finding of pydantic, placed in the file as the user wrote it.

    Attributes:
        path: Keys from the top of the file to the value.
        kind: pydantic's name of the rule that was broken.
        message: pydantic's words.
        value: What stands there.
        context: Values of the rule, such as its bound.
        section: The model that the last key belongs to, when it is known.
        field: The declared key that the value stands under, itself or in a list or mapping.
        meaning: What that key means; empty when nobody has written it down.
    """

    path: tuple[str, ...]
    kind: str
    message: str
    value: Any
    context: Mapping[str, Any]
    section: type[BaseModel] | None
    field: FieldInfo | None
    meaning: str

    @property
    def key(self) -> str:
        return ".".join(self.path)


def explain(error: ValidationError, model: type[BaseModel], content: object) -> str:
    """Say everything that is wrong with a file.

    Args:
        error: What pydantic found.
        model: The model the file should be.
        content: The file's content, as mappings, lists and scalars.

    Returns:
        One sentence a problem, joined by semicolons, without the final stop.
    """
    places: dict[str, list[_Problem]] = {}
    for details in error.errors(include_url=False):
        problem = _place(details, model, content)
        places.setdefault(problem.key, []).append(problem)
    dropped = {key for key in places if any(other.startswith(f"{key}.") for other in places)}
    sentences = [_sentence(problems) for key, problems in places.items() if not key or key not in dropped]
    return "; ".join(dict.fromkeys(sentences))


def _place(details: Any, model: type[BaseModel], content: object) -> _Problem:
    """Find the keys, as the user wrote them, that a finding is about.

    pydantic puts the name of the union's branch between the keys; a part that is no key of the content is one.
    """
    path: list[str] = []
    sections: Sequence[type[BaseModel]] = [model]
    owner: type[BaseModel] | None = model
    field: FieldInfo | None = None
    meaning = ""
    last = len(details["loc"]) - 1
    for position, part in enumerate(details["loc"]):
        inside, content = _step(content, part)
        if inside or (details["type"] == "missing" and position == last):
            path.append(str(part))
            owner = _owner(sections, str(part))
            if owner is not None and str(part) in owner.model_fields:
                field, meaning = owner.model_fields[str(part)], meanings(owner).get(str(part), "")
            sections = _sections_below(sections, str(part))
        else:
            sections = [section for section in sections if _is_branch(section, str(part))] or sections
    return _Problem(
        path=tuple(path),
        kind=details["type"],
        message=str(details["msg"]).removeprefix("Value error, ").rstrip("."),
        value=details["input"],
        context=details.get("ctx", {}),
        section=owner,
        field=field,
        meaning=meaning,
    )


def _owner(sections: Sequence[type[BaseModel]], key: str) -> type[BaseModel] | None:
    """Return the model that declares a key, else the one it would have to be declared in."""
    declaring = [section for section in sections if key in section.model_fields]
    return next(iter([*declaring, *sections]), None)


def _step(content: object, part: str | int) -> tuple[bool, object]:
    """Return whether `part` is a key of the content, and what stands there (the content itself if not)."""
    if isinstance(content, Mapping) and part in content:
        return True, content[part]
    if isinstance(content, Sequence) and not isinstance(content, str) and isinstance(part, int):
        return True, content[part]
    return False, content


def _sections_below(sections: Sequence[type[BaseModel]], key: str) -> list[type[BaseModel]]:
    """Return the models that may stand under a key; for a mapping or list, those of its values."""
    found = [section.model_fields[key].annotation for section in sections if key in section.model_fields]
    if not found:
        return list(sections)
    return [model for annotation in found for model in _models_in(annotation)]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _is_branch(section: type[BaseModel], name: str) -> bool:
    """Whether pydantic calls this model's branch of a union by `name`: its class, or its tag `kind`."""
    kind = section.model_fields.get("kind")
    return section.__name__ == name or (kind is not None and kind.default == name)


def _sentence(problems: list[_Problem]) -> str:
    """Say what is wrong at one place; the branches of a union report one problem each."""
    first = problems[0]
    if len(problems) > 1 and not all(problem.kind == "value_error" for problem in problems):
        return f"`{first.key}: {_short(first.value)}` is not allowed here; {_allowed(problems)}"
    speaker = _SPEAKERS.get(first.kind)
    if speaker is not None:
        return speaker(first)
    return f"`{first.key}: {_short(first.value)}` {_rule(first)}{_meaning(first)}"


def _rule(problem: _Problem) -> str:
    """Say a rule in plain words."""
    noun = _NOUNS.get(problem.kind)
    if noun is not None:
        return f"must be {noun}"
    return _lower(problem.message).replace("input should", "must", 1)


def _allowed(problems: list[_Problem]) -> str:
    """List what the branches of a union would take."""
    words = []
    for problem in problems:
        if problem.kind == "literal_error":
            words += re.findall(r"'([^']*)'", str(problem.context["expected"]))
        elif problem.kind in _NOUNS:
            words.append(_NOUNS[problem.kind])
    return f"it takes {' or '.join(dict.fromkeys(words))}" if words else _lower(problems[0].message)


_NOUNS = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "a text, in quotes if need be",
    "bool_type": "true or false",
    "model_type": "keys of its own",
    "model_attributes_type": "keys of its own",
}


def _unknown_key(problem: _Problem) -> str:
    parent = f" of `{'.'.join(problem.path[:-1])}`" if len(problem.path) > 1 else " here"
    known = list(problem.section.model_fields) if problem.section else []
    return f"`{problem.path[-1]}` is not a key{parent}; {_suggest(problem.path[-1], known)}"


def _missing_key(problem: _Problem) -> str:
    return f"`{problem.key}` is missing{_meaning(problem)}"


def _unknown_word(problem: _Problem) -> str:
    known = re.findall(r"'([^']*)'", str(problem.context["expected"]))
    return f"`{problem.key}: {_short(problem.value)}` is not known; {_suggest(str(problem.value), known)}"


def _no_tag(problem: _Problem) -> str:
    return f"`{problem.key}` does not say its `kind`; {_suggest('', _tags(problem))}"


def _wrong_tag(problem: _Problem) -> str:
    tag = str(problem.context["tag"])
    known = re.findall(r"'([^']*)'", str(problem.context["expected_tags"]))
    return f"`{problem.key}.kind: {tag}` is not known; {_suggest(tag, known)}"


def _no_list(problem: _Problem) -> str:
    sample = problem.value if isinstance(problem.value, str | int | float) else "…"
    return f"`{problem.key}: {_short(problem.value)}` must be a list, as in `{problem.path[-1]}: [{sample}]`"


def _no_section(problem: _Problem) -> str:
    below = _sections_below([problem.section], problem.path[-1]) if problem.section and problem.path else []
    keys = [name for section in below[:1] for name in section.model_fields]
    hint = f", such as `{keys[0]}`" if keys else ""
    return f"`{problem.key}: {_short(problem.value)}` must hold keys of its own{hint}"


def _own_words(problem: _Problem) -> str:
    """Our own validators write whole sentences; add the key where they leave it out."""
    named = not problem.path or problem.path[-1] in problem.message
    return problem.message if named else f"`{problem.key}`: {problem.message}"


def _pattern(problem: _Problem) -> str:
    return f"`{problem.key}: {_short(problem.value)}` is not written as it must be{_meaning(problem)}"


_SPEAKERS = {
    "extra_forbidden": _unknown_key,
    "missing": _missing_key,
    "enum": _unknown_word,
    "literal_error": _unknown_word,
    "union_tag_not_found": _no_tag,
    "union_tag_invalid": _wrong_tag,
    "tuple_type": _no_list,
    "list_type": _no_list,
    "dict_type": _no_section,
    "model_type": _no_section,
    "model_attributes_type": _no_section,
    "value_error": _own_words,
    "string_pattern_mismatch": _pattern,
}


def _tags(problem: _Problem) -> list[str]:
    annotation = problem.field.annotation if problem.field else None
    return [str(model.model_fields["kind"].default) for model in _models_in(annotation) if "kind" in model.model_fields]


def _suggest(word: str, known: Sequence[str]) -> str:
    sentence = did_you_mean(word, known).rstrip(".")
    return sentence[0].lower() + sentence[1:]


def _meaning(problem: _Problem) -> str:
    """The key's documentation, which says what to write."""
    text = " ".join(problem.meaning.split())
    return f" ({_lower(text).rstrip('.')})" if text else ""


def _lower(text: str) -> str:
    return text if text[:1] == "`" or text[1:2].isupper() else text[:1].lower() + text[1:]


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
