"""The laws of the house: who may import whom, light packages, small modules, a lock without hosts."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).parents[1]
CODE = [file for room in ("tiltyard", "flows", "tasks") for file in sorted((HOUSE / room).rglob("*.py"))]
LONGEST_MODULE = 400
LONGEST_FUNCTION = 50
HEAVY = (
    "mlflow",
    "prefect",
    "sklearn",
    "pandas",
    "numpy",
    "optuna",
    "onnx",
    "onnxruntime",
    "skl2onnx",
    "boto3",
    "rich",
)

DEFERRED = {
    "tiltyard/serving/protocols/frames.py:from_parquet",
    "tiltyard/bundle/runtime.py:_onnxruntime",
    "tiltyard/project/addresses.py:alive",
    "tiltyard/steps/monitoring_pages.py:_report",
}
"""Functions that import as late as they can: few servers are ever sent a Parquet body, and Arrow takes 40 MB a worker;
linear models need no onnxruntime, which takes 25; where no stack is up, psutil would cost every start 30 ms; and
Evidently, which takes seconds, is needed by a check alone, and not where its flow is deployed."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _name(file: Path) -> str:
    return file.relative_to(HOUSE).as_posix()


def _contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))
    contracts: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return contracts


def _functions(file: Path) -> Iterator[Function]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def _length(function: Function) -> int:
    """Lines of a function without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or function.lineno) - body[0].lineno + 1 if body else 0


def test_the_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_is_named_in_the_contracts() -> None:
    layers = " ".join(next(contract for contract in _contracts() if contract["type"] == "layers")["layers"])
    rooms = {folder.name for folder in (HOUSE / "tiltyard").iterdir() if (folder / "__init__.py").exists()}
    assert rooms
    for room in rooms:
        assert f"tiltyard.{room}" in layers.split()


def test_every_room_keeps_the_one_library_law() -> None:
    rooms = {
        f"tiltyard.{folder.name}" for folder in (HOUSE / "tiltyard").iterdir() if (folder / "__init__.py").exists()
    }
    rooms |= {"flows", "tasks"}
    for contract in _contracts():
        named = set(contract.get("source_modules", ()))
        if "only in" in contract["name"] and "tiltyard" not in named:
            owners = contract["name"].partition("only in ")[2].split(" and ")
            assert rooms - named == {f"tiltyard.{owner}" for owner in owners}, contract["name"]


@pytest.mark.parametrize("file", [file for file in CODE if file.name == "__init__.py"], ids=_name)
def test_a_package_says_what_it_is_and_imports_nothing_heavy(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imports = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert set(imports) <= sys.stdlib_module_names


def test_only_the_command_line_and_what_is_named_here_imports_inside_functions() -> None:
    deferred = [
        f"{_name(file)}:{node.lineno}"
        for file in CODE
        if "cli" not in file.relative_to(HOUSE).parts
        for function in _functions(file)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom) and f"{_name(file)}:{function.name}" not in DEFERRED
    ]
    assert deferred == []


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["--version"], ["init", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        f"import sys\nfrom tiltyard.cli.app import main\nassert main({words}) == 0\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HOUSE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_modules_are_small() -> None:
    long = {_name(file): lines for file in CODE if (lines := len(file.read_text().splitlines())) > LONGEST_MODULE}
    assert long == {}


def test_functions_are_small() -> None:
    long = {
        f"{_name(file)}:{function.name}": length
        for file in CODE
        for function in _functions(file)
        if (length := _length(function)) > LONGEST_FUNCTION
    }
    assert long == {}


def test_the_folder_mlflow_is_never_python() -> None:
    assert list((HOUSE / "mlflow").rglob("*.py")) == []
    assert list((HOUSE / "tests").rglob("__init__.py")) == []


def test_the_lock_is_hashed_and_names_no_host() -> None:
    lines = (HOUSE / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "://" in line or "--index" in line or "--find-links" in line]
    pins = [number for number, line in enumerate(lines) if line and not line.startswith((" ", "#"))]
    assert pins
    for number in pins:
        assert "==" in lines[number]
        assert lines[number + 1].strip().startswith("--hash=sha256:")


def test_the_lock_pins_what_the_project_asks_for() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["dev"]
    locked = {
        line.partition("==")[0] for line in (HOUSE / "requirements.lock").read_text().splitlines() if "==" in line
    }
    names = {
        "".join(letter if letter.isalnum() or letter in "-_." else " " for letter in text).split()[0] for text in asked
    }
    assert {name.lower().replace("_", "-").replace(".", "-") for name in names} <= locked


def test_the_version_is_one() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module = (HOUSE / "tiltyard" / "__init__.py").read_text(encoding="utf-8")
    assert f'__version__ = "{project["version"]}"' in module
    assert f"## {project['version']}" in (HOUSE / "CHANGELOG.md").read_text(encoding="utf-8")
