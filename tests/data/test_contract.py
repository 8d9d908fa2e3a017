"""A contract that a person edited: what cannot be meant is refused when it is read."""

from pathlib import Path

import pytest

from tiltyard.data.contract_file import load_contract
from tiltyard.errors import ProjectError

TARGET = "{name: y, kind: number, role: target}"

BAD = [
    ("{name: a, kind: category, levels: [u, v, u]}", "column `a`: the level `u` stands twice"),
    ("{name: a, kind: category, minimum: 1}", "column `a` is a category; only numbers and integers have `minimum`"),
    ("{name: a, kind: time, maximum: 1}", "column `a` is a time; only numbers"),
    ("{name: a, kind: number, levels: [u]}", "only a category has `levels`"),
    ("{name: a, kind: number, minimum: 2, maximum: 1}", "`minimum` 2.0 is above `maximum` 1.0"),
    ("{name: a, kind: category, role: time}", "column `a` is a category, which has no order"),
    ("{name: a, kind: number, maximum: .inf}", "`.inf` is not a number to use"),
    ("{name: a, kind: number, minimum: -1e999}", "`-1e999` is not a number to use"),
    (f"{TARGET}", "column `y` stands twice"),
]


@pytest.mark.parametrize(("column", "sentence"), BAD)
def test_what_no_column_can_promise_is_refused(tmp_path: Path, column: str, sentence: str) -> None:
    file = tmp_path / "contract.yaml"
    file.write_text(f"task: regression\ncolumns:\n- {TARGET}\n- {column}\n", encoding="utf-8")
    with pytest.raises(ProjectError) as caught:
        load_contract(file)
    assert sentence in str(caught.value)


def test_a_number_that_could_not_be_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "contract.yaml"
    numbers = "numbers: {decimal: ',', thousands: ','}"
    file.write_text(f"task: regression\n{numbers}\ncolumns: [{TARGET}]\n", encoding="utf-8")
    with pytest.raises(ProjectError, match="`decimal` and `thousands` are both `,`"):
        load_contract(file)


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "- a\n"])
def test_an_empty_contract_gets_its_own_cure(tmp_path: Path, content: str) -> None:
    file = tmp_path / "contract.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(
        ProjectError, match=r"holds no keys\. Its first line should be `task: …`; `tiltyard init` writes"
    ):
        load_contract(file)


def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="embedded null"):
        load_contract(tmp_path / "c\0.yaml")
    with pytest.raises(ProjectError, match="File name too long"):
        load_contract(tmp_path / ("c" * 5000))
