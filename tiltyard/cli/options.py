"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ProjectOption = Annotated[
    Path,
    typer.Option("--project", "-p", help="Project file, or the folder that holds tiltyard.yaml.", show_default="here"),
]
ProjectsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--project",
        "-p",
        help="Project file, or the folder that holds tiltyard.yaml; again for each further one (with TILTYARD_HOME).",
        show_default="here",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document for machines.")]

HERE = Path()
