"""The JSON Schema and the reference page say what the models say."""

from pathlib import Path
from typing import Any

import pytest

from tiltyard.project.model import Project
from tiltyard.project.schema import editor_line, project_schema, reference_page, schema_text
from tiltyard.project.yamlfile import parse_yaml

validator_class: Any = pytest.importorskip("jsonschema").Draft202012Validator


def _errors(text: str) -> list[str]:
    validator = validator_class(project_schema())
    return [error.message for error in validator.iter_errors(parse_yaml(text, where="f"))]


def test_the_schema_takes_what_the_loader_takes() -> None:
    start = "name: churn\ntask: {kind: binary}\n"
    assert _errors(f"{start}data: {{source: a.csv, target: y}}") == []
    assert _errors(f"{start}data: {{source: {{kind: sklearn, name: iris}}, target: y}}") == []
    assert _errors(f"{start}data: {{source: {{kind: sklearn, name: irs}}, target: y}}") != []
    assert _errors(f"{start}data: {{source: a.csv, target: y}}\ngate: {{}}") != []


def test_the_schema_is_one_and_describes_every_key() -> None:
    schema = project_schema()
    validator_class.check_schema(schema)
    for name, section in schema["$defs"].items():
        for key, value in section.get("properties", {}).items():
            assert "description" in value or "$ref" in value or key == "kind", f"{name}.{key}"


def test_the_reference_names_every_key_of_every_section() -> None:
    page = reference_page()
    for section in project_schema()["$defs"].values():
        for key in section.get("properties", {}):
            assert f"| `{key}` |" in page
    for key in Project.model_fields:
        assert f"| `{key}` |" in page


def test_editors_find_the_schema(tmp_path: Path) -> None:
    project = tmp_path / "tiltyard.yaml"
    near = editor_line(tmp_path / ".tiltyard" / "schema.json", project)
    far = editor_line(Path("/elsewhere/schema.json"), project)
    assert near == "# yaml-language-server: $schema=./.tiltyard/schema.json\n"
    assert far == "# yaml-language-server: $schema=file:///elsewhere/schema.json\n"
    assert parse_yaml(near + "name: a", where="f") == {"name": "a"}
    assert schema_text().endswith("}\n")
