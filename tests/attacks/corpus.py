"""Hostile bundles, made on the spot. Each is a good bundle with one change; where it says so, signed again.

What would run if anything did writes the canary: a file whose path stands in the environment variable `CANARY`.
"""

import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.serving.bundles import CONTRACT_OF_DEMAND, write_bundle
from tiltyard.bundle.manifest import CONTRACT, ENCODER, FILES, GOLDEN, GRAPH, MANIFEST, sha256

CANARY = "CANARY"
_NO_SHA = "0" * 64
_HUGE = 1 << 41


class Payload:
    """A pickle of this runs a command when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Say what to run."""
        return os.system, ('echo ran > "$CANARY"',)


@dataclass(frozen=True)
class Attack:
    """One change of a good bundle.

    Attributes:
        change: Makes it, given the bundle's folder.
        reason: What the refusal says, in part.
        signed: Whether the manifest is made to agree with what the files hold now.
    """

    change: Callable[[Path], object]
    reason: str
    signed: bool = False


def make(attack: Attack, folder: Path) -> Path:
    """Write a good bundle, attack it, and return where it is."""
    write_bundle(folder, CONTRACT_OF_DEMAND, [1.0])
    attack.change(folder)
    if attack.signed:
        sign(folder)
    return folder


def sign(folder: Path) -> None:
    """Make the manifest speak of the files as they are: whoever can write a bundle can do that."""
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"] = {name: sha256((folder / name).read_bytes()) for name in FILES}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def _put(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _json(name: str, change: Callable[[Any], object]) -> Callable[[Path], object]:
    def attack(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return attack


def _text(name: str, old: str, new: str) -> Callable[[Path], object]:
    def attack(folder: Path) -> None:
        content = (folder / name).read_text()
        assert old in content
        (folder / name).write_text(content.replace(old, new, 1))

    return attack


def _link(name: str, target: str) -> Callable[[Path], object]:
    def attack(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return attack


def _device(folder: Path) -> None:
    (folder / GRAPH).unlink()
    try:
        os.mknod(folder / GRAPH, 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        os.mkfifo(folder / GRAPH)


def _pipe(folder: Path) -> None:
    (folder / CONTRACT).unlink()
    os.mkfifo(folder / CONTRACT)


def _flip(name: str) -> Callable[[Path], object]:
    def attack(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 3] ^= 0x10
        (folder / name).write_bytes(content)

    return attack


def _swap(first: str, second: str) -> Callable[[Path], object]:
    def attack(folder: Path) -> None:
        contents = [(folder / name).read_bytes() for name in (second, first)]
        for name, content in zip((first, second), contents, strict=True):
            (folder / name).write_bytes(content)

    return attack


def _beside(name: str, content: bytes = b"") -> Callable[[Path], object]:
    def attack(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content or pickle.dumps(Payload()))

    return attack


def _zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("../../../tmp/escaped", "out")
    return sink.getvalue()


def _tarred() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("/etc/escaped"))
    return sink.getvalue()


def _archive(content: bytes) -> Callable[[Path], object]:
    def attack(folder: Path) -> None:
        shutil.rmtree(folder)
        folder.write_bytes(content)

    return attack


def _model(
    nodes: Sequence[onnx.NodeProto], tensors: Sequence[TensorProto] = (), domains: Sequence[str] = ("",)
) -> bytes:
    """Return a graph with the house's input and output around some nodes."""
    source = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 1])
    output = helper.make_tensor_value_info("values", TensorProto.DOUBLE, ["n"])
    graph = helper.make_graph(list(nodes), "hostile", [source], [output], list(tensors))
    opsets = [helper.make_opsetid(domain, 17 if domain == "" else 1) for domain in domains]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def outside(location: str = "/etc/passwd") -> TensorProto:
    """Return a tensor whose content is in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def _cast(name: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], ["values"], to=TensorProto.DOUBLE)


def _hidden_in(operator: str) -> bytes:
    """Return a graph with a tensor from another file two graphs deep."""
    leaf = helper.make_graph([helper.make_node("Constant", [], ["c"], value=outside())], "leaf", [], [])
    node = helper.make_node("If", ["x"], ["y"], then_branch=leaf, else_branch=leaf)
    inner = helper.make_graph([node], "inner", [], [])
    bodies = {"body": inner} if operator in {"Loop", "Scan"} else {"then_branch": inner, "else_branch": inner}
    return _model([helper.make_node(operator, ["x"], ["z"], **bodies)])


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def long_keys() -> bytes:
    """Return a graph whose tensor points outside by keys of 33 bits, of which protobuf's parsers keep 32."""
    entry: bytes = onnx.StringStringEntryProto(key="location", value="/etc/passwd").SerializeToString()
    beyond = 1 << 32
    tensor: bytes = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1]).SerializeToString()
    tensor += varint(13 << 3 | 2 | beyond) + varint(len(entry)) + entry + varint(14 << 3 | beyond) + b"\x01"
    node: bytes = helper.make_node("Add", ["rows", "w"], ["sum"]).SerializeToString()
    return _model([]) + _field(7, _field(1, node) + _field(5, tensor))


def _bomb(size: int) -> bytes:
    """Return a graph that makes a tensor of so many doubles out of nothing, which is done when it is loaded."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [size])
    zero = helper.make_tensor("zero", TensorProto.DOUBLE, [1], [1.0])
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["much"], value=zero),
        helper.make_node("ReduceSum", ["much"], ["all"], keepdims=0),
        helper.make_node("Squeeze", ["rows", "axis"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Add", ["wide", "all"], ["values"]),
    ]
    return _model(nodes, [shape, helper.make_tensor("axis", TensorProto.INT64, [1], [1])])


def _claims(dims: Sequence[int]) -> bytes:
    """Return a graph with an initializer that claims a shape and holds one number."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=b"\0\0\0\0")
    return _model([helper.make_node("Add", ["rows", "w"], ["sum"]), _cast("sum")], [tensor])


def endless() -> bytes:
    """Return a graph that is in order and never comes to an end."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Add", ["state", "state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.DOUBLE, ["n"]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.DOUBLE, ["n"]),
        ],
    )
    nodes = [
        helper.make_node("Squeeze", ["rows", "axis"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Loop", ["most", "yes", "wide"], ["values"], body=body),
    ]
    tensors = [
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("most", TensorProto.INT64, [], [2**62]),
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
    ]
    return _model(nodes, tensors)


def _deep(levels: int) -> bytes:
    node = b""
    for _ in range(levels):
        node = _field(5, _field(6, _field(1, node)))
    return _model([]) + _field(7, _field(1, node))


def _field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def _noted(note: str) -> Callable[[Path], object]:
    """Attack the note in which a graph carries its folded form."""

    def attack(folder: Path) -> None:
        model = onnx.ModelProto.FromString((folder / GRAPH).read_bytes())
        helper.set_model_props(model, {"tiltyard.folded": note})
        (folder / GRAPH).write_bytes(model.SerializeToString())

    return attack


def _grow(name: str) -> Callable[[Path], object]:
    return lambda folder: os.truncate(folder / name, _HUGE)


PICKLE = pickle.dumps(Payload())
_EVIL = helper.make_node("Run", ["rows"], ["values"], domain="evil.ops")
_CONTEXT = helper.make_node(
    "EPContext", ["rows"], ["values"], domain="com.microsoft", embed_mode=0, ep_cache_context="/etc/passwd"
)
_CALLABLE = {"name": "price", "kind": "number", "convert": "os:system"}
_NEST = "[" * 200_000 + "]" * 200_000
_NOT_IT = "is not the file the manifest speaks of"
_NO_MODEL = "`model.onnx` is not an ONNX model"
_REFUSES = "onnxruntime refuses `model.onnx`"
_ELSEWHERE = "refers to data in another file"

ATTACKS: dict[str, Attack] = {
    "pickle as the manifest": Attack(_put(MANIFEST, PICKLE), "not a valid manifest"),
    "pickle as the graph": Attack(_put(GRAPH, PICKLE), "model.onnx", signed=True),
    "pickle as the contract": Attack(_put(CONTRACT, PICKLE), "not a valid contract", signed=True),
    "pickle as the encoder": Attack(_put(ENCODER, PICKLE), "not a valid encoder", signed=True),
    "pickle as the golden rows": Attack(_put(GOLDEN, PICKLE), "not a valid golden", signed=True),
    "pickle beside": Attack(_beside("model.pkl"), "holds `model.pkl`"),
    "skops beside": Attack(_beside("model.skops", _zipped()), "holds `model.skops`"),
    "module beside": Attack(_beside("__init__.py", b"import os"), "holds `__init__.py`"),
    "start-up hook beside": Attack(_beside("sitecustomize.py", b"import os"), "holds `sitecustomize.py`"),
    "MLmodel with a loader": Attack(
        _beside("MLmodel", b"flavors:\n  python_function:\n    loader_module: evil\n    code: code\n"),
        "holds `MLmodel`",
    ),
    "code folder": Attack(_beside("code/evil.py", b"import os"), "holds `code`"),
    "tensor file beside": Attack(_beside("model.onnx.data", b"\0" * 64), "holds `model.onnx.data`"),
    "name with a line break": Attack(_beside("a\nb", b"x"), "which is not a file of a bundle"),
    "zip as the graph": Attack(_put(GRAPH, _zipped()), _NO_MODEL, signed=True),
    "zip for the folder": Attack(_archive(_zipped()), "cannot be read as a bundle"),
    "tar for the folder": Attack(_archive(_tarred()), "cannot be read as a bundle"),
    "wrong sum": Attack(_json(MANIFEST, lambda told: told["files"].update({GRAPH: _NO_SHA})), _NOT_IT),
    "sum of another length": Attack(
        _json(MANIFEST, lambda told: told["files"].update({GRAPH: "0"})), "files.model.onnx"
    ),
    "absolute path": Attack(
        _json(MANIFEST, lambda told: told["files"].update({"/etc/passwd": _NO_SHA})), "/etc/passwd"
    ),
    "path above": Attack(_json(MANIFEST, lambda told: told["files"].update({"../x": _NO_SHA})), "`../x` is not a file"),
    "manifest that names a loader": Attack(_json(MANIFEST, lambda told: told.update(loader="os:system")), "`loader`"),
    "manifest twice over": Attack(
        _text(MANIFEST, '"files":{', f'"files":{{"{GRAPH}":"{_NO_SHA}","{GRAPH}":"{_NO_SHA}",'), "twice"
    ),
    "manifest of another encoding": Attack(
        lambda folder: (folder / MANIFEST).write_text((folder / MANIFEST).read_text(), encoding="utf-16"), "not a valid"
    ),
    "manifest with NaN": Attack(_json(MANIFEST, lambda told: told.update(latency_ms=float("nan"))), "`latency_ms`"),
    "endless tolerance": Attack(
        _json(MANIFEST, lambda told: told["parity"].update(tolerance=float("inf"))), "`parity.tolerance`"
    ),
    "endless threshold": Attack(_json(MANIFEST, lambda told: told.update(threshold=1e999)), "`threshold`"),
    "number of a thousand digits": Attack(_text(MANIFEST, '"rows":1', '"rows":1' + "0" * 1_000), "not a valid"),
    "deep manifest": Attack(_put(MANIFEST, _NEST.encode()), "not a valid manifest"),
    "deep contract": Attack(_put(CONTRACT, _NEST.encode()), "not a valid contract", signed=True),
    "deep golden rows": Attack(_put(GOLDEN, ('{"columns":' * 50_000).encode()), "not a valid golden", signed=True),
    "link to a secret": Attack(_link(GRAPH, "/etc/passwd"), "`model.onnx` is a link"),
    "link for the manifest": Attack(_link(MANIFEST, "/etc/passwd"), "`manifest.json` is a link"),
    "link to nowhere": Attack(_link(GOLDEN, "nowhere"), "`golden.json` is a link"),
    "link to endless zeros": Attack(_link(CONTRACT, "/dev/zero"), "`contract.json` is a link"),
    "device": Attack(_device, "`model.onnx` is not a regular file"),
    "pipe": Attack(_pipe, "`contract.json` is not a regular file"),
    "graph of two terabytes": Attack(_grow(GRAPH), "at most"),
    "contract of two terabytes": Attack(_grow(CONTRACT), "at most"),
    "manifest of two terabytes": Attack(_grow(MANIFEST), "at most"),
    **{f"a byte of {name}": Attack(_flip(name), _NOT_IT) for name in FILES},
    "files exchanged": Attack(_swap(CONTRACT, GOLDEN), _NOT_IT),
    "files exchanged and signed": Attack(_swap(CONTRACT, GOLDEN), "not a valid contract", signed=True),
    "contract that names a callable": Attack(
        _json(CONTRACT, lambda told: told["columns"].append(_CALLABLE)), "convert", signed=True
    ),
    "kind that is a path of import": Attack(
        _json(CONTRACT, lambda told: told["columns"][0].update(kind="os.system")), "kind", signed=True
    ),
    "encoder that names a callable": Attack(
        _json(ENCODER, lambda told: told["columns"][0].update(function="builtins.eval")), "function", signed=True
    ),
    "encoder of another model": Attack(
        _json(ENCODER, lambda told: told["columns"][0].update(column="__class__")), "`__class__`", signed=True
    ),
    "golden rows without answers": Attack(
        _json(GOLDEN, lambda told: told.update(expected=[])), "golden.json", signed=True
    ),
    "golden rows of another width": Attack(
        _json(GOLDEN, lambda told: told.update(expected=[[1.0] * 9])), "golden.json", signed=True
    ),
    "folded form of another model": Attack(
        _noted('{"terms":[],"intercept":0,"answer":"value"}'), "folded", signed=True
    ),
    "folded form with code": Attack(_noted('{"terms":["__import__(\'os\')"]}'), "not a valid folded", signed=True),
    "tensor in another file": Attack(_put(GRAPH, _model([_cast("w")], [outside()])), _ELSEWHERE, signed=True),
    "tensor in a file above": Attack(_put(GRAPH, _model([_cast("w")], [outside("../../x")])), _ELSEWHERE, signed=True),
    "tensor in memory": Attack(
        _put(GRAPH, _model([_cast("w")], [outside("*/_ORT_MEM_ADDR_/*")])), _ELSEWHERE, signed=True
    ),
    "tensor in another file, in an If": Attack(_put(GRAPH, _hidden_in("If")), _ELSEWHERE, signed=True),
    "tensor in another file, in a Loop": Attack(_put(GRAPH, _hidden_in("Loop")), _ELSEWHERE, signed=True),
    "tensor in another file, in a Scan": Attack(_put(GRAPH, _hidden_in("Scan")), _ELSEWHERE, signed=True),
    "tensor in another file, behind long keys": Attack(_put(GRAPH, long_keys()), _NO_MODEL, signed=True),
    "graph in another format": Attack(_put(GRAPH, b"\x0a\x7f\0\0ORTM" + b"\0" * 200), "model.onnx", signed=True),
    "operator of its own": Attack(_put(GRAPH, _model([_EVIL], domains=("", "evil.ops"))), _REFUSES, signed=True),
    "compiled context": Attack(_put(GRAPH, _model([_CONTEXT], domains=("", "com.microsoft"))), _REFUSES, signed=True),
    "tensor that claims to be huge": Attack(_put(GRAPH, _claims([1 << 40])), _REFUSES, signed=True),
    "tensor whose size overflows": Attack(_put(GRAPH, _claims([1 << 32, 1 << 32])), _REFUSES, signed=True),
    "tensor of negative size": Attack(_put(GRAPH, _claims([-1])), _REFUSES, signed=True),
    "tensor bomb": Attack(_put(GRAPH, _bomb(1 << 36)), "cannot answer the golden rows", signed=True),
    "graphs in graphs": Attack(_put(GRAPH, _deep(60)), "nested too deeply", signed=True),
    "graph without the input": Attack(
        _put(GRAPH, helper.make_model(helper.make_graph([], "g", [], [])).SerializeToString()),
        "model.onnx",
        signed=True,
    ),
    "random bytes as the graph": Attack(_put(GRAPH, np.random.default_rng(1).bytes(10_000)), "model.onnx", signed=True),
}
