"""The pages say what is true: references are up to date, links lead somewhere, every command is documented."""

import re
import subprocess
from pathlib import Path

import pytest

from docs.generate import PAGES
from tiltyard import errors
from tiltyard.cli.reference import EXIT_CODES, command_names
from tiltyard.errors import TiltyardError
from tiltyard.project.environment import Environment

HOUSE = Path(__file__).parents[2]
MARKDOWN = [HOUSE / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
MARKDOWN += sorted((HOUSE / "docs").rglob("*.md"))
README = (HOUSE / "README.md").read_text(encoding="utf-8")
GUIDE = (HOUSE / "docs" / "guide.md").read_text(encoding="utf-8")


def _name(file: Path) -> str:
    return file.relative_to(HOUSE).as_posix()


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_up_to_date(name: str) -> None:
    written = (HOUSE / "docs" / name).read_text(encoding="utf-8")
    assert PAGES[name]() == written, f"docs/{name} is behind; run `make docs`"


@pytest.mark.parametrize("name", command_names())
def test_every_command_is_in_the_guide_or_the_readme_and_has_examples(name: str) -> None:
    assert f"tiltyard {name}" in GUIDE + README
    section = PAGES["cli.md"]().partition(f"## `tiltyard {name}`")[2].partition("\n## ")[0]
    assert "Examples:" in section
    assert f"    tiltyard {name}" in section


def test_every_option_has_help() -> None:
    for line in PAGES["cli.md"]().splitlines():
        if re.match(r"  (?:-\w, )?--[\w-]+", line):
            words = re.split(r"\s{2,}", line.strip(), maxsplit=1)
            assert len(words) == 2 or len(line) > 25, line


def test_every_exit_code_is_documented() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TiltyardError)]
    assert {kind.exit_code for kind in kinds} <= set(EXIT_CODES)


def test_every_variable_of_the_environment_is_in_the_guide() -> None:
    for name, field in Environment.model_fields.items():
        variable = field.validation_alias or f"TILTYARD_{name.upper()}"
        assert f"`{variable}`" in GUIDE


@pytest.mark.parametrize("file", MARKDOWN, ids=_name)
def test_links_lead_somewhere(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        page = (file.parent / path).resolve() if path else file
        assert page.exists(), target
        headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert not anchor or anchor in slugs, target


@pytest.mark.parametrize("file", MARKDOWN, ids=_name)
def test_pages_name_files_that_are_there(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    named = re.findall(r"`((?:tiltyard|flows|tasks|tests|docs)/[\w/]+\.\w+)`", text)
    missing = [name for name in named if not (HOUSE / name).exists()]
    assert missing == []


def test_the_architecture_names_modules_that_are_there() -> None:
    text = (HOUSE / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z]+/\w+\.py)`", text)
    assert named
    missing = [name for name in named if not any((HOUSE / top / name).exists() for top in ("", "tiltyard"))]
    assert missing == []


def test_every_room_is_in_the_architecture() -> None:
    text = (HOUSE / "docs" / "architecture.md").read_text(encoding="utf-8")
    for folder in (HOUSE / "tiltyard").iterdir():
        if (folder / "__init__.py").exists():
            assert f"`tiltyard/{folder.name}/`" in text


def test_every_decision_is_in_the_list() -> None:
    folder = HOUSE / "docs" / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    for page in folder.glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in listed


def test_the_front_door_and_the_rules_are_short() -> None:
    assert len(README.splitlines()) <= 150
    assert len((HOUSE / "CONTRIBUTING.md").read_text(encoding="utf-8").split()) <= 500


def test_every_verb_that_is_written_down_is_in_the_makefile() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (HOUSE / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wanted = {"install", "format", "check", "test", "test-all", "docs", "bench", "demo", "up", "down"}
    assert wanted <= verbs
    for page in MARKDOWN:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"`make ([a-z-]+)", text) + re.findall(r"^(?: {4})?make ([a-z-]+)", text, re.MULTILINE)
        assert set(named) <= verbs, page


@pytest.mark.parametrize("verb", ["install", "format", "check", "test", "test-all", "docs", "bench", "demo", "down"])
def test_every_verb_can_be_planned(verb: str) -> None:
    done = subprocess.run(["make", "-n", verb], cwd=HOUSE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
