"""The Open Inference Protocol, version 2, with its binary tensor extension.

    GET  /v2                                       this server
    GET  /v2/health/live, /v2/health/ready         the process answers; every model can be asked
    GET  /v2/models/{name}                         one model: inputs, outputs, versions
    GET  /v2/models/{name}/ready                   it can be asked
    POST /v2/models/{name}/infer                   {"inputs": [{"name", "shape", "datatype", "data"}]}

A path of a model may name a version, `/v2/models/{name}/versions/{version}/…`; without it, the server chooses. Which
tensors a model takes and gives is in `tiltyard.serving.protocols.signature`. An answer's `parameters` hold
`prediction_id`, under which a label can be sent later, and `notes`, the number of columns that deserve a look; the own
protocol names them. No content type is needed, and a slash at the end of a path is ignored.

With the header `Inference-Header-Content-Length` the body is that much JSON and then the bytes of the inputs that have
`binary_data_size` among their parameters. Outputs come as bytes that are asked for with `binary_data`, or all with
`binary_data_output`. Every error is `{"error": "…"}`, one sentence and what to do.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from tiltyard import __version__
from tiltyard.bundle.reading import Typed
from tiltyard.errors import DataError, TiltyardError
from tiltyard.serving.answers import JSON, Answer, Headers, RequestError, json_answer, shorten, to_json
from tiltyard.serving.protocols.signature import PREDICTION, PROBABILITIES
from tiltyard.serving.protocols.tensors import InputTensor, OutputTensor, Parameters, encode, split_binary
from tiltyard.serving.requests import Request, require
from tiltyard.serving.scoring import Scored, score
from tiltyard.serving.slots import Served, Slot

PLATFORM = "tiltyard_bundle"
LONGEST_ID = 1000
JSON_LENGTH = b"inference-header-content-length"

_ROUTES = "GET /v2, /v2/health/live, /v2/health/ready, /v2/models/{name}, POST /v2/models/{name}/infer"
_EXAMPLE = 'Send {"inputs": [{"name": …, "shape": [1], "datatype": "FP64", "data": [1.5]}]}.'
_MODELS = "/v2/models/"
_BINARY = "binary_data"
_NOT_READY = {"draining": "the server is going away", "unlogged": "the prediction log cannot be written"}
_NOT_OFFERED = {"classification": "the classification", "shared_memory_region": "the shared memory"}


class RequestedOutput(msgspec.Struct):
    """An output that a request asks for.

    Attributes:
        name: Which.
        parameters: `binary_data` for bytes.
    """

    name: str
    parameters: Parameters = None


class InferRequest(msgspec.Struct):
    """The JSON of an inference request.

    Attributes:
        inputs: Tensors to answer.
        id: Given back with the answer, so it has a limit.
        outputs: What to answer with; nothing for all.
        parameters: `binary_data_output` for bytes.
    """

    inputs: list[InputTensor]
    id: Annotated[str, msgspec.Meta(max_length=LONGEST_ID)] | None = None
    outputs: list[RequestedOutput] | None = None
    parameters: Parameters = None

    def as_bytes(self) -> frozenset[str]:
        """Return the names of the outputs that are to come as bytes.

        Raises:
            RequestError: A parameter is not true or false, or asks for an extension that would change the answer and
                is not offered.
        """
        every = _flag(self.parameters, "binary_data_output")
        binary = dict.fromkeys((PREDICTION, PROBABILITIES), every)
        for output in self.outputs or ():
            parameters = output.parameters or {}
            for parameter, extension in _NOT_OFFERED.items():
                if parameter in parameters:
                    what = f"the output `{shorten(output.name, 60)}` asks for {extension} extension"
                    raise RequestError(what, cure="This server does not offer it; see `extensions` of GET /v2.")
            if _BINARY in parameters:
                binary[output.name] = _flag(parameters, _BINARY)
        return frozenset(name for name, wanted in binary.items() if wanted)


_decoder = msgspec.json.Decoder(InferRequest)


def answer(served: Served, request: Request) -> Answer:
    """Answer a request to a path of this protocol.

    Raises:
        RequestError: There is no such path, model or version, the method is another, or the body is no inference
            request.
        DataError: A value breaks the contract; names row and column.
    """
    path = request.path.rstrip("/")
    if path in _FIXED:
        require(request, "GET")
        return _FIXED[path](served)
    if path.startswith(_MODELS):
        name, version, action = _parts(path)
        if name and action == "infer":
            require(request, "POST")
            return infer(served, request, name, version)
        if name and action in _OF_MODEL:
            require(request, "GET")
            return _OF_MODEL[action](served, served.find(name, version))
    raise RequestError.of(404, f"there is nothing at `{shorten(request.path, 80)}`", cure=f"There is: {_ROUTES}.")


def refusal(error: TiltyardError, headers: Headers = ()) -> Answer:
    """Return the answer of a failure in the shape of this protocol; a value that breaks the contract is a 400."""
    where = f"{shorten(error.where)}: " if error.where else ""
    sentence = f"{where}{shorten(error.what)}. {shorten(error.cure)}".rstrip()
    status = 400 if isinstance(error, DataError) else error.http_status
    return json_answer({"error": sentence}, status=status, headers=headers)


def infer(served: Served, request: Request, name: str, version: int | None) -> Answer:
    """Answer an inference request.

    Args:
        served: Slots, names and limits.
        request: Its body holds the tensors.
        name: Model.
        version: Version that is asked for; None for the one that should answer.

    Raises:
        RequestError: No such model or version, or inputs or outputs that are not the model's.
        DataError: A value breaks the contract; names row and column.
    """
    served.find(name, version)
    content, tail = _split(request)
    asked = decode_request(content)
    binaries = split_binary(asked.inputs, tail)
    wanted = [output.name for output in asked.outputs or ()]
    as_bytes = asked.as_bytes()

    def read(slot: Slot) -> Typed:
        slot.signature.check(wanted)
        table = slot.signature.read(asked.inputs, binaries, served.limits.rows)
        return slot.reader.type_columns(table.columns, table.rows)

    scored = score(served, request, name, read, version)
    tensors = scored.slot.signature.write(scored.answers, scored.outputs, wanted)
    return scored.answer(*_write(scored, tensors, asked.id, as_bytes))


def decode_request(content: bytes | memoryview) -> InferRequest:
    """Decode the JSON of an inference request; NaN, which some clients write, is a missing value.

    Raises:
        RequestError: 400 for malformed JSON or another shape.
    """
    try:
        return _decoder.decode(content)
    except msgspec.ValidationError as error:
        raise _misshapen(str(error)) from None
    except msgspec.DecodeError:
        return _decode_patiently(bytes(content))
    except (RecursionError, UnicodeDecodeError):
        raise _malformed() from None


def _decode_patiently(content: bytes) -> InferRequest:
    """Decode JSON that holds NaN or an infinity, as Python and the clients made with it write them."""
    if not any(word in content for word in (b"NaN", b"Infinity")):
        raise _malformed()
    try:
        return msgspec.convert(json.loads(content), InferRequest)
    except msgspec.ValidationError as error:
        raise _misshapen(str(error)) from None
    except (RecursionError, ValueError):
        raise _malformed() from None


def _misshapen(message: str) -> RequestError:
    """Explain JSON of another shape; msgspec's sentences hold a path and no values."""
    return RequestError(f"the body is not an inference request: {shorten(message, 160)}", cure=_EXAMPLE)


def _malformed() -> RequestError:
    return RequestError("the body is not valid JSON in UTF-8", cure=_EXAMPLE)


def _parts(path: str) -> tuple[str, int | None, str]:
    """Return model, version and what is asked about it.

    Raises:
        RequestError: 404 for a version that is no number.
    """
    name, _, rest = path[len(_MODELS) :].partition("/")
    if rest != "versions" and not rest.startswith("versions/"):
        return name, None, rest
    text, _, action = rest[len("versions/") :].partition("/")
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise RequestError.of(
            404, f"there is no version `{shorten(text, 20)}`", cure="Versions are numbers: 1, 2, 3 and so on."
        )
    return name, int(text), action


def _split(request: Request) -> tuple[bytes | memoryview, memoryview]:
    """Return the JSON of a body and the bytes behind it."""
    body = request.body
    header = request.headers.get(JSON_LENGTH)
    if header is None:
        return body, memoryview(b"")
    length = int(header) if header.isdigit() and len(header) <= 15 else -1
    if not 0 <= length <= len(body):
        raise RequestError(
            "`Inference-Header-Content-Length` is no length of a part of the body",
            cure="Set it to the number of bytes of the JSON.",
        )
    whole = memoryview(body)
    return whole[:length], whole[length:]


def _flag(parameters: Parameters, name: str) -> bool:
    """Return a parameter that is true or false, false when it is not there."""
    value = (parameters or {}).get(name, False)
    if not isinstance(value, bool):
        raise RequestError(f"the parameter `{name}` is neither true nor false", cure="Send true or false.")
    return value


def _write(
    scored: Scored, tensors: list[OutputTensor], asked_as: str | None, as_bytes: frozenset[str]
) -> tuple[bytes, Headers]:
    """Return body and headers of the answer to an inference request, which the client calls `asked_as`."""
    outputs, binaries = [], []
    for tensor in tensors:
        told: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if tensor.name in as_bytes:
            binaries.append(encode(tensor))
            told["parameters"] = {"binary_data_size": len(binaries[-1])}
        else:
            told["data"] = tensor.values
        outputs.append(told)
    content: dict[str, Any] = {"model_name": scored.slot.name, "model_version": str(scored.slot.version)}
    if asked_as is not None:
        content["id"] = asked_as
    content["parameters"] = {"prediction_id": scored.id, "notes": _notes(scored.typed)}
    content["outputs"] = outputs
    body = to_json(content)
    if not binaries:
        return body, JSON
    headers = ((b"content-type", b"application/octet-stream"), (JSON_LENGTH, str(len(body)).encode()))
    return b"".join((body, *binaries)), headers


def _notes(typed: Typed) -> int:
    """Return the number of columns that deserve a look."""
    return len(typed.unknown_levels) + len(typed.outside) + len(typed.unexpected)


def _server(_: Served) -> Answer:
    return json_answer({"name": "tiltyard", "version": __version__, "extensions": ["binary_tensor_data"]})


def _live(_: Served) -> Answer:
    return json_answer({"live": True})


def _ready(served: Served) -> Answer:
    """Ready when every model can be answered for and logged, and the server is not going away."""
    standing = served.standing
    if standing == "ready":
        return json_answer({"live": True, "ready": True})
    why = _NOT_READY.get(standing) or f"no champion here yet: {shorten(', '.join(served.unanswered), 120)}"
    return json_answer({"live": True, "ready": False, "error": why}, status=503)


def _model(served: Served, slot: Slot) -> Answer:
    versions = [slot.version] if slot.name not in served.slots else [served.slots[slot.name].version]
    versions += [other.version for other in served.beside(slot.name)]
    content = {
        "name": slot.name,
        "versions": [str(version) for version in sorted(set(versions))],
        "platform": PLATFORM,
        "inputs": slot.signature.inputs,
        "outputs": slot.signature.outputs,
        "properties": slot.signature.properties,
    }
    return json_answer(content)


def _model_ready(_: Served, slot: Slot) -> Answer:
    return json_answer({"name": slot.name, "ready": True})


_FIXED: dict[str, Callable[[Served], Answer]] = {
    "/v2": _server,
    "/v2/health/live": _live,
    "/v2/health/ready": _ready,
}
_OF_MODEL: dict[str, Callable[[Served, Slot], Answer]] = {"": _model, "ready": _model_ready}
