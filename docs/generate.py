"""Write the generated pages of this folder again: `make docs`."""

from pathlib import Path

from tiltyard.cli import reference as command_line
from tiltyard.project import schema as project_file

PAGES = {"cli.md": command_line.reference_page, "project-file.md": project_file.reference_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (Path(__file__).parent / name).write_text(page(), encoding="utf-8")
