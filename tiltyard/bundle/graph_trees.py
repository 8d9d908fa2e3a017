"""Trees, forests and boosting as one double `TreeEnsemble` node.

The stock conversion sums leaves in float32, which is off by 2e-2 where the target is counted in thousands, and drops
where missing values go in scikit-learn's own trees. Splits and sums in double, and the direction of missing values at
every split, make the graph exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from tiltyard.bundle.graph_nodes import Answer, Nodes, tree_opset
from tiltyard.errors import BundleError


@dataclass(frozen=True)
class Tree:
    """One tree as arrays over its nodes; node 0 is the root.

    Attributes:
        leaf: Whether a node is a leaf, bool.
        feature: Column a node splits on, int64; any value in leaves.
        split: Left is x <= split, float64.
        missing_left: Whether NaN goes left, bool.
        left: Left child, int64; any value in leaves.
        right: Right child, int64.
        weight: What a leaf adds, float64; any value elsewhere.
        target: Output it is added to.
    """

    leaf: NDArray[np.bool_]
    feature: NDArray[np.int64]
    split: NDArray[np.float64]
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    weight: NDArray[np.float64]
    target: int = 0


def tree_probabilities(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write a decision tree, a random forest or extra trees for classes: the mean of the leaves' shares."""
    trees = [member.tree_ for member in getattr(model, "estimators_", [model])]
    table = nodes.double(nodes.single(rows))
    shares = [np.asarray(tree.value[:, 0, : len(model.classes_)], dtype=np.float64) for tree in trees]
    if len(model.classes_) == 2:
        plain = [_tree(tree, share[:, 1] / len(trees)) for tree, share in zip(trees, shares, strict=True)]
        return Answer(probabilities=nodes.binary(_sum(nodes, table, plain, 1)))
    offsets = np.cumsum([0, *(len(share) for share in shares)])
    numbered = [
        _tree(tree, np.arange(len(share), dtype=np.float64) + offset, target)
        for target, (tree, share, offset) in enumerate(zip(trees, shares, offsets[:-1], strict=True))
    ]
    reached = nodes.op("Cast", _sum(nodes, table, numbered, len(trees)), to=TensorProto.INT64)
    found = nodes.op("Gather", nodes.constant(np.concatenate(shares)), reached, axis=0)
    return Answer(probabilities=nodes.op("ReduceMean", found, nodes.constant([1]), keepdims=0))


def tree_value(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write a decision tree, a random forest or extra trees for values: the mean of the leaves."""
    trees = [member.tree_ for member in getattr(model, "estimators_", [model])]
    plain = [_tree(tree, tree.value[:, 0, 0] / len(trees)) for tree in trees]
    return Answer(values=nodes.flat(_sum(nodes, nodes.double(nodes.single(rows)), plain, 1)))


def boosted_probabilities(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write histogram gradient boosting for classes: sigmoid or softmax of the summed leaves."""
    decision = _boosted(nodes, model, rows)
    if len(model.classes_) == 2:
        return Answer(decision=decision, probabilities=nodes.binary(nodes.op("Sigmoid", decision)))
    return Answer(decision=decision, probabilities=nodes.op("Softmax", decision, axis=1))


def boosted_value(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write histogram gradient boosting for values; Poisson and gamma losses end in an exponential."""
    values = nodes.flat(_boosted(nodes, model, rows))
    link = type(model._loss.link).__name__  # noqa: SLF001  # the link is public nowhere else
    if link not in {"IdentityLink", "LogLink"}:
        raise BundleError(f"boosting with the loss `{model.loss}` has no graph", cure="Use `squared_error`.")
    return Answer(values=nodes.op("Exp", values) if link == "LogLink" else values)


def _boosted(nodes: Nodes, model: Any, rows: str) -> str:
    """Write baseline + sum of leaves, shape (n, outputs)."""
    stages = model._predictors  # noqa: SLF001  # the fitted trees are public nowhere else
    baseline = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1, -1)  # noqa: SLF001  # as above
    trees = [_boosted_tree(member.nodes, target) for stage in stages for target, member in enumerate(stage)]
    return nodes.op("Add", _sum(nodes, nodes.double(rows), trees, baseline.shape[1]), nodes.constant(baseline))


def _boosted_tree(table: Any, target: int) -> Tree:
    """Return a tree of histogram gradient boosting."""
    if table["is_categorical"].any():
        raise BundleError(
            "boosting with `categorical_features` has no exact graph", cure="Let it take categories as numbers."
        )
    return Tree(
        leaf=table["is_leaf"].astype(bool),
        feature=table["feature_idx"].astype(np.int64),
        split=table["num_threshold"].astype(np.float64),
        missing_left=table["missing_go_to_left"].astype(bool),
        left=table["left"].astype(np.int64),
        right=table["right"].astype(np.int64),
        weight=table["value"].astype(np.float64),
        target=target,
    )


def _tree(tree: Any, weight: NDArray[np.float64], target: int = 0) -> Tree:
    """Return a tree of scikit-learn's `tree` module, with what its leaves add."""
    return Tree(
        leaf=np.asarray(tree.children_left == -1),
        feature=np.asarray(tree.feature, dtype=np.int64),
        split=np.asarray(tree.threshold, dtype=np.float64),
        missing_left=np.asarray(tree.missing_go_to_left, dtype=bool),
        left=np.asarray(tree.children_left, dtype=np.int64),
        right=np.asarray(tree.children_right, dtype=np.int64),
        weight=np.asarray(weight, dtype=np.float64),
        target=target,
    )


def _sum(nodes: Nodes, table: str, trees: Sequence[Tree], targets: int) -> str:
    """Write the sum of the leaves reached, shape (n, targets)."""
    trees = [_with_a_split(tree) for tree in trees]
    inner = [~tree.leaf for tree in trees]
    nodes_before = np.cumsum([0, *(int(mask.sum()) for mask in inner)])
    leaves_before = np.cumsum([0, *(int(tree.leaf.sum()) for tree in trees)])
    children = [
        _children(tree, int(node), int(leaf))
        for tree, node, leaf in zip(trees, nodes_before[:-1], leaves_before[:-1], strict=True)
    ]
    true_ids, false_ids, true_leaves, false_leaves = (np.concatenate(part) for part in zip(*children, strict=True))

    def of_nodes(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(tree, name)[mask] for tree, mask in zip(trees, inner, strict=True)])

    weights = np.concatenate([tree.weight[tree.leaf] for tree in trees])
    owners = np.concatenate([np.full(int(tree.leaf.sum()), tree.target) for tree in trees])
    attributes = {
        "aggregate_function": 1,
        "post_transform": 0,
        "n_targets": targets,
        "tree_roots": nodes_before[:-1].tolist(),
        "nodes_featureids": of_nodes("feature").tolist(),
        "nodes_splits": numpy_helper.from_array(of_nodes("split").astype(np.float64)),
        "nodes_modes": numpy_helper.from_array(np.zeros(int(nodes_before[-1]), dtype=np.uint8)),
        "nodes_truenodeids": true_ids.tolist(),
        "nodes_falsenodeids": false_ids.tolist(),
        "nodes_trueleafs": true_leaves.astype(np.int64).tolist(),
        "nodes_falseleafs": false_leaves.astype(np.int64).tolist(),
        "nodes_missing_value_tracks_true": of_nodes("missing_left").astype(np.int64).tolist(),
        "leaf_targetids": owners.tolist(),
        "leaf_weights": numpy_helper.from_array(weights),
    }
    return tree_opset(nodes, attributes, table)


def _children(tree: Tree, nodes_before: int, leaves_before: int) -> tuple[NDArray[Any], ...]:
    """Return, for every split, number and kind (leaf or not) of its children, counted over all trees."""
    number = np.where(tree.leaf, np.cumsum(tree.leaf) - 1 + leaves_before, np.cumsum(~tree.leaf) - 1 + nodes_before)
    left, right = tree.left[~tree.leaf], tree.right[~tree.leaf]
    return number[left], number[right], tree.leaf[left], tree.leaf[right]


def _with_a_split(tree: Tree) -> Tree:
    """Return a tree that is only a leaf as one split with that leaf on both sides: the operator has no bare leaves."""
    if not tree.leaf[0]:
        return tree
    return Tree(
        leaf=np.array([False, True, True]),
        feature=np.zeros(3, dtype=np.int64),
        split=np.zeros(3),
        missing_left=np.zeros(3, dtype=bool),
        left=np.array([1, 1, 2]),
        right=np.array([2, 1, 2]),
        weight=np.repeat(tree.weight[0], 3),
        target=tree.target,
    )
