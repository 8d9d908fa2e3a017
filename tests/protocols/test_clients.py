"""The Open Inference Protocol's own clients, unmodified, against a running server."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from open_inference.openapi.client import OpenInferenceClient
from open_inference.openapi.core.api_error import ApiError
from open_inference.openapi.errors import BadRequestError, NotFoundError
from open_inference.openapi.types import InferenceRequest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, aio  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from tests.conftest import free_port
from tests.protocols.models import CONTRACTS, FLOWERS, STAYS, write_models
from tests.protocols.tensors import columns_of
from tests.serving.servers import Server, eventually, running

HERE = Path(__file__).parent
ENVIRONMENT = Path(sys.executable).parent
COUNT = 1000
"""Rows whose answer is long enough to be compressed."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("clients")
    away = f"http://127.0.0.1:{free_port()}"
    plan = write_models(folder)
    with running(folder / "home", names=",".join(CONTRACTS), tracking_uri=away, plan=plan, poll=30.0) as made:
        eventually(made.ready)
        yield made


@pytest.fixture
def triton(server: Server) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        yield client


@pytest.fixture
def openapi(server: Server) -> Iterator[OpenInferenceClient]:
    with httpx.Client(timeout=30) as client:
        yield OpenInferenceClient(base_url=f"http://127.0.0.1:{server.port}", httpx_client=client)


def own(server: Server, model: str, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the own protocol's answers as tensors."""
    entries = server.client.post(f"/v1/models/{model}/predict", json={"rows": rows}).json()["predictions"]
    answers = {"prediction": [entry["prediction"] for entry in entries]}
    if "probabilities" in entries[0]:
        answers["probabilities"] = [number for entry in entries for number in entry["probabilities"].values()]
    return answers


def triton_inputs(model: str, rows: list[dict[str, Any]], *, binary: bool) -> list[InferInput]:
    """Return rows as one input per column, as a program with numpy arrays makes them."""
    inputs = []
    for column in columns_of(CONTRACTS[model], rows):
        values, datatype = column["data"], column["datatype"]
        if datatype == "BYTES":
            array = np.array([value or "" for value in values], dtype=object)
        elif None in values:
            datatype, array = (
                "FP64",
                np.array([np.nan if value is None else value for value in values], dtype=np.float64),
            )
        else:
            array = np.array(values, dtype={"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_}[datatype])
        tensor = InferInput(column["name"], column["shape"], datatype)
        inputs.append(tensor.set_data_from_numpy(array, binary_data=binary))
    return inputs


def triton_outputs(result: Any) -> dict[str, list[Any]]:
    """Return the outputs of a result, flat."""
    found = {}
    for output in result.get_response()["outputs"]:
        values = result.as_numpy(output["name"]).ravel().tolist()
        found[output["name"]] = [value.decode() if isinstance(value, bytes) else value for value in values]
    return found


def triton_refused(client: InferenceServerClient, model: str, inputs: list[InferInput], **more: Any) -> tuple[str, str]:
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, inputs, **more)
    return caught.value.status(), caught.value.message()


def price(array: np.ndarray[Any, Any], *, datatype: str = "FP64", binary: bool = True) -> list[InferInput]:
    return [InferInput("price", list(array.shape), datatype).set_data_from_numpy(array, binary_data=binary)]


def test_triton_asks_for_health_and_metadata(triton: InferenceServerClient) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("stays")
    assert triton.is_model_ready("stays", "3")
    assert not triton.is_model_ready("stays", "4")
    assert not triton.is_model_ready("nobody")
    assert triton.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = triton.get_model_metadata("stays", "3")
    assert [tensor["name"] for tensor in metadata["inputs"]] == [column.name for column in CONTRACTS["stays"].features]
    with pytest.raises(InferenceServerException, match="Did you mean `stays`"):
        triton.get_model_metadata("stay")


@pytest.mark.parametrize("model", ["stays", "flowers"])
@pytest.mark.parametrize("binary", [True, False], ids=["bytes in", "JSON in"])
@pytest.mark.parametrize("outputs", [None, True, False], ids=["no outputs", "bytes out", "JSON out"])
def test_triton_is_answered_as_the_own_protocol(
    server: Server, triton: InferenceServerClient, model: str, binary: bool, outputs: bool | None
) -> None:
    rows = {"stays": STAYS, "flowers": FLOWERS}[model]
    expected = own(server, model, rows)
    wanted = None if outputs is None else [InferRequestedOutput(name, binary_data=outputs) for name in expected]
    result = triton.infer(model, triton_inputs(model, rows, binary=binary), outputs=wanted, request_id="mine")
    assert triton_outputs(result) == expected
    assert result.get_response()["id"] == "mine"
    assert result.get_response()["parameters"]["prediction_id"]


def test_triton_sends_one_matrix(server: Server, triton: InferenceServerClient) -> None:
    table = np.array(
        [[np.nan if value is None else value for value in row.values()] for row in FLOWERS], dtype=np.float64
    )
    matrix = InferInput("input-0", list(table.shape), "FP64").set_data_from_numpy(table)
    assert triton_outputs(triton.infer("flowers", [matrix])) == own(server, "flowers", FLOWERS)


@pytest.mark.parametrize("answered", ["gzip", "deflate", None])
@pytest.mark.parametrize("asked", ["gzip", "deflate", None])
@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "JSON"])
def test_triton_compresses(
    triton: InferenceServerClient, asked: str | None, answered: str | None, binary: bool
) -> None:
    inputs = price(np.arange(COUNT) / 7, binary=binary)
    outputs = [InferRequestedOutput("prediction", binary_data=binary)]
    plain = triton.infer("demand", inputs, outputs=outputs)
    packed = triton.infer(
        "demand",
        inputs,
        outputs=outputs,
        request_compression_algorithm=asked,
        response_compression_algorithm=answered,
    )
    assert triton_outputs(packed) == triton_outputs(plain)


@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "JSON"])
def test_triton_is_told_what_is_wrong(triton: InferenceServerClient, binary: bool) -> None:
    wide = price(np.ones((2, 3)), binary=binary)
    texts = price(np.array(["abc"], dtype=object), datatype="BYTES", binary=binary)
    good = price(np.ones(1), binary=binary)
    assert triton_refused(triton, "demand", wide) == (
        "400",
        "the input `price` has 3 columns. Its shape is [n] or [n, 1], where n is the number of rows.",
    )
    assert triton_refused(triton, "demand", texts)[0] == "400"
    assert "datatype `BYTES`" in triton_refused(triton, "demand", texts)[1]
    assert triton_refused(triton, "nobody", good)[0] == "404"
    assert triton_refused(triton, "demand", good, model_version="9")[0] == "404"
    status, message = triton_refused(triton, "demand", good, outputs=[InferRequestedOutput("probability")])
    assert (status, "there is no output `probability`" in message) == ("400", True)
    assert triton_refused(triton, "churn", good)[0] == "400"


def test_triton_asks_asynchronously(server: Server) -> None:
    async def ask(binary: bool) -> Any:
        values = np.arange(COUNT) / 7
        tensor = aio.InferInput("price", [COUNT], "FP64").set_data_from_numpy(values, binary_data=binary)
        outputs = [aio.InferRequestedOutput("prediction", binary_data=binary)]
        async with aio.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            assert (await client.get_model_metadata("demand"))["name"] == "demand"
            return (await client.infer("demand", [tensor], outputs=outputs)).as_numpy("prediction")

    expected = own(server, "demand", [{"price": value / 7} for value in range(COUNT)])["prediction"]
    assert asyncio.run(ask(True)).tolist() == asyncio.run(ask(False)).tolist() == expected


def test_the_openapi_client_asks_for_health_and_metadata(openapi: OpenInferenceClient) -> None:
    openapi.check_server_liveness()
    openapi.check_server_readiness()
    openapi.check_model_readiness("stays")
    openapi.check_model_version_readiness("stays", "3")
    with pytest.raises(NotFoundError):
        openapi.check_model_version_readiness("stays", "4")
    with pytest.raises(NotFoundError):
        openapi.check_model_readiness("nobody")
    assert openapi.read_server_metadata().name == "tiltyard"
    metadata = openapi.read_model_metadata("stays")
    assert metadata == openapi.read_model_version_metadata("stays", "3")
    assert metadata.inputs is not None
    assert len(metadata.inputs) == 6


def test_the_openapi_client_is_answered_as_the_own_protocol(server: Server, openapi: OpenInferenceClient) -> None:
    rows = [STAYS[0], STAYS[2]]
    content = {"id": "mine", "inputs": columns_of(CONTRACTS["stays"], rows)}
    wanted = {**content, "outputs": [{"name": "prediction"}, {"name": "probabilities"}]}
    for answer in (
        openapi.model_infer("stays", request=InferenceRequest.parse_obj(wanted)),
        openapi.model_version_infer("stays", "3", request=InferenceRequest.parse_obj(content)),
    ):
        assert (answer.model_name, answer.model_version, answer.id) == ("stays", "3", "mine")
        assert {output.name: output.data.__root__ for output in answer.outputs} == own(server, "stays", rows)


def test_the_openapi_client_is_told_what_is_wrong(openapi: OpenInferenceClient) -> None:
    def ask(model: str, **tensor: Any) -> None:
        given = {"name": "price", "shape": [1], "datatype": "FP64", "data": [1.5], **tensor}
        openapi.model_infer(model, request=InferenceRequest.parse_obj({"inputs": [given]}))

    for wrong in ({"shape": [2]}, {"datatype": "BYTES"}, {"data": ["abc"]}, {"name": "prize"}):
        with pytest.raises(BadRequestError) as caught:
            ask("demand", **wrong)
        assert set(caught.value.body) == {"error"}
    with pytest.raises(ApiError) as missing:
        ask("nobody")
    assert missing.value.status_code == 404


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_kserve_is_answered_as_the_own_protocol(server: Server, tmp_path: Path) -> None:
    python = _environment(tmp_path / "kserve", "kserve")
    command = [str(python), str(HERE / "kserve_client.py"), f"http://127.0.0.1:{server.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    rows = [{"length": 5.1, "width": 3.5, "petals": 3, "wild": True}, {"length": 0.1}]
    both = own(server, "flowers", rows)
    assert (told["live"], told["ready"], told["model ready"], told["unknown model ready"]) == (True, True, True, False)
    assert told["json"] == own(server, "flowers", rows[:1])
    assert told["bytes in"] == told["bytes out"] == both
    assert told["one output in bytes"] == {"probabilities": both["probabilities"]}
    assert told["wrong shape"][0] == told["wrong type"][0] == 400
    assert "`price` has 1 values where its shape asks for 2" in told["wrong shape"][1]
    assert "datatype `BYTES`" in told["wrong type"][1]
    assert told["unknown model"][0] == 404


def _environment(folder: Path, package: str) -> Path:
    """Make an environment with a package, or skip with the reason."""
    uv, python = str(ENVIRONMENT / "uv"), folder / "bin" / "python"
    for command in (
        [uv, "venv", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--system-certs", "--python", str(python), package],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            pytest.skip(f"{package} cannot be installed: {done.stderr.strip()[-200:]}")
    return python
