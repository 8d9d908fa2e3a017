"""Bad project files: each gets one sentence that names the key, and the cure."""

from pathlib import Path

import pytest

from tiltyard.errors import ProjectError
from tiltyard.project.loading import load_project

GOOD = {"name": "churn", "task": "{kind: binary}", "data": "{source: a.csv, target: y}"}

BAD = [
    ("gate", "{}", "`gate` is not a key here; did you mean `gates`?"),
    ("name", "My Project", "`name: My Project` is not written as it must be (name of the project"),
    ("name", "7", "`name: 7` must be a text"),
    ("task", "binary", "`task: binary` must hold keys of its own, such as `kind`"),
    ("task", "{kind: binery}", "`task.kind: binery` is not known; did you mean `binary`?"),
    ("task", "{kind: regression, positive: 1}", "`task.positive` is for binary tasks, and this one is regression"),
    ("data", "{source: a.csv}", "`data.target` is missing (the column to predict)"),
    ("data", "{source: 3, target: y}", "`data.source: 3` must hold keys of its own"),
    ("data", "{source: {kind: cvs, path: a}, target: y}", "`data.source.kind: cvs` is not known; did you mean `csv`?"),
    ("data", "{source: {path: a}, target: y}", "`data.source` does not say its `kind`; allowed: csv, parquet, "),
    ("data", "{source: {kind: csv, path: a, sep: x}, target: y}", "`sep` is not a key of `data.source`; allowed: "),
    ("data", "{source: {kind: sklearn, name: irs}, target: y}", "`data.source.name: irs` is not known; did you mean"),
    ("data", "{source: {kind: python, function: f}, target: y}", "(`module:function`, imported with the project"),
    ("data", "{source: a.csv, target: y, ids: id}", "`data.ids: id` must be a list, as in `ids: [id]`"),
    ("data", "{source: a.csv, target: y, drop: [y]}", "`y` is the target and cannot also be under `drop`"),
    (
        "data",
        "{source: a.csv, target: y, protect: {a: hsh}}",
        "`data.protect.a: hsh` is not allowed here; it takes drop",
    ),
    ("data", "{source: a.csv, target: y, protect: {a: {coarsen: week}}}", "it takes a number or year or month or day"),
    ("data", "{source: a.csv, target: y, protect: {a: {corsen: 1}}}", "`corsen` is not a key of `data.protect.a`; did"),
    ("data", "{source: '', target: y}", "`data.source`: the path is empty; name a file"),
    ("data", f"{{source: {'c' * 5000}, target: y}}", "the path has 5000 characters, more than"),
    ("data", '{source: a.csv, target: y, contract: "c\\0.yaml"}', "`data.contract`: the path holds a null character"),
    ("data", "{source: {kind: csv, path: a, decimal: ',', thousands: ','}, target: y}", "are both `,`"),
    ("split", "{seed: -1}", "`split.seed: -1` must be greater than or equal to 0 (another seed, other parts)"),
    ("search", "{seed: 4294967296}", "`search.seed: 4294967296` must be less than or equal to 4294967295"),
    ("search", "{metric: auc}", "is not a metric of a binary task. Did you mean `roc_auc`?"),
    ("search", "{threshold: {false_positive: 0, false_negative: 0}}", "the costs of `threshold` decide nothing"),
    (
        "search",
        "{threshold: {false_positive: 1, false_negative: 1, true_positive: 2}}",
        "`true_positive` costs more than `false_negative`",
    ),
    ("gates", "{floors: {roc_auc: 3}}", "`roc_auc: 3` is no ROC-AUC, which is from 0 to 1"),
    ("gates", "{floors: {log_loss: -0.1}}", "`log_loss: -0.1` is no Log loss, which is 0 or more"),
    ("split", "3", "`split: 3` must hold keys of its own, such as `method`"),
    ("split", "{test: 1.5}", "`split.test: 1.5` must be less than 1 (share of rows that judge)"),
    ("split", "{test: 0.7, validation: 0.3}", "must leave a tenth of the rows to train"),
    ("split", "{method: column}", "method `column` needs `column`"),
    ("split", "{column: y}", "`split.column: y` is the target; the parts need a column of their own"),
    ("search", "{families: [linnear]}", "`linnear` is not a family. Did you mean `linear`?"),
    ("search", "{trials: many}", "`search.trials: many` must be a whole number"),
    ("search", "{seconds: -1}", "`search.seconds: -1` must be greater than 0"),
    ("search", "{seconds: .inf}", "`.inf` is not a number to use"),
    ("search", "{threshold: acc}", "`search.threshold: acc` is not allowed here; it takes accuracy or f1"),
    ("search", "{threshold: {false_positive: 1}}", "`search.threshold.false_negative` is missing"),
    ("search", "{metric: rmse}", "`search.metric: rmse` is not a metric of a binary task"),
    ("gates", "{floors: {accurcy: 0.9}}", "`accurcy` is not a metric. Did you mean `accuracy`?"),
    ("gates", "{alpha: 0.7}", "`gates.alpha: 0.7` must be less than 0.5 (one-sided error rate"),
    ("gates", "{alpha: 0.1, alpha: 0.2}", "the key `alpha` stands twice. Keep one of the two"),
    ("bundle", "{parity: yes}", "`bundle.parity: yes` must be a number"),
    ("purpose", "*churn", "Put a text that begins with `*` in quotes."),
]


def _write(folder: Path, key: str, value: str) -> Path:
    file = folder / "tiltyard.yaml"
    file.write_text("".join(f"{name}: {text}\n" for name, text in {**GOOD, key: value}.items()), encoding="utf-8")
    return file


@pytest.mark.parametrize(("key", "value", "sentence"), BAD)
def test_a_bad_key_gets_one_sentence_with_the_cure(tmp_path: Path, key: str, value: str, sentence: str) -> None:
    file = _write(tmp_path, key, value)
    with pytest.raises(ProjectError) as caught:
        load_project(file)
    message = str(caught.value)
    assert sentence in message
    assert str(file) in message
    assert "\n" not in message
    assert message.count("; ") <= 2
    assert "?." not in message
    assert ".." not in message


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    file = _write(tmp_path, "gates", "{alpha: 0.7, alfa: 3}\nserach: {}")
    with pytest.raises(ProjectError) as caught:
        load_project(file)
    for sentence in ("`gates.alpha: 0.7` must", "`alfa` is not a key of `gates`", "`serach` is not a key here"):
        assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds no keys. Its first line should be `name:"),
        (b"- a\n- b\n", "holds no keys"),
        (b"name: a\n\ttask: b\n", "tiltyard.yaml:2: not valid YAML"),
        (b"name: a: b\n", "tiltyard.yaml:1: not valid YAML"),
        (b"name: \xff\xfe\n", "is not UTF-8 text (byte 6). Save it as UTF-8"),
        (b"name: \x00\n", "Save it as plain UTF-8 text"),
        (b"name: !!python/object/apply:os.system ['true']\n", "Remove the `!tag`"),
        (b"? [a, b]\n: c\n", "tiltyard.yaml:1: not valid YAML"),
        (b"name: &a [*a]\n", "Remove anchors that contain themselves"),
    ],
)
def test_what_is_not_a_mapping_of_keys_is_refused_with_its_line(tmp_path: Path, content: bytes, sentence: str) -> None:
    file = tmp_path / "tiltyard.yaml"
    file.write_bytes(content)
    with pytest.raises(ProjectError) as caught:
        load_project(file)
    assert sentence in str(caught.value)


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="Write one with `tiltyard init TABLE --target COLUMN`"):
        load_project(tmp_path)
    with pytest.raises(ProjectError, match=r"tiltyard\.yaml"):
        load_project(tmp_path / "tiltyard.yaml")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiltyard.yaml").mkdir()
    with pytest.raises(ProjectError, match="is a folder, not a file"):
        load_project(tmp_path)
