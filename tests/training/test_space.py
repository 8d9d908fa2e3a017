import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.training.space import Choice, Dimension, Real, Whole, grid_values, neighbour, sample

reals = st.builds(
    lambda low, width, log: Real(low, low + width, log), st.floats(1e-6, 10), st.floats(1e-3, 100), st.booleans()
)
wholes = st.builds(
    lambda low, width, log: Whole(low, low + width, log), st.integers(1, 50), st.integers(1, 500), st.booleans()
)
choices = st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True).map(lambda options: Choice(tuple(options)))
dimensions: st.SearchStrategy[Dimension] = st.one_of(reals, wholes, choices)


def inside(dimension: Dimension, value: object) -> bool:
    if isinstance(dimension, Choice):
        return value in dimension.options
    assert isinstance(value, int | float)
    return dimension.low <= value <= dimension.high


@given(dimensions, st.floats(0, 1))
def test_every_position_gives_a_value_inside(dimension: Dimension, position: float) -> None:
    assert inside(dimension, dimension.at(position))


@given(st.one_of(reals, wholes), st.floats(0, 1))
def test_position_is_the_inverse_of_at(dimension: Real | Whole, position: float) -> None:
    value = dimension.at(position)
    again = dimension.at(dimension.position(value))
    assert np.isclose(float(again), float(value), rtol=1e-6)


@given(
    st.dictionaries(st.text(min_size=1), dimensions, min_size=1, max_size=6), st.floats(0.01, 2), st.integers(0, 2**32)
)
def test_a_neighbour_is_inside_and_repeatable(space: dict[str, Dimension], step: float, seed: int) -> None:
    centre = sample(space, np.random.default_rng(seed))
    first = neighbour(space, centre, step, np.random.default_rng(seed + 1))
    assert first == neighbour(space, centre, step, np.random.default_rng(seed + 1))
    assert all(inside(dimension, first[name]) for name, dimension in space.items())


@given(dimensions, st.integers(1, 6))
def test_a_grid_has_distinct_values_inside(dimension: Dimension, points: int) -> None:
    values = grid_values(dimension, points)
    assert values
    assert len(set(values)) == len(values)
    assert all(inside(dimension, value) for value in values)
