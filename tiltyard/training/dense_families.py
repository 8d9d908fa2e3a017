"""Families on the dense view: linear models, support vectors, nearest neighbours, neural networks; and the baseline."""

import math
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.utils.class_weight import compute_sample_weight

from tiltyard.bundle.model import Predictions
from tiltyard.bundle.neighbours import NeighboursClassifier, NeighboursRegressor
from tiltyard.bundle.transforms import ScaledTarget
from tiltyard.training.family import Facts, Family, Rows, Target, View, predict, quiet_fit
from tiltyard.training.space import Choice, Parameters, Real, Scalar, Space, Whole

KERNEL_ROWS = 10_000
"""Rows up to which a kernel machine is affordable: its time grows with their square."""

NEIGHBOUR_CELLS = 3_000_000
"""Rows * dense columns up to which one row finds its neighbours in a few milliseconds."""

MAX_EPOCHS = 120
PATIENCE = 8
"""Epochs without a gain after which a network has learnt what it can."""


class Dummy(Family):
    """The class frequencies or the mean: what any model must beat."""

    name = "dummy"
    view: View = "raw"

    def space(self, facts: Facts) -> Space:
        """Return nothing to vary."""
        del facts
        return {}

    def defaults(self, facts: Facts) -> tuple[dict[str, Scalar], ...]:
        """Return its one form."""
        del facts
        return ({},)

    def build(self, parameters: Parameters, facts: Facts, iterations: int | None = None) -> Any:
        """Return the baseline."""
        del parameters, iterations
        return DummyClassifier(strategy="prior") if facts.classes else DummyRegressor(strategy="mean")

    def work(self, parameters: Parameters, facts: Facts) -> float:
        """Return next to nothing."""
        del parameters
        return float(facts.rows)


class Linear(Family):
    """Logistic regression (ridge penalty); ridge, lasso and elastic net for values."""

    name = "linear"
    view: View = "dense"

    def space(self, facts: Facts) -> Space:
        """Return the strength of the penalty, and for values its kind."""
        strength = {"penalty": Real(1e-3, 1e4, log=True)}
        return strength if facts.classes else {**strength, "l1_ratio": Choice((0.0, 0.5, 1.0))}

    def defaults(self, facts: Facts) -> tuple[dict[str, Scalar], ...]:
        """Return a weak and a strong penalty."""
        kind: dict[str, Scalar] = {} if facts.classes else {"l1_ratio": 0.0}
        return ({"penalty": 1.0, **kind}, {"penalty": 30.0, **kind})

    def build(self, parameters: Parameters, facts: Facts, iterations: int | None = None) -> Any:
        """Return the linear model; `penalty` is the weight of the penalty beside the summed loss."""
        del iterations
        penalty = float(parameters["penalty"])
        if facts.classes:
            return LogisticRegression(C=1.0 / penalty, max_iter=300, tol=1e-3, class_weight=facts.class_weight)
        share = float(parameters["l1_ratio"])
        if share == 0.0:
            return Ridge(alpha=penalty)
        scale = penalty * math.sqrt(facts.spread) / facts.rows
        return ElasticNet(alpha=scale, l1_ratio=share, random_state=facts.seed)

    def work(self, parameters: Parameters, facts: Facts) -> float:
        """Return rows * columns * classes; a weak penalty takes more steps."""
        steps = 1.0 + max(0.0, 2.0 - math.log10(float(parameters["penalty"]))) / 2.0 if facts.classes else 1.0
        return facts.rows * facts.dense_columns * max(1, facts.outputs) * steps


class Svm(Family):
    """Support vectors, linear or with radial basis functions; probabilities by Platt's sigmoid."""

    name = "svm"
    view: View = "dense"

    def suits(self, facts: Facts) -> bool:
        """Whether kernels are affordable."""
        return facts.rows <= KERNEL_ROWS

    def space(self, facts: Facts) -> Space:
        """Return kernel, cost of an error and width; the linear kernel only where there are many rows."""
        kernels: tuple[Scalar, ...] = ("rbf", "linear") if self.suits(facts) else ("linear",)
        return {
            "kernel": Choice(kernels),
            "cost": Real(1e-2, 1e3, log=True),
            "gamma": Real(0.03, 10.0, log=True),
        }

    def defaults(self, facts: Facts) -> tuple[dict[str, Scalar], ...]:
        """Return two widths of the radial kernel, or the linear one."""
        if not self.suits(facts):
            return ({"kernel": "linear", "cost": 0.1, "gamma": 1.0},)
        return ({"kernel": "rbf", "cost": 3.0, "gamma": 0.5}, {"kernel": "rbf", "cost": 1.0, "gamma": 0.1})

    def build(self, parameters: Parameters, facts: Facts, iterations: int | None = None) -> Any:
        """Return the machine; `gamma` is relative to one over the number of dense columns."""
        del iterations
        cost, kernel = float(parameters["cost"]), str(parameters["kernel"])
        gamma = float(parameters["gamma"]) / facts.dense_columns
        if not facts.classes:
            return ScaledTarget(SVR(C=cost, kernel=kernel, gamma=gamma, cache_size=500))
        if kernel == "linear" and not self.suits(facts):
            machine = LinearSVC(C=cost, random_state=facts.seed)
        else:
            machine = SVC(C=cost, kernel=kernel, gamma=gamma, cache_size=500)
        return CalibratedClassifierCV(machine, method="sigmoid", cv=3, ensemble=False)

    def work(self, parameters: Parameters, facts: Facts) -> float:
        """Return rows² * columns, more where errors cost much."""
        effort: float = max(1.0, float(parameters["cost"])) ** 0.3
        return float(facts.rows) ** 2 * facts.dense_columns * effort

    def fit(self, model: Any, matrix: NDArray[np.float32], y: Target, facts: Facts) -> Any:
        """Fit; `balanced` weighs the rows, because the sigmoid must see the weights too."""
        return _fit_weighted(model, matrix, y, facts)


class Neighbours(Family):
    """The k nearest rows."""

    name = "knn"
    view: View = "dense"

    def suits(self, facts: Facts) -> bool:
        """Whether one row is answered fast enough; nearest rows cannot be weighed by class."""
        return facts.rows * facts.dense_columns <= NEIGHBOUR_CELLS and facts.class_weight is None

    def space(self, facts: Facts) -> Space:
        """Return how many neighbours count."""
        return {"neighbours": Whole(1, max(2, min(100, facts.rows // 4)), log=True), "p": Choice((2, 1))}

    def defaults(self, facts: Facts) -> tuple[dict[str, Scalar], ...]:
        """Return few neighbours for many classes, more for smooth answers."""
        wanted = 5 if facts.classes > 2 else 20
        return ({"neighbours": max(1, min(wanted, facts.rows // 4)), "p": 2},)

    def build(self, parameters: Parameters, facts: Facts, iterations: int | None = None) -> Any:
        """Return the model; neighbours never outnumber the rows."""
        del iterations
        count = min(int(parameters["neighbours"]), facts.rows)
        kind = NeighboursClassifier if facts.classes else NeighboursRegressor
        return kind(n_neighbors=count, p=1 if parameters["p"] == 1 else 2)

    def work(self, parameters: Parameters, facts: Facts) -> float:
        """Return rows² * columns: it is the scoring that takes the time."""
        return float(facts.rows) ** 2 * facts.dense_columns * (1.0 if parameters["p"] == 2 else 4.0)


class Network(Family):
    """A multi-layer perceptron trained by Adam; epochs stop early on the scoring rows."""

    name = "mlp"
    view: View = "dense"

    def space(self, facts: Facts) -> Space:
        """Return width, depth, weight decay and step."""
        del facts
        return {
            "width": Whole(16, 256, log=True),
            "layers": Whole(1, 3),
            "decay": Real(1e-6, 3.0, log=True),
            "rate": Real(3e-4, 2e-2, log=True),
        }

    def defaults(self, facts: Facts) -> tuple[dict[str, Scalar], ...]:
        """Return a middling network and a small, heavily decayed one."""
        first: dict[str, Scalar] = {"width": 96, "layers": 2, "decay": 1e-3, "rate": 2e-3}
        small: dict[str, Scalar] = {"width": 32, "layers": 1, "decay": 0.3, "rate": 3e-3}
        return (first, small) if facts.classes > 2 or not facts.classes else (small, first)

    def build(self, parameters: Parameters, facts: Facts, iterations: int | None = None) -> Any:
        """Return the network; all epochs are done when `iterations` says how many."""
        epochs = iterations or MAX_EPOCHS
        kind = MLPClassifier if facts.classes else MLPRegressor
        network = kind(
            hidden_layer_sizes=(int(parameters["width"]),) * int(parameters["layers"]),
            alpha=float(parameters["decay"]),
            learning_rate_init=float(parameters["rate"]),
            batch_size=max(1, min(256, max(32, facts.rows // 60), facts.rows)),
            max_iter=epochs,
            n_iter_no_change=epochs + 1,
            random_state=facts.seed,
        )
        return network if facts.classes else ScaledTarget(network)

    def work(self, parameters: Parameters, facts: Facts) -> float:
        """Return rows * weights."""
        width, layers = int(parameters["width"]), int(parameters["layers"])
        return facts.rows * (width * (facts.dense_columns + width * (layers - 1)) + 2000.0)

    def fit(self, model: Any, matrix: NDArray[np.float32], y: Target, facts: Facts) -> Any:
        """Fit all epochs; `balanced` weighs the rows, since networks know no class weights."""
        return _fit_weighted(model, matrix, y, facts)

    def fit_until(self, model: Any, train: Rows, valid: Rows, facts: Facts) -> tuple[Predictions, int | None]:
        """Fit epoch by epoch until the loss on the scoring rows stops falling; answer as the best epoch did."""
        network, y = model, train[1]
        if isinstance(model, ScaledTarget):
            network, scaled = model.estimator, copy(model)
            scaled.mean_, scaled.scale_ = float(y.mean()), float(y.std()) or 1.0
            y, model = np.asarray((y - scaled.mean_) / scaled.scale_, dtype=np.float64), scaled
            model.estimator_ = network
        options: dict[str, Any] = {"classes": np.arange(facts.classes)} if facts.classes else {}
        if facts.class_weight:
            options["sample_weight"] = compute_sample_weight(facts.class_weight, y)
        best, best_epoch, best_answer = math.inf, 1, None
        for epoch in range(1, MAX_EPOCHS + 1):
            network.partial_fit(train[0], y, **options)
            answer = predict(model, valid[0], facts.classes)
            loss = _loss(valid[1], answer)
            if best_answer is None or loss < best:
                best, best_epoch, best_answer = loss, epoch, answer
            elif epoch - best_epoch >= PATIENCE:
                break
        assert best_answer is not None
        return best_answer, best_epoch


def _fit_weighted(model: Any, matrix: NDArray[np.float32], y: Target, facts: Facts) -> Any:
    """Fit with a weight per row instead of one per class."""
    with quiet_fit():
        if facts.class_weight:
            return model.fit(matrix, y, sample_weight=compute_sample_weight(facts.class_weight, y))
        return model.fit(matrix, y)


def _loss(y: Target, answer: Predictions) -> float:
    """Return the log loss, or the mean squared error."""
    if answer.probabilities is None:
        return float(np.mean((answer.array - y) ** 2))
    chosen = answer.probabilities[np.arange(len(y)), y.astype(np.int64)]
    return float(-np.mean(np.log(np.clip(chosen, 1e-12, 1.0))))
