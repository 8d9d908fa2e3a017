"""The table of all servers, and how many times more the peers cost."""

from collections.abc import Mapping, Sequence

from benchmarks.serving.contenders import NGINX_NAME, TILTYARD
from benchmarks.serving.running import BATCH, SETTINGS, Figures, Measured

ONE, MANY, WHOLE = (1, 1), (32, 1), (1, BATCH)
REACH: dict[str, dict[tuple[int, int], float]] = {
    "mlflow models serve": {ONE: 100, MANY: 250, WHOLE: 20},
    "MLServer": {ONE: 90, MANY: 200, WHOLE: 20},
    "BentoML": {ONE: 70, WHOLE: 20},
    "BentoML, adaptive batching": {MANY: 50},
    "FastAPI + pandas + sklearn": {ONE: 60, MANY: 150, WHOLE: 20},
    "FastAPI + ONNX Runtime": {ONE: 3, MANY: 5, WHOLE: 4},
}
"""How many times the CPU of Tiltyard each peer is meant to need, at least."""

FLOOR = {ONE: 3.0, MANY: 9.0}
"""How many times the CPU of nginx Tiltyard may need, at most."""

WORKER_MB, FIRST_SECONDS, P50_MS = 80.0, 1.0, 0.2


def table(found: Sequence[Measured]) -> str:
    """Return the figures of all servers in one table."""
    width = max(len(measured.name) for measured in found)
    setting = f"{'conn.':>6}{'rows':>6}"
    head = f"{'CPU µs':>10}{'of worker':>11}{'req/s':>9}{'p50 ms':>10}{'p99 ms':>10}{'errors':>8}"
    lines = [f"{'server':<{width}}{setting}{head}{'MB worker/all':>15}{'first 200':>11}"]
    for measured in found:
        lines += _lines(measured, width)
    return "\n".join(lines)


def _lines(measured: Measured, width: int) -> list[str]:
    if measured.absent:
        return [f"{measured.name:<{width}}  absent: {measured.absent}"]
    lines = []
    for connections, rows in SETTINGS:
        figures = measured.figures[connections, rows]
        memory = f"{measured.worker_mb:.0f} / {measured.tree_mb:.0f}"
        ends = f"{memory:>15}{measured.first:>9.2f} s" if (connections, rows) == ONE else ""
        name = measured.name if ends else ""
        lines.append(f"{name:<{width}}{connections:>6}{rows:>6}{_figures(figures)}{ends}")
    return lines


def _figures(figures: Figures) -> str:
    costs = f"{figures.cpu:>10,.1f}{figures.worker_cpu:>11,.1f}{figures.rate:>9,.0f}"
    return f"{costs}{figures.p50:>10.2f}{figures.p99:>10.2f}{sum(figures.errors.values()):>8}"


def ratios(found: Sequence[Measured]) -> str:
    """Return the ratios over each peer beside what is wanted."""
    by_name = {measured.name: measured for measured in found if not measured.absent}
    own = by_name.get(TILTYARD)
    if own is None:
        return "Tiltyard did not take part: no ratios."
    lines = [f"{'CPU of the peer over that of Tiltyard':<42}{'1 connection':>22}{'32':>22}{'batch of 100':>22}"]
    for name, wanted in REACH.items():
        if name in by_name:
            cells = [_cell(own, by_name[name], setting, wanted) for setting in (ONE, MANY, WHOLE)]
            lines.append(f"{name:<42}" + "".join(f"{cell:>22}" for cell in cells))
    if NGINX_NAME in by_name:
        cells = [_floor(own, by_name[NGINX_NAME], setting) for setting in (ONE, MANY)]
        lines.append(f"{'Tiltyard over nginx':<42}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join([*lines, _own(own)])


def _cell(own: Measured, peer: Measured, setting: tuple[int, int], wanted: Mapping[tuple[int, int], float]) -> str:
    ratio = peer.figures[setting].cpu / own.figures[setting].cpu
    if setting not in wanted:
        return f"{ratio:.1f}"
    return f"{ratio:.1f} (≥ {wanted[setting]:g}: {_yes(ratio >= wanted[setting])})"


def _floor(own: Measured, floor: Measured, setting: tuple[int, int]) -> str:
    ratio = own.figures[setting].cpu / floor.figures[setting].cpu
    return f"{ratio:.1f} (≤ {FLOOR[setting]:g}: {_yes(ratio <= FLOOR[setting])})"


def _own(own: Measured) -> str:
    p50 = own.figures[ONE].p50
    return (
        f"Tiltyard: worker {own.worker_mb:.0f} MB (≤ {WORKER_MB:g}: {_yes(own.worker_mb <= WORKER_MB)}),"
        f" first 200 after {own.first:.2f} s (≤ {FIRST_SECONDS:g}: {_yes(own.first <= FIRST_SECONDS)}),"
        f" p50 at one connection {p50:.3f} ms (≤ {P50_MS:g}: {_yes(p50 <= P50_MS)})"
    )


def _yes(reached: bool) -> str:
    return "yes" if reached else "no"
