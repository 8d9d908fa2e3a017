"""The document says what the server does: every example is answered, and schemathesis finds nothing to say."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import free_port
from tests.protocols.models import CONTRACTS, FLOWERS, STAYS, write_models
from tests.serving.servers import Server, eventually, running
from tests.strategies import contracts, tables
from tiltyard.data.contract import Column, Contract, Guard, Kind
from tiltyard.data.rows import rows_to_columns
from tiltyard.errors import DataError
from tiltyard.project.coarsening import Coarsen
from tiltyard.serving.handler import handle
from tiltyard.serving.openapi.document import document
from tiltyard.serving.openapi.schemas import example_row, list_schema, row_schema, value_schema
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Served

CONFIGURATION = """
# A schema can say neither that the data of a tensor fill its shape, that the rows of a table are as long as its header,
# nor what CSV and Parquet are, nor
# that a time is not in the future: what fits the schema there may still be refused.
[[operations]]
include-path-regex = "/(infer|invocations|feedback)$"
[operations.checks]
positive_data_acceptance.enabled = false
"""


TOKEN = "0123456789abcdef0123456789abcdef"


def posts(served: Served) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the paths that are written to, with their bodies' schemas by content type."""
    for path, item in document(served)["paths"].items():
        if "post" in item:
            yield path, {kind: told["schema"] for kind, told in item["post"]["requestBody"]["content"].items()}


def answered(served: Served, path: str, body: object) -> tuple[int, Any]:
    answer = handle(served, Request("POST", path, json.dumps(body).encode()))
    return answer.status, json.loads(answer.body)


def resolved(whole: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema beside the components that it refers to."""
    return {**schema, "components": whole["components"]}


def test_every_example_is_answered_as_described(weighing: Served) -> None:
    whole, tried = document(weighing), 0
    for path, bodies in posts(weighing):
        for example in bodies["application/json"]["examples"]:
            status, answer = answered(weighing, path, example)
            assert status in {200, 202}, (path, answer)
            told = whole["paths"][path]["post"]["responses"][str(status)]["content"]["application/json"]["schema"]
            jsonschema.validate(answer, resolved(whole, told))
            tried += 1
    assert tried == 4 * len(CONTRACTS)


def test_every_path_is_there(weighing: Served) -> None:
    for path, item in document(weighing)["paths"].items():
        for method in item if path != "/metrics" else ():
            status = handle(weighing, Request(method.upper(), path)).status
            assert str(status) in item[method]["responses"], (method, path, status)


def test_a_model_that_is_not_loaded_is_left_out(weighing: Served) -> None:
    assert not any("waiting" in path for path in document(weighing)["paths"])
    assert "/invocations" not in document(weighing)["paths"]
    alone = Served(names=("stays",), slots={"stays": weighing.slots["stays"]})
    assert "/invocations" in document(alone)["paths"]


def test_somebody_with_a_token_reads_that_one_is_needed(weighing: Served) -> None:
    secured = json.loads(handle(weighing, Request("GET", "/openapi.json", headers={b"authorization": b"x"})).body)
    assert secured["security"] == [{"bearer": []}]
    assert secured["paths"]["/health/live"]["get"]["security"] == []
    assert document(weighing)["security"] == []


def test_the_rows_of_the_tests_fit_their_schemas() -> None:
    for name, rows in (("stays", STAYS), ("flowers", FLOWERS)):
        for row in rows:
            jsonschema.validate(row, row_schema(CONTRACTS[name]))
            jsonschema.validate(list(row.values()), list_schema(CONTRACTS[name]))


@settings(max_examples=30, deadline=None)
@given(contracts().flatmap(lambda contract: st.tuples(st.just(contract), tables(contract, max_rows=2))))
def test_typed_rows_fit_the_schema(drawn: tuple[Contract, list[dict[str, Any]]]) -> None:
    contract, rows = drawn
    schema = row_schema(contract)
    jsonschema.Draft202012Validator.check_schema(schema)
    for row in rows:
        sent = json.loads(json.dumps(row, default=lambda moment: f"{moment.isoformat()}Z"))
        jsonschema.validate(sent, schema)
    rows_to_columns([example_row(contract)], contract)


VALUES: list[object] = [
    None,
    True,
    0,
    1,
    2,
    3.0,
    2.5,
    -7,
    2**63,
    -(2**63),
    1e300,
    "",
    "NA",
    " ",
    "x",
    "north",
    "7",
    "7.5",
]
VALUES += [
    "1,5",
    "1e5",
    "1e999",
    "-",
    "yes",
    "True",
    "TRUE",
    "tRuE",
    "2026-01-31",
    "2026-01-31T13:45:00Z",
    "2026",
    [],
    {},
]
VALUES += [[1], {"a": 1}]
LENIENT = {("boolean", "tRuE"), ("integer", "1e5")}


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("kind", Kind)
def test_a_schema_allows_what_is_read_and_nothing_else(kind: Kind, nullable: bool) -> None:
    contract = CONTRACTS["churn"]
    column = Column(name="age", kind=kind, nullable=nullable)
    contract = contract.model_copy(update={"columns": (column, contract.target)})
    checker = jsonschema.FormatChecker(formats=["date", "date-time"])
    validator = jsonschema.Draft202012Validator(value_schema(column, contract), format_checker=checker)
    for value in VALUES:
        try:
            rows_to_columns([{"age": value}], contract)
        except DataError:
            is_read = False
        else:
            is_read = True
        if validator.is_valid(value) != is_read:
            assert (kind.value, value) in LENIENT, (kind, value, is_read)


def test_a_column_is_described_in_words() -> None:
    contract = CONTRACTS["stays"]
    column = Column(name="age", kind=Kind.NUMBER, minimum=0.5, nullable=True)
    assert "from 0.5 to …" in value_schema(column, contract)["description"]
    column = Column(name="plan", kind=Kind.CATEGORY, levels=("1", "007", "b"), new_levels="refuse")
    schema = value_schema(column, contract)
    assert schema["anyOf"] == [{"enum": ["1", "007", "b", 1]}]
    assert "a new one is refused" in schema["description"]
    guard = Guard(method=Coarsen(coarsen=10.0), kind=Kind.TIME, time_format="%d/%m/%Y")
    column = Column(name="born", kind=Kind.NUMBER, protection=guard)
    schema = value_schema(column, contract)
    assert "Written like %d/%m/%Y" in schema["description"]
    assert "Sent in the clear" in schema["description"]


def find_fault(server: Server, folder: Path, *options: str) -> tuple[int, str]:
    """Let schemathesis look for faults; return its exit code and the end of what it says."""
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION, encoding="utf-8")
    address = f"http://127.0.0.1:{server.port}/openapi.json"
    program = str(Path(sys.executable).with_name("schemathesis"))
    command = [program, "--config-file", str(configuration), "run", address, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3600, check=False)
    return done.returncode, done.stdout[-6000:] + done.stderr[-2000:]


def test_schemathesis_finds_nothing(server: Server, tmp_path: Path) -> None:
    options = ["--max-examples", "3", "--seed", "1", "--phases", "examples,coverage,fuzzing", "--no-shrink"]
    code, said = find_fault(server, tmp_path, *options, "--exclude-path-regex", "/(churn|demand|flowers)")
    assert code == 0, said


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
def test_schemathesis_finds_nothing_for_long(server: Server, tmp_path: Path) -> None:
    code, said = find_fault(server, tmp_path, "--max-examples", "100")
    assert code == 0, said


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_schemathesis_finds_no_way_past_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILTYARD_TOKENS", f"admin:{TOKEN}")
    away = f"http://127.0.0.1:{free_port()}"
    plan = write_models(tmp_path / "models")
    with running(tmp_path / "home", names="stays", tracking_uri=away, plan=plan, poll=30.0) as server:
        eventually(server.ready)
        assert server.client.get("/openapi.json").status_code == 401
        assert server.client.get("/docs").status_code == 401
        assert server.client.get("/docs", auth=("", TOKEN)).status_code == 200
        options = ["--max-examples", "10", "-H", f"Authorization: Bearer {TOKEN}"]
        code, said = find_fault(server, tmp_path, *options)
    assert code == 0, said
