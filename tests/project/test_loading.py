"""Good project files: what is written is what is read."""

import string
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tiltyard.errors import ProjectError
from tiltyard.project.gates import GatesSection
from tiltyard.project.loading import digest, load_project, parse_model
from tiltyard.project.metrics import DEFAULT_METRIC, METRICS, Task, metrics_of
from tiltyard.project.model import (
    FAMILIES,
    CsvSource,
    DataSection,
    ParquetSource,
    Project,
    SearchSection,
    SplitSection,
    TaskSection,
)
from tiltyard.project.yamlfile import dump_yaml, parse_yaml

SMALL = {"name": "churn", "task": {"kind": "binary"}, "data": {"source": "a.csv", "target": "y"}}

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
shares = st.floats(0.05, 0.29)


@st.composite
def projects(draw: st.DrawFn) -> Project:
    """Any valid project of moderate size."""
    task = draw(st.sampled_from(list(Task)))
    target, *others = draw(st.lists(words, min_size=4, max_size=8, unique=True))
    metric = draw(st.sampled_from([metric.name for metric in metrics_of(task)]) | st.none())
    positive = draw(words | st.integers() | st.booleans() | st.none()) if task is Task.BINARY else None
    return Project(
        name=draw(st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True)),
        purpose=draw(st.text(string.printable, max_size=40)),
        task=TaskSection(kind=task, positive=positive),
        data=DataSection(
            source=draw(
                st.builds(CsvSource, path=words, skip_rows=st.integers(0, 9)) | st.builds(ParquetSource, path=words)
            ),
            target=target,
            drop=tuple(others[:2]),
            ids=tuple(others[2:]),
            missing=tuple(draw(st.lists(words, max_size=3))),
        ),
        split=SplitSection(test=draw(shares), validation=draw(shares), seed=draw(st.integers(0, 2**31))),
        search=SearchSection(families=tuple(draw(st.lists(st.sampled_from(FAMILIES), max_size=3))), metric=metric),
        gates=GatesSection(floors={metric: draw(st.floats(0, 1))} if metric else {}),
    )


def _refusal(call: Callable[[], object]) -> str | None:
    """What a call is refused with; any other exception fails the test."""
    try:
        call()
    except ProjectError as error:
        return str(error)
    return None


@given(projects())
def test_a_project_survives_yaml(project: Project) -> None:
    text = dump_yaml(project.model_dump(mode="json"))
    again = parse_model(Project, parse_yaml(text, where="f"), where="f")
    assert again == project
    assert digest(again) == digest(project)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | words,
        lambda x: st.lists(x) | st.dictionaries(words, x),
    )
)
def test_any_content_is_a_project_or_a_sentence(content: object) -> None:
    for top in ("data", "search", "gates", "split", "task", "name"):
        mapping = {**SMALL, top: content}
        message = _refusal(partial(parse_model, Project, mapping, where="tiltyard.yaml"))
        assert message is None or "`" in message
        assert "pydantic" not in (message or "")


@given(st.text(max_size=60))
def test_any_text_is_a_mapping_or_a_project_error(text: str) -> None:
    message = _refusal(lambda: parse_yaml(text, where="f"))
    assert message is None or message.startswith("f:")


numerals = st.text("0123456789.eE+-_:oxyn", min_size=1, max_size=6)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | numerals


@given(st.dictionaries(words | numerals, st.recursive(scalars | words | st.text(max_size=20), st.lists, max_leaves=5)))
@example({"0": "\x85", "\u2028": "a\u2029b"})
def test_whatever_is_written_is_read_back(content: dict[str, object]) -> None:
    content = {"first": 1, **content}
    assert parse_yaml(dump_yaml(content), where="f") == content


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("true", True),
        ("1e-5", 1e-5),
        ("-2.5E+3", -2500.0),
        (".5", 0.5),
        ("010", 10),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2024-02-30x", "2024-02-30x"),
        ("~", None),
    ],
)
def test_scalars_mean_what_people_mean(text: str, value: object) -> None:
    read = parse_yaml(f"key: {text}", where="f")["key"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("path", "kind"), [("a.csv", "csv"), ("b.parquet", "parquet"), ("c/*.pq", "parquet"), ("d/", "csv")]
)
def test_a_plain_path_is_a_source(path: str, kind: str) -> None:
    data = DataSection.model_validate({"source": path, "target": "y"})
    assert data.source.kind == kind


def test_the_file_may_be_named_by_its_folder_and_have_a_bom(tmp_path: Path) -> None:
    (tmp_path / "tiltyard.yaml").write_text(yaml.safe_dump(SMALL), encoding="utf-8-sig")
    assert load_project(tmp_path) == load_project(tmp_path / "tiltyard.yaml")


def test_defaults_follow_the_task_and_the_data() -> None:
    project = parse_model(Project, SMALL, where="f")
    assert project.search.wall_seconds == 60
    assert (project.search_metric, project.gate_metric, project.split_method) == ("roc_auc", "roc_auc", "stratified")
    for change, method in [({"time": "t"}, "time"), ({"group": "g"}, "group"), ({"time": "t", "group": "g"}, "time")]:
        data = {"source": "a.csv", "target": "y", **change}
        assert parse_model(Project, {**SMALL, "data": data}, where="f").split_method == method
    assert parse_model(Project, {**SMALL, "split": {"column": "p"}}, where="f").split_method == "column"
    assert parse_model(Project, {**SMALL, "task": {"kind": "regression"}}, where="f").split_method == "random"


def test_every_task_has_a_default_metric_that_fits_it() -> None:
    for task in Task:
        assert task in METRICS[DEFAULT_METRIC[task]].tasks


def test_digest_changes_with_the_content() -> None:
    one = parse_model(Project, SMALL, where="f")
    other = parse_model(Project, {**SMALL, "purpose": "x"}, where="f")
    assert digest(one) != digest(other)
    assert digest((one, other)) != digest((other, one))
