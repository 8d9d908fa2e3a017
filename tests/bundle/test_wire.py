"""The look into an ONNX file finds every way to point outside, and nothing else."""

import onnx
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tiltyard.bundle.wire import CHILDREN, DATA_LOCATION, EXTERNAL_DATA, refuse_external_data
from tiltyard.errors import BundleError


def outside() -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def model_of(node: onnx.NodeProto, *tensors: TensorProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph([node], "g", [], [], list(tensors)))


def nested(tensor: TensorProto) -> onnx.ModelProto:
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "inner", [], [])
    return model_of(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))


def in_function(tensor: TensorProto) -> onnx.ModelProto:
    model = model_of(helper.make_node("Identity", ["x"], ["y"]))
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    model.functions.append(helper.make_function("d", "f", [], ["c"], [node], [helper.make_opsetid("", 21)]))
    return model


def sparse(tensor: TensorProto) -> onnx.ModelProto:
    model = model_of(helper.make_node("Identity", ["x"], ["y"]))
    model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    return model


HIDING_PLACES = {
    "initializer": lambda tensor: model_of(helper.make_node("Identity", ["w"], ["y"]), tensor),
    "attribute": lambda tensor: model_of(helper.make_node("Constant", [], ["y"], value=tensor)),
    "inner graph": nested,
    "function": in_function,
    "sparse": sparse,
}


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_external_data_is_found_wherever_it_hides(place: str) -> None:
    with pytest.raises(BundleError, match="another file"):
        refuse_external_data(HIDING_PLACES[place](outside()).SerializeToString())
    refuse_external_data(HIDING_PLACES[place](helper.make_tensor("w", 1, [1], [1.0])).SerializeToString())


def test_long_lists_of_numbers_before_it_do_not_hide_it() -> None:
    node = helper.make_node("TreeEnsemble", ["x"], ["y"], ids=[*range(-5, 100_000)], floats=[0.5] * 1000)
    with pytest.raises(BundleError, match="another file"):
        refuse_external_data(model_of(node, outside()).SerializeToString())


def test_field_numbers_are_those_of_the_library() -> None:
    for message, children in CHILDREN.items():
        fields = getattr(onnx, message).DESCRIPTOR.fields
        leading = {"TensorProto", *CHILDREN}
        found = {f.number: f.message_type.name for f in fields if f.message_type and f.message_type.name in leading}
        assert found == children, message
    names = TensorProto.DESCRIPTOR.fields_by_name
    assert (names["external_data"].number, names["data_location"].number) == (EXTERNAL_DATA, DATA_LOCATION)


def points_outside(message: Message) -> bool:
    """Whether a message or one within it is a tensor with its data elsewhere, by the library's own reading."""
    if isinstance(message, TensorProto) and (message.data_location == TensorProto.EXTERNAL or message.external_data):
        return True
    parts = (value for field, value in message.ListFields() if field.message_type)
    inner = (part for value in parts for part in ([value] if isinstance(value, Message) else value))
    return any(points_outside(part) for part in inner)


def is_accepted(content: bytes) -> bool:
    try:
        refuse_external_data(content)
    except BundleError:
        return False
    return True


def points_outside_for_the_library(content: bytes) -> bool:
    try:
        return points_outside(onnx.ModelProto.FromString(content))
    except DecodeError:
        return False


@given(st.binary(max_size=200))
def test_of_any_bytes_none_that_point_outside_are_accepted(content: bytes) -> None:
    assert not (is_accepted(content) and points_outside_for_the_library(content))


@given(st.integers(0, 400))
def test_a_model_that_was_cut_off_is_read_or_refused(length: int) -> None:
    whole = HIDING_PLACES["inner graph"](outside()).SerializeToString()
    part = whole[:length]
    if part == whole or points_outside_for_the_library(part):
        assert not is_accepted(part)
