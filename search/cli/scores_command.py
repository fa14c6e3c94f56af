"""The subcommand ``kernas scores``."""

from __future__ import annotations

from typing import Any

from .exit_codes import DONE
from .options import ScoresOptions
from .printing import say, say_json


def run_scores(options: ScoresOptions) -> int:
    """Print the scores, the cheapest first, and return the exit code."""
    from ..scores.registry import COST_CLASSES, NAMED

    scores = described()
    if options.json:
        say_json(scores)
        return DONE
    width = max(len(score["name"]) for score in scores)
    lines: list[str] = []
    for cost, meaning in COST_CLASSES.items():
        lines.append(f"{cost}: {meaning}")
        for score in scores:
            if score["cost"] == cost:
                better = "higher" if score["higher_is_better"] else "lower"
                lines.append(
                    f"  {score['name']:<{width}}  {better:<6}  {score['meaning']} "
                    f"[{score['reference']}]"
                )
    lines.append(
        "nngp:METRIC@cosine and ntk:METRIC@centred read the kernel's cosines and the centred kernel"
    )
    lines.append(
        "log_rank(NAME, 2*NAME, ...), rank(...) and vote(...) combine the ranks of several, with "
        "their weights; some scores have short names:"
    )
    lines += [f"  {name:<{width}}  {text}" for name, text in NAMED.items()]
    say("\n".join(lines))
    return DONE


def described() -> list[dict[str, Any]]:
    """The known scores as JSON values: name, direction, cost class, a line and a reference."""
    from ..scores.registry import SCORES

    return [
        {
            "name": known.name,
            "higher_is_better": known.higher_is_better,
            "cost": known.cost,
            "meaning": known.text,
            "reference": known.reference,
        }
        for known in SCORES.values()
    ]
