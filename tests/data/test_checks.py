"""Checks before training: each trap is named with its column, honest tables pass."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from tests.data.tables import column, contract_of, frame_of, project_of, simple_contract, simple_frame
from tiltyard.data.checks import check_table, stop_on
from tiltyard.data.contract import Contract
from tiltyard.data.findings import Finding
from tiltyard.data.formulas import find_formula
from tiltyard.errors import DataError


def found(frame: pd.DataFrame, contract: Contract, **sections: Any) -> dict[str, Finding]:
    project = project_of(contract.task.value, contract.target.name, **sections)
    return {finding.code: finding for finding in check_table(frame, contract, project)}


def test_an_honest_table_passes() -> None:
    contract = simple_contract()
    findings = check_table(simple_frame(contract), contract, project_of())
    assert findings == ()
    stop_on(findings, "strict")


def test_every_finding_is_a_sentence_with_a_cure() -> None:
    contract = simple_contract(column("c", "boolean"), column("n", "integer"))
    frame = simple_frame(contract, 100, c=[True] * 100, n=range(100))
    frame.loc[3, "y"] = None
    findings = check_table(frame, contract, project_of())
    assert {"constant_column", "id_feature", "missing_target"} <= {finding.code for finding in findings}
    for finding in findings:
        assert finding.sentence[0].isupper()
        assert finding.sentence.endswith(".")
        assert finding.cure.endswith(".")
        assert finding.count > 0


SPOILED: list[tuple[str, dict[str, Any], Callable[[pd.DataFrame], object], str]] = [
    ("missing_values", {}, lambda frame: frame.assign(a=frame["a"].where(frame.index != 7)), "row 8"),
    ("out_of_range", {"minimum": -9.0}, lambda frame: frame.assign(a=frame["a"].where(frame.index != 7, -10.0)), "-10"),
    ("out_of_range", {"maximum": 9.0}, lambda frame: frame.assign(a=frame["a"].where(frame.index != 7, 10.0)), "10"),
    ("infinite", {}, lambda frame: frame.assign(a=frame["a"].where(frame.index != 7, np.inf)), "row 8"),
    ("missing_column", {}, lambda frame: frame.drop(columns="a"), "not in the table"),
    ("kind", {}, lambda frame: frame.assign(a="text"), "kind number"),
    ("empty_column", {"nullable": True}, lambda frame: frame.assign(a=np.nan), "missing in all"),
]


@pytest.mark.parametrize(("code", "promises", "spoil", "words"), SPOILED)
def test_broken_promises_name_the_column(code: str, promises: dict[str, Any], spoil: Any, words: str) -> None:
    base = simple_contract()
    contract = contract_of(column("a", **promises), *base.columns[1:], classes=base.classes)
    finding = found(spoil(simple_frame(contract)), contract)[code]
    assert finding.column == "a"
    assert "`a`" in finding.sentence
    assert words in finding.sentence


@pytest.mark.parametrize(("policy", "level"), [("other", "warning"), ("refuse", "error")])
def test_new_levels_count_by_their_policy(policy: str, level: str) -> None:
    base = simple_contract()
    b = column("b", "category", nullable=True, levels=("u", "v"), new_levels=policy)
    contract = contract_of(base.columns[0], b, base.columns[2], classes=base.classes)
    finding = found(simple_frame(contract), contract)["new_levels"]
    assert (finding.level, finding.examples) == (level, ("`w`",))


@pytest.mark.parametrize(("share", "level", "blocking"), [(0.01, "warning", False), (0.2, "error", False)])
def test_rows_without_target_are_counted(share: float, level: str, blocking: bool) -> None:
    contract = simple_contract()
    frame = simple_frame(contract, 400)
    frame.loc[frame.index < 400 * share, "y"] = None
    finding = found(frame, contract)["missing_target"]
    assert (finding.level, finding.blocking, finding.count) == (level, blocking, 400 * share)


def test_a_target_that_is_all_missing_blocks() -> None:
    contract = simple_contract()
    frame = simple_frame(contract).assign(y=pd.array([None] * 400, dtype="string[pyarrow]"))
    assert found(frame, contract)["missing_target"].blocking


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_constant_target_blocks(task: str) -> None:
    contract = simple_contract(task=task)
    frame = simple_frame(contract)
    frame["y"] = frame["y"].iloc[0]
    frame = frame.astype({"y": simple_frame(contract)["y"].dtype})
    finding = found(frame, contract)["constant_target"]
    assert finding.blocking
    assert "nothing to learn" in finding.sentence


@pytest.mark.parametrize(("rows", "blocking"), [(19, True), (150, False)])
def test_too_few_rows(rows: int, blocking: bool) -> None:
    contract = simple_contract()
    assert found(simple_frame(contract, rows), contract)["too_few_rows"].blocking is blocking


@pytest.mark.parametrize(("members", "blocking"), [(0, True), (2, True), (5, False)])
def test_classes_with_too_few_members(members: int, blocking: bool) -> None:
    base = simple_contract(task="multiclass")
    contract = contract_of(*base.columns, task="multiclass", classes=("no", "yes", "rare"))
    frame = simple_frame(contract)
    frame.loc[frame.index < members, "y"] = "rare"
    finding = found(frame, contract)["small_class"]
    assert (finding.count, finding.blocking, finding.examples) == (members, blocking, ("`rare`",))


def test_a_class_that_the_contract_does_not_know_blocks() -> None:
    contract = simple_contract()
    frame = simple_frame(contract)
    frame.loc[frame.index < 30, "y"] = "maybe"
    assert found(frame, contract)["unknown_class"].count == 30


def test_a_regression_of_texts_blocks() -> None:
    contract = contract_of(column("a"), column("y", "category", "target"), task="regression")
    frame = frame_of(contract, {"a": range(300), "y": ["low", "high", "mid"] * 100})
    assert found(frame, contract)["target_kind"].blocking


def test_a_table_without_features_blocks() -> None:
    contract = contract_of(column("a", role="dropped"), column("y", "category", "target"))
    frame = frame_of(contract, {"a": range(300), "y": ["no", "yes", "no"] * 100})
    assert found(frame, contract)["no_features"].blocking


@pytest.mark.parametrize("kind", ["category", "text", "integer"])
def test_identifiers_among_the_features_are_named(kind: str) -> None:
    contract = simple_contract(column("key", kind))
    keys = range(1000, 1400) if kind == "integer" else [f"K-{number}" for number in range(400)]
    assert found(simple_frame(contract, key=keys), contract)["id_feature"].column == "key"


def test_titles_and_measurements_are_no_identifiers() -> None:
    contract = simple_contract(column("title", "text"), column("size", "integer"))
    titles = [f"The book number {number}" for number in range(400)]
    frame = simple_frame(contract, title=titles, size=[number * 17 for number in range(400)])
    assert "id_feature" not in found(frame, contract)


def test_copies_and_contradictions_are_counted() -> None:
    contract = simple_contract()
    frame = simple_frame(contract)
    twins = frame.iloc[[5, 6, 7]]
    opposed = frame.iloc[8:9].assign(y="no" if frame["y"].iloc[8] == "yes" else "yes").astype(frame.dtypes)
    findings = found(pd.concat([frame, twins, opposed], ignore_index=True), contract)
    assert (findings["duplicates"].count, findings["duplicates"].examples[0]) == (3, "row 401")
    assert findings["contradictions"].count == 2


def test_repeated_identifiers_are_reported() -> None:
    contract = simple_contract(column("key", "text", "id"))
    frame = simple_frame(contract, key=[f"k{number % 399}" for number in range(400)])
    assert found(frame, contract)["repeated_ids"].examples == ("row 400",)


def test_copies_across_given_parts_are_reported() -> None:
    contract = simple_contract(column("part", "category", "part"))
    frame = simple_frame(contract, part=["train"] * 300 + ["test"] * 100)
    for name in ("a", "b", "y"):
        frame.loc[399, name] = frame[name].iloc[0]
    assert found(frame, contract, split={"column": "part"})["straddling_duplicates"].examples == ("row 1",)
    frame["part"] = frame["part"].replace({"test": "exam"})
    assert found(frame, contract, split={"column": "part"})["unknown_part"].blocking


def test_a_split_that_cannot_be_made_is_reported() -> None:
    contract = simple_contract(column("who", "text", "group"))
    frame = simple_frame(contract, who=["one"] * 400)
    assert found(frame, contract, data={"group": "who"})["split"].blocking


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    noise=st.sampled_from([0.0, 0.001]),
    form=st.sampled_from(["category", "number", "missing"]),
    positives=st.floats(0.05, 0.6),
)
def test_a_column_that_gives_a_class_away_is_named(seed: int, noise: float, form: str, positives: float) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(3000) < positives
    seen = truth ^ (rng.random(3000) < noise * min(1.0, positives))
    forms: dict[str, Any] = {
        "category": np.where(seen, "closed", "open"),
        "number": seen + rng.normal(scale=0.05, size=3000),
        "missing": np.where(seen, rng.normal(size=3000), np.nan),
    }
    kind = "category" if form == "category" else "number"
    contract = contract_of(column("a"), column("leak", kind, nullable=True), column("y", "boolean", "target"))
    frame = frame_of(contract, {"a": truth + rng.normal(size=3000), "leak": forms[form], "y": truth})
    finding = found(frame, contract)["leakage"]
    assert (finding.column, finding.level, finding.blocking) == ("leak", "error", False)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), rows=st.sampled_from([60, 400, 3000]), classes=st.integers(2, 5))
def test_strong_honest_columns_are_no_leak(seed: int, rows: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=rows)
    names = tuple(str(value) for value in range(classes))
    contract = contract_of(
        column("strong"), column("id", "text"), column("y", "category", "target"), task="multiclass", classes=names
    )
    strong = y + rng.normal(scale=0.45, size=rows)
    frame = frame_of(contract, {"strong": strong, "id": [f"{n}x" for n in range(rows)], "y": y.astype(str)})
    assert "leakage" not in found(frame, contract)


def test_a_copy_of_the_target_blocks() -> None:
    contract = simple_contract(column("z", "category"))
    frame = simple_frame(contract, z=simple_frame(simple_contract())["y"])
    assert found(frame, contract)["target_copy"].column == "z"


@pytest.mark.parametrize("form", [lambda y: 3 * y - 7, np.exp, lambda y: -(y**3)])
def test_a_function_of_a_numeric_target_is_a_leak(form: Callable[[Any], Any]) -> None:
    contract = simple_contract(column("leak"), task="regression")
    y = simple_frame(simple_contract(task="regression"))["y"].to_numpy()
    assert found(simple_frame(contract, leak=form(y)), contract)["leakage"].column == "leak"


def test_columns_that_add_up_to_the_target_are_named() -> None:
    rng = np.random.default_rng(0)
    contract = contract_of(
        column("casual", "integer"),
        column("hour"),
        column("member", "integer"),
        column("y", role="target"),
        task="regression",
    )
    casual, member = rng.poisson(30, 2000), rng.poisson(100, 2000)
    values = {"casual": casual, "hour": rng.normal(size=2000), "member": member, "y": casual + member}
    finding = found(frame_of(contract, values), contract)["leakage"]
    assert finding.examples == ("`casual`", "`member`")
    assert "a sum of them" in finding.sentence


def test_formulas_are_found_and_never_imagined() -> None:
    rng = np.random.default_rng(0)
    X = rng.lognormal(size=(500, 4))
    product = find_formula(X, X[:, 1] * X[:, 3])
    assert product is not None
    assert (product.kind, product.columns) == ("product", (1, 3))
    assert find_formula(X, X[:, 1] + X[:, 2] + rng.normal(scale=0.2, size=500)) is None
    assert find_formula(X[:5], X[:5, 0]) is None
    assert find_formula(np.full((500, 2), np.nan), X[:, 0]) is None


@pytest.mark.parametrize(
    ("load", "task"), [(load_iris, "multiclass"), (load_breast_cancer, "binary"), (load_diabetes, "regression")]
)
def test_tables_of_scikit_learn_have_no_leak(load: Callable[..., Any], task: str) -> None:
    table = load(as_frame=True).frame
    kind = "number" if task == "regression" else "integer"
    columns = [column(name) for name in table.columns[:-1]]
    classes = () if task == "regression" else tuple(sorted(int(value) for value in table["target"].unique()))
    contract = contract_of(*columns, column("target", kind, "target"), task=task, classes=classes)
    findings = found(frame_of(contract, dict(table)), contract)
    assert not [finding for finding in findings.values() if finding.level == "error"]


def test_numbers_of_any_size_pass_through_the_checks() -> None:
    contract = simple_contract(column("huge"), column("tiny"), task="regression")
    rng = np.random.default_rng(0)
    frame = simple_frame(contract, huge=rng.normal(size=400) * 1e300, tiny=rng.normal(size=400) * 1e-300)
    assert "leakage" not in found(frame, contract)


def broken(code: str, *, blocking: bool) -> Finding:
    return Finding(code=code, level="error", blocking=blocking, sentence=f"It is {code}.", cure=f"Cure {code}.")


def test_strict_stops_at_errors_and_lax_only_where_no_model_is_possible() -> None:
    leak, constant = broken("leak", blocking=False), broken("constant", blocking=True)
    warning = Finding(code="odd", level="warning", sentence="It is odd.")
    stop_on([warning], "strict")
    stop_on([warning, leak], "lax")
    with pytest.raises(DataError, match=r"It is leak\. Cure leak\."):
        stop_on([warning, leak], "strict")
    with pytest.raises(DataError, match=r"It is constant\. Cure constant\."):
        stop_on([leak, constant], "lax")
    with pytest.raises(DataError, match="2 checks are broken") as stop:
        stop_on([leak, constant], "strict")
    assert "Cure leak." in str(stop.value)


def test_a_leak_is_found_beside_a_class_too_small_to_score() -> None:
    y = ["no"] * 300 + ["yes"] * 300 + ["rare"] * 3
    rng = np.random.default_rng(0)
    target = column("y", "category", "target")
    contract = contract_of(column("a"), column("leak", "category"), target, task="multiclass")
    values: dict[str, Any] = {"a": rng.normal(size=603), "leak": [f"it is {value}" for value in y], "y": y}
    assert found(frame_of(contract, values), contract)["leakage"].column == "leak"


def test_a_mostly_missing_column_is_no_leak() -> None:
    contract = simple_contract(column("half", nullable=True), task="regression")
    y = simple_frame(simple_contract(task="regression"))["y"].to_numpy()
    frame = simple_frame(contract, half=np.where(np.arange(400) % 3 == 0, y, np.nan))
    assert "leakage" not in found(frame, contract)
