"""`tiltyard init`: two files from a table, and what was guessed."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Tiltyard
from tiltyard.data.contract import Role
from tiltyard.data.contract_file import load_contract
from tiltyard.project.loading import load_project
from tiltyard.project.metrics import Task
from tiltyard.project.model import BundledSource, CsvSource, ParquetSource, SqlSource

ROWS = 60
TABLE = "id,age,plan,part,churned\n" + "".join(
    f"c{row},{20 + row % 50},{'basic' if row % 3 else 'gold'},{'test' if row % 4 == 0 else 'train'},"
    f"{'yes' if row % 5 == 0 else 'no'}\n"
    for row in range(ROWS)
)


@pytest.fixture
def table(project: Path) -> Path:
    """A table, and no project yet."""
    (project / "tiltyard.yaml").unlink()
    file = project / "Customer Churn.csv"
    file.write_text(TABLE, encoding="utf-8")
    return file


def test_two_files_are_written_and_every_guess_is_told(tiltyard: Tiltyard, table: Path) -> None:
    said = tiltyard("init", table.name, "--target", "churned")
    assert said.code == 0
    project = load_project(table.parent)
    assert (project.name, project.task.kind, project.task.positive) == ("customer_churn", Task.BINARY, "yes")
    assert project.data.source == CsvSource(path=table.name)
    contract = load_contract(table.parent / "contract.yaml")
    assert contract.classes == ("no", "yes")
    assert contract.column("plan").levels == ("basic", "gold")
    for words in ("task.kind", "binary", "data.ids", "task.positive", "tiltyard train"):
        assert words in said.out


def test_editors_find_the_schema_that_was_written(tiltyard: Tiltyard, table: Path) -> None:
    tiltyard("init", table.name, "--target", "churned")
    first = (table.parent / "tiltyard.yaml").read_text(encoding="utf-8").splitlines()[0]
    reference = first.partition("$schema=")[2]
    assert json.loads((table.parent / reference).read_text(encoding="utf-8"))["title"] == "Project"


def test_what_the_user_says_is_not_guessed(tiltyard: Tiltyard, table: Path) -> None:
    words = ["--name", "churn", "--positive", "no", "--drop", "age", "--ids", "id", "--split", "part"]
    assert tiltyard("init", table.name, "--target", "churned", "--missing", "?", *words).code == 0
    project = load_project(table.parent)
    assert (project.name, project.task.positive, project.data.drop) == ("churn", "no", ("age",))
    assert (project.split_method, project.split.column, project.data.missing) == ("column", "part", ("?",))
    contract = load_contract(table.parent / "contract.yaml")
    assert contract.column("part").role is Role.PART
    assert contract.classes == ("yes", "no")


def test_machines_get_the_guesses_as_json(tiltyard: Tiltyard, table: Path) -> None:
    said = json.loads(tiltyard("init", table.name, "--target", "churned", "--json").out)
    assert said["project"] == str(table.parent / "tiltyard.yaml")
    assert {"subject": "task.kind", "guess": "binary", "why": said["guesses"][0]["why"]} in said["guesses"]


def test_a_table_elsewhere_is_named_from_the_project(tiltyard: Tiltyard, table: Path) -> None:
    assert tiltyard("init", table.name, "--target", "churned", "--folder", "deep/project").code == 0
    folder = table.parent / "deep" / "project"
    assert load_project(folder).data.source == CsvSource(path=f"../../{table.name}")
    assert tiltyard("check", "--project", str(folder), "--json").out.startswith("{")


def test_an_absolute_path_stays_absolute(tiltyard: Tiltyard, table: Path) -> None:
    assert tiltyard("init", str(table), "--target", "churned", "--folder", "other").code == 0
    assert load_project(table.parent / "other").data.source == CsvSource(path=str(table))


@pytest.mark.parametrize(
    ("words", "name"),
    [(["sklearn:iris", "--target", "target"], "iris"), (["sklearn:diabetes", "-t", "target"], "diabetes")],
)
def test_a_bundled_table_is_a_source(tiltyard: Tiltyard, table: Path, words: list[str], name: str) -> None:
    assert tiltyard("init", *words).code == 0
    project = load_project(table.parent)
    assert project.name == name
    assert isinstance(project.data.source, BundledSource)


def test_a_query_is_a_source(tiltyard: Tiltyard, table: Path) -> None:
    with sqlite3.connect(table.parent / "shop.db") as database:
        database.execute("CREATE TABLE orders (price REAL, returned INTEGER)")
        database.executemany("INSERT INTO orders VALUES (?, ?)", [(row / 7, row % 2) for row in range(ROWS)])
    database.close()
    said = tiltyard("init", "sqlite:///shop.db", "--query", "SELECT * FROM orders", "--target", "returned")
    assert said.code == 0, said.err
    project = load_project(table.parent)
    assert project.data.source == SqlSource(url="sqlite:///shop.db", query="SELECT * FROM orders")
    assert project.name == "returned"


def test_a_folder_of_parquet_is_a_source(tiltyard: Tiltyard, table: Path) -> None:
    import pandas as pd  # noqa: PLC0415  # only here

    folder = table.parent / "exports"
    folder.mkdir()
    frame = pd.read_csv(table)
    frame.to_parquet(folder / "a.parquet")
    frame.to_parquet(folder / "b.parquet")
    assert tiltyard("init", "exports/*.parquet", "--target", "churned").code == 0
    assert load_project(table.parent).data.source == ParquetSource(path="exports/*.parquet")
    assert load_project(table.parent).name == "exports"
    assert tiltyard("init", "exports", "--target", "churned", "--force").code == 0
    assert load_project(table.parent).data.source == ParquetSource(path="exports")


def test_nothing_is_overwritten_without_force(tiltyard: Tiltyard, table: Path) -> None:
    assert tiltyard("init", table.name, "--target", "churned").code == 0
    before = (table.parent / "tiltyard.yaml").read_bytes()
    said = tiltyard("init", table.name, "--target", "plan")
    assert said.code == 2
    assert "`tiltyard.yaml` is there already. Give --force, or another --folder." in said.err
    assert (table.parent / "tiltyard.yaml").read_bytes() == before
    assert tiltyard("init", table.name, "--target", "plan", "--force").code == 0
    assert load_project(table.parent).data.target == "plan"


WRONG = [
    (["none.csv", "--target", "y"], 3, "there is no such file"),
    (["Customer Churn.cs", "--target", "churned"], 3, "Did you mean `Customer Churn.csv`?"),
    (["Customer Churn.csv", "--target", "churn"], 3, "there is no column `churn`. Did you mean `churned`?"),
    (
        ["Customer Churn.csv", "--target", "churned", "--drop", "plans"],
        3,
        "there is no column `plans`. Did you mean `plan`?",
    ),
    (["Customer Churn.csv", "--target", "churned", "--positive", "maybe"], 3, "`maybe` is not a class of the target"),
    (["Customer Churn.csv", "--target", "churned", "--task", "regresion"], 2, "Invalid value for '--task'"),
    (["Customer Churn.csv", "--target", "churned", "--split", "parts"], 3, "Did you mean `part`?"),
    *[
        (
            ["Customer Churn.csv", "--target", "churned", f"--{key}", "churned"],
            2,
            "`churned` is the target and cannot also",
        )
        for key in ("drop", "time", "group", "ids", "split")
    ],
    (["Customer Churn.csv", "--target", "churned", "--time", "plan"], 3, "`plan` is a category, which has no order"),
    (["Customer Churn.csv", "--target", "churned", "--name", "Ünï!"], 2, "Give a name such as `uni`."),
    (["Customer Churn.csv", "--target", "churned", "--name", "c" * 64], 2, "cannot be the name of a project"),
    (["exports/*.csv", "--target", "churned"], 3, "no file matches. Check the pattern"),
    (["c" * 5000, "--target", "churned"], 2, "the path has 5000 characters, more than"),
    (["", "--target", "churned"], 2, "the path is empty; name a file. Give the path"),
    (["c" * 500, "--target", "churned"], 3, "File name too long"),
    (["sklearn:irs", "--target", "target"], 2, "did you mean `iris`?"),
    (["postgresql://db/x", "--target", "y"], 2, "`postgresql://db/x` needs a query. Add --query"),
    (["postgresql://me:secret@db/x", "--query", "SELECT 1", "--target", "y"], 2, "holds a password"),
    (["shop.db", "--query", "SELECT 1", "--target", "y"], 2, "`shop.db` is no SQLAlchemy URL"),
    (["nowhere:load", "--target", "y"], 2, "nowhere"),
    (["empty.csv", "--target", "y"], 3, "empty"),
    (["broken.parquet", "--target", "y"], 3, "cannot be read as Parquet"),
]


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(("words", "code", "sentence"), WRONG, ids=[" ".join(words) for words, _, _ in WRONG])
def test_a_table_that_cannot_be_used_gets_one_sentence(
    tiltyard: Tiltyard, project: Path, words: list[str], code: int, sentence: str
) -> None:
    (project / "empty.csv").touch()
    (project / "broken.parquet").write_bytes(b"PAR1 not really")
    before = sorted(project.rglob("*"))
    said = tiltyard("init", *words)
    assert (said.code, said.out) == (code, ""), said.err
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert "secret" not in said.err
    assert sorted(project.rglob("*")) == before
