"""Every real table through `init` and `train`, against the floors of untuned scikit-learn on the same split.

    python -m benchmarks.tables --data FOLDER [--seconds 30] [--only titanic …]

For each table the split of the published floor is rebuilt as a column `part` (or by a time column: the table's own, or
a running number `row`), and the table goes through the command
line with no other edits than target, leaking columns and missing markers. A champion passes when the floor is not
above the upper end of its own 95 % interval (below the lower end, for errors).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split


@dataclass(frozen=True)
class Table:
    """One table, its split and the better of its two floors."""

    name: str
    file: str
    target: str
    metric: str
    floor: float
    separator: str = ","
    positive: str | None = None
    task: str | None = None
    drop: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    split: str = "stratified"
    extra: tuple[str, ...] = ()
    time: str = "row"


TABLES = (
    Table(
        "adult",
        "adult_train.csv.gz",
        "income",
        "roc_auc",
        0.9272,
        positive=">50K",
        missing=("?",),
        split="official",
        extra=("adult_test.csv.gz",),
    ),
    Table("bank_full", "bank_full.csv.gz", "y", "roc_auc", 0.934, ";", positive="yes"),
    Table("bank_additional", "bank_additional_full.csv.gz", "y", "roc_auc", 0.9528, ";", positive="yes"),
    Table(
        "bank_additional_no_duration",
        "bank_additional_full.csv.gz",
        "y",
        "roc_auc",
        0.8124,
        ";",
        positive="yes",
        drop=("duration",),
    ),
    Table(
        "bank_additional_time",
        "bank_additional_full.csv.gz",
        "y",
        "roc_auc",
        0.7151,
        ";",
        positive="yes",
        drop=("duration",),
        split="time",
    ),
    Table("california", "california_housing.csv.gz", "median_house_value", "rmse", 47646.6183, split="random"),
    Table("telco_churn", "telco_churn.csv.gz", "Churn", "roc_auc", 0.8464, positive="Yes"),
    Table("titanic", "titanic.csv", "Survived", "roc_auc", 0.8405, positive="1"),
    Table("titanic_leaky_cured", "titanic_leaky.csv", "survived", "roc_auc", 0.8405, positive="1", drop=("alive",)),
    # Published as 0.6444, with copies of 512 test rows among the training rows. Copies never straddle a split here:
    # the floor is that of the same model fitted without them.
    Table("wine_quality", "wine_quality.csv.gz", "quality", "rmse", 0.6941, task="regression", split="random"),
    Table(
        "bike_random",
        "bike_sharing_hourly.csv.gz",
        "cnt",
        "rmse",
        40.9899,
        drop=("casual", "registered"),
        split="random",
    ),
    Table(
        "bike_time",
        "bike_sharing_hourly.csv.gz",
        "cnt",
        "rmse",
        67.1036,
        drop=("casual", "registered"),
        split="time",
        time="dteday",
    ),
    Table("electricity_random", "electricity.csv.gz", "class", "roc_auc", 0.8985, positive="UP", drop=("date",)),
    Table(
        "electricity_time",
        "electricity.csv.gz",
        "class",
        "roc_auc",
        0.8522,
        positive="UP",
        drop=("date",),
        split="time",
        time="timestamp",
    ),
    Table("german_credit", "german_credit.csv", "credit_risk", "roc_auc", 0.8043, positive="2"),
)


def read(file: Path, separator: str) -> pd.DataFrame:
    """Read a table as raw text."""
    return pd.read_csv(file, sep=separator, dtype=str, keep_default_na=False)


def with_parts(table: Table, data: Path) -> pd.DataFrame:
    """Read a table as raw text, and add the column `part`, or `row` where the last rows judge."""
    frame = read(data / table.file, table.separator)
    if table.split == "time":
        return frame.assign(row=range(len(frame))) if table.time == "row" else frame
    frame["part"] = "train"
    if table.split == "official":
        test = read(data / table.extra[0], table.separator).assign(part="test")
        return pd.concat([frame, test], ignore_index=True)
    strata = frame[table.target] if table.split == "stratified" else None
    _, test_rows = train_test_split(frame.index, test_size=0.25, random_state=42, stratify=strata)
    frame.loc[test_rows, "part"] = "test"
    return frame


def tiltyard(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "tiltyard", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def run(table: Table, data: Path, seconds: float) -> dict[str, object]:
    """Take one table through `init` and `train`; return what came of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with_parts(table, data).to_csv(folder / f"{table.name}.csv", sep=table.separator, index=False)
        options = ["--target", table.target, "--name", table.name]
        options += ["--positive", table.positive] if table.positive else []
        options += ["--task", table.task] if table.task else []
        options += ["--time", table.time] if table.split == "time" else ["--split", "part"]
        options += [word for column in table.drop for word in ("--drop", column)]
        options += [word for marker in table.missing for word in ("--missing", marker)]
        begin = time.perf_counter()
        for arguments in (["init", f"{table.name}.csv", *options], ["train", "--seconds", str(seconds), "--json"]):
            done = tiltyard(*arguments, folder=folder)
            if done.returncode:
                return {"table": table.name, "passed": False, "error": done.stderr.strip()[-600:]}
        outcome = json.loads(done.stdout)
    score = outcome["scorecard"]["metrics"][table.metric]
    smaller = table.metric in {"rmse", "mae"}
    passed = score["low"] <= table.floor if smaller else score["high"] >= table.floor
    return {
        "table": table.name,
        "metric": table.metric,
        "floor": table.floor,
        **score,
        "passed": passed,
        "above": score["value"] < table.floor if smaller else score["value"] > table.floor,
        "verdict": outcome["verdict"]["outcome"],
        "seconds": round(time.perf_counter() - begin, 1),
    }


def main() -> int:
    """Run the tables and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    results = []
    for table in TABLES:
        if options.only and table.name not in options.only:
            continue
        results.append(run(table, options.data, options.seconds))
        print(json.dumps(results[-1]), flush=True)
    failed = [result["table"] for result in results if not result["passed"]]
    print(f"{len(results) - len(failed)} of {len(results)} tables pass" + (f"; not: {failed}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
