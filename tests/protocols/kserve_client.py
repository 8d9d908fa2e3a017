"""Asks a running server through kserve's REST client and prints what came back; runs in an environment of its own."""

import asyncio
import json
import sys
from typing import Any

import httpx
import numpy as np
from kserve import (  # type: ignore[import-not-found]  # does not fit into the project's environment
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import RequestedOutput  # type: ignore[import-not-found]

ROWS = np.array([[5.1, 3.5, 3.0, 1.0], [0.1, np.nan, np.nan, np.nan]])


def _matrix(*, binary: bool, values: Any = ROWS) -> Any:
    tensor = InferInput("input-0", list(values.shape), "FP64")
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def _price(datatype: str, data: list[Any], shape: list[int]) -> Any:
    return InferInput("price", shape, datatype, data=data)


async def _ask(client: Any, root: str) -> dict[str, Any]:
    async def infer(inputs: list[Any], model: str = "flowers", **more: Any) -> Any:
        request = InferRequest(model, inputs, **more)
        answer = await client.infer(root, request, model_name=model, timeout=30)
        return {output.name: output.as_numpy().ravel().tolist() for output in answer.outputs}

    async def refused(inputs: list[Any], model: str = "demand") -> list[Any]:
        try:
            await infer(inputs, model)
        except httpx.HTTPStatusError as error:
            return [error.response.status_code, str(error)]
        raise AssertionError("it was answered")

    probabilities = RequestedOutput("probabilities", parameters={"binary_data": True})
    return {
        "live": await client.is_server_live(root),
        "ready": await client.is_server_ready(root),
        "model ready": await client.is_model_ready(root, "flowers"),
        "unknown model ready": await client.is_model_ready(root, "nobody"),
        "json": await infer([_matrix(binary=False, values=ROWS[:1])]),
        "bytes in": await infer([_matrix(binary=True)]),
        "bytes out": await infer([_matrix(binary=True)], parameters={"binary_data_output": True}),
        "one output in bytes": await infer([_matrix(binary=True)], request_outputs=[probabilities]),
        "wrong shape": await refused([_price("FP64", [1.0], [2])]),
        "wrong type": await refused([_price("BYTES", ["abc"], [1])]),
        "unknown model": await refused([_price("FP64", [1.0], [1])], "nobody"),
    }


async def _main(root: str) -> None:
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=1)) as client:
        print(json.dumps(await _ask(client, root)))  # noqa: T201  # its answer


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
