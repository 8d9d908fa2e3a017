"""What the keys of a section mean: the texts below them in its source, read only when somebody asks.

pydantic would read them whenever a section is made, which takes as long as all else that it does at a start.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

from pydantic import BaseModel


@cache
def meanings(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the texts by key, those of the model's bases included; keys without a text are left out.

    Args:
        model: The section.
    """
    bases = [base for base in reversed(model.__mro__) if issubclass(base, BaseModel) and base is not BaseModel]
    return MappingProxyType({key: text for base in bases for key, text in _texts(base)})


def _texts(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    try:
        source = textwrap.dedent(inspect.getsource(model))
    except (OSError, TypeError):  # there is no source, as in a package of compiled files alone
        return
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    for key, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name) and isinstance(text, ast.Expr):
            value = text.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield key.target.id, inspect.cleandoc(value.value)
