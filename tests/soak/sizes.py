"""How long the soak tests run: short by default, as long as asked for by the environment."""

import os


def size(name: str, default: int) -> int:
    """Return a size, `TILTYARD_SOAK_<NAME>` when it is set."""
    return int(os.environ.get(f"TILTYARD_SOAK_{name}", default))
