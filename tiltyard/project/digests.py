"""What tells one content of a section from another."""

import hashlib
import json

from pydantic import BaseModel


def digest(model: BaseModel | tuple[BaseModel, ...]) -> str:
    """Return 16 hex digits that change when, and only when, the content changes."""
    parts = model if isinstance(model, tuple) else (model,)
    content = json.dumps([part.model_dump(mode="json") for part in parts], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
