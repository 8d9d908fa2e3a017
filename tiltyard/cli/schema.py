"""`tiltyard schema`: the JSON Schema of the project file."""

import sys


def schema() -> None:
    """Print the JSON Schema of the project file, for editors and other tools.

    Examples:
      tiltyard schema > schema.json
    """
    from tiltyard.project.schema import schema_text

    sys.stdout.write(schema_text())
