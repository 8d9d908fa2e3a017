"""The model card: one HTML page that stands alone, to read or to print (after Mitchell et al. 2019)."""

import base64
from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.evaluation.records import Scorecard, Verdict
from tiltyard.evaluation.wording import amount, chance, interval, size, title
from tiltyard.project.metrics import METRICS
from tiltyard.project.model import Project
from tiltyard.project.section import Section

_MOST_LEVELS = 12


class CardFacts(Section):
    """What the card says beside scores and verdict.

    Attributes:
        project: Name of the project.
        purpose: What the model is for, from the project file.
        source: Where the rows came from, in words.
        version: Version in the registry; empty before it has one.
        model: Family and parameters in a sentence.
        created: When, as text.
        facts: Further lines about data and split, such as ("Rows for training", "18,000").
        limits: Further limits that are known, one sentence each.
    """

    project: str
    purpose: str = ""
    source: str = ""
    version: str = ""
    model: str = ""
    created: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    limits: tuple[str, ...] = ()

    @classmethod
    def of(cls, project: Project, **more: str | tuple[tuple[str, str], ...] | tuple[str, ...]) -> "CardFacts":
        """Return what the project file says, and `more` of the other fields.

        The source is named by its kind and path, table or function only: an address may hold a secret.
        """
        source = project.data.source
        place = getattr(source, "path", None) or getattr(source, "name", None) or getattr(source, "function", None)
        words = f"{source.kind}: {place}" if place else source.kind
        return cls.model_validate({"project": project.name, "purpose": project.purpose, "source": words, **more})


def render_card(
    card: CardFacts,
    contract: Contract,
    scorecard: Scorecard,
    *,
    champion: Scorecard | None = None,
    verdict: Verdict | None = None,
    plots: Mapping[str, bytes] | None = None,
) -> str:
    """Render the model card.

    Args:
        card: Purpose, source and other facts.
        contract: What the columns are.
        scorecard: What the model is worth.
        champion: What the champion is worth on its own unseen rows, to stand beside it.
        verdict: What the gate decided.
        plots: PNG pictures by name, from `draw_plots`.

    Returns:
        One HTML page: no script, nothing loaded from elsewhere; every text escaped.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("tiltyard.evaluation").joinpath("card.html.j2").read_text("utf-8"))
    return template.render(
        card=card,
        columns=contract.columns,
        scorecard=scorecard,
        champion=champion,
        verdict=verdict,
        plots=[(name, base64.b64encode(picture).decode()) for name, picture in (plots or {}).items()],
        limits=_limits(contract, scorecard, verdict) + card.limits,
        title=title,
        amount=amount,
        interval=interval,
        chance=chance,
        size=size,
        greater=lambda name: METRICS[name].greater_is_better,
        values=_values,
    )


def _values(column: Column) -> str:
    """Return a column's range or levels in words; nothing of identifiers and free texts."""
    if column.levels:
        shown = ", ".join(column.levels[:_MOST_LEVELS])
        rest = len(column.levels) - _MOST_LEVELS
        return f"{shown} and {rest} more" if rest > 0 else shown
    if column.minimum is not None and column.maximum is not None:
        return f"{column.minimum:g} to {column.maximum:g}"
    return ""


def _limits(contract: Contract, scorecard: Scorecard, verdict: Verdict | None) -> tuple[str, ...]:
    """Return what the reader must not conclude, as far as the records tell."""
    limits = [
        f"Judged on {scorecard.rows:,} rows of the same source as the training table; others and later ones differ.",
        "Rows outside the ranges and levels above were not seen; answers to them are extrapolation.",
        "Importance says what the model relies on, not what causes the outcome.",
    ]
    if scorecard.weakest:
        limits.append(scorecard.weakest)
    if scorecard.slices and scorecard.primary in {"roc_auc", "pr_auc", "r2"}:
        limits.append(
            f"{title(scorecard.primary)} is naturally lower in groups cut by a column that the model relies on: "
            "such rows are more alike."
        )
    if any(column.kind is Kind.TEXT and column.role is Role.FEATURE for column in contract.columns):
        limits.append("Texts count as their length and hashed words only; word order and meaning are not seen.")
    if verdict is not None and verdict.mode == "non_inferiority":
        limits.append("It entered as no worse than the champion before it; that it is better was not required.")
    rare = [one.name for one in scorecard.report if one.rows < 30]
    if rare:
        limits.append(f"Fewer than 30 rows judged the class {', '.join(rare)}: its figures are rough.")
    return tuple(limits)
