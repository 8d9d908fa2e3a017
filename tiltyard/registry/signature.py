"""From the data contract to MLflow's signature and dataset."""

import json
from typing import Any

import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.project.metrics import Task
from tiltyard.project.section import Section

_TYPES = {
    Kind.NUMBER: DataType.double,
    Kind.INTEGER: DataType.long,
    Kind.BOOLEAN: DataType.boolean,
    Kind.CATEGORY: DataType.string,
    Kind.TEXT: DataType.string,
    Kind.TIME: DataType.datetime,
}
_LONGEST_DIGEST = 36
_LONGEST_SCHEMA = 60_000


class DatasetFacts(Section):
    """The training table, as MLflow shows it.

    Attributes:
        name: Name of the table.
        uri: Where it is.
        fingerprint: Digest of its content.
        rows: Number of rows.
        columns: Number of columns.
    """

    name: str
    uri: str
    fingerprint: str
    rows: int
    columns: int


def signature_of(contract: Contract) -> ModelSignature:
    """Return the signature of a model that reads the contract's features.

    A nullable integer is declared `double`, because MLflow's `long` refuses a missing value.
    """
    inputs: list[ColSpec | TensorSpec] = [_input(column) for column in contract.features]
    output = DataType.double if contract.task is Task.REGRESSION else _TYPES[contract.target.kind]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec(output)]))


def input_example(frame: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """Return rows in the types that MLflow's own checks of the signature accept.

    Args:
        frame: A few typed rows with the contract's features.
        contract: The data contract.

    Returns:
        The features only: nullable integers as float64 with NaN, booleans, categories and texts as plain objects with
        None.
    """
    columns = {column.name: _plain(frame[column.name].reset_index(drop=True), column) for column in contract.features}
    return pd.DataFrame(columns)


def dataset_input(facts: DatasetFacts, contract: Contract) -> DatasetInput:
    """Return the training table as an input of a run."""
    schema = json.dumps({"mlflow_colspec": [spec.to_dict() for spec in map(_input, contract.columns)]})
    dataset = Dataset(
        name=facts.name,
        digest=facts.fingerprint[:_LONGEST_DIGEST],
        source_type="local",
        source=json.dumps({"uri": facts.uri}),
        schema=schema if len(schema) <= _LONGEST_SCHEMA else None,
        profile=json.dumps({"num_rows": facts.rows, "num_elements": facts.rows * facts.columns}),
    )
    return DatasetInput(dataset=dataset, tags=[InputTag(key="mlflow.data.context", value="training")])


def _input(column: Column) -> ColSpec:
    """Return one column of the signature."""
    kind = _TYPES[column.kind]
    if column.nullable and column.kind is Kind.INTEGER:
        kind = DataType.double
    return ColSpec(kind, column.name, required=not column.nullable)


def _plain(values: "pd.Series[Any]", column: Column) -> "pd.Series[Any]":
    """Return a typed column in the type its signature names."""
    if column.kind is Kind.INTEGER:
        return pd.Series(values.astype("float64" if column.nullable else "int64"))
    if column.kind in {Kind.NUMBER, Kind.TIME}:
        return values
    if column.kind is Kind.BOOLEAN and not column.nullable:
        return pd.Series(values.astype("bool"))
    return pd.Series([None if pd.isna(value) else value for value in values], dtype=object)
