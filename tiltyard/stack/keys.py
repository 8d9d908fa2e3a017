"""The secrets that the parts of one stack share: made once a home, readable by its owner only."""

import base64
import os
import secrets
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from tiltyard.errors import StackError
from tiltyard.project.section import Section

_FILE = "secrets.json"


class Keys(Section):
    """What MLflow and the model server need to trust each other's messages.

    Attributes:
        webhook: Secret that signs MLflow's webhooks.
        fernet: Key under which MLflow keeps that secret in its database.
    """

    webhook: Annotated[str, Field(repr=False)]
    fernet: Annotated[str, Field(repr=False)]


def keys_of(folder: Path) -> Keys:
    """Return the secrets of a stack, made when there are none yet.

    Args:
        folder: Folder of the stack's own files.

    Raises:
        StackError: The file is damaged.
        OSError: The folder cannot be written.
    """
    file = folder / _FILE
    try:
        return Keys.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return _make(file)
    except ValidationError:
        cure = "Remove the file: new secrets are made; webhooks registered in MLflow under the old ones must go too."
        raise StackError("is damaged", where=str(file), cure=cure) from None


def _make(file: Path) -> Keys:
    keys = Keys(webhook=secrets.token_urlsafe(32), fernet=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    draft = file.with_suffix(".part")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(keys.model_dump_json())
    draft.replace(file)
    return keys
