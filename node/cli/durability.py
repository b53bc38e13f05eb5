"""`tithe durability`: how likely it is to lose a file, by code, threshold and churn."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import duration, parse_duration
from node.cli.errors import Unusable
from node.cli.options import Json
from node.cli.output import note, print_json, show_facts

if TYPE_CHECKING:
    from node.durability import Risk

SHOWN_NINES = 300
"""More of them are not told apart."""


def add_to(app: typer.Typer) -> None:
    """Put this command into the command line."""
    app.command(rich_help_panel="Store files")(durability)


def durability(
    k: Annotated[int, typer.Option("--k", metavar="K", min=1, help="So many shards give it back.")] = 29,
    n: Annotated[int, typer.Option("--n", metavar="N", min=2, help="So many farmers have one each.")] = 80,
    threshold: Annotated[
        int | None,
        typer.Option(
            "--threshold",
            metavar="SHARDS",
            min=1,
            help="Repair when fewer are healthy. Default: what tithe rent run does, 52 for 29 of 80.",
            show_default=False,
        ),
    ] = None,
    lifetime: Annotated[
        str,
        typer.Option(
            "--lifetime",
            metavar="DURATION",
            help="Churn: how long a farmer stays on average.",
        ),
    ] = "180d",
    detection: Annotated[
        str,
        typer.Option(
            "--detection",
            metavar="DURATION",
            help="From its loss until it is missed: an audit, the grace.",
        ),
    ] = "8d",
    repair: Annotated[
        str, typer.Option("--repair", metavar="DURATION", help="From then until its shard is made good.")
    ] = "1d",
    years: Annotated[
        float, typer.Option("--years", metavar="YEARS", min=0.0, help="How long the file is kept.")
    ] = 1.0,
    segments: Annotated[
        int,
        typer.Option("--segments", metavar="COUNT", min=1, help="Of which each must live: one a 64 MiB."),
    ] = 1,
    as_json: Json = False,
) -> None:
    """Compute how likely a file is lost, for a code k of n that is repaired as farmers leave.

    A Markov chain: farmers leave independently of each other, a loss is noticed
    after a while, and repaired when fewer shards are healthy than the threshold.
    What all farmers have in common (one operator, one flood, one fault in the
    program) is not in it, nor is a renter that is away: docs/durability.md.

    For example:

        tithe durability
        tithe durability --k 4 --n 12 --lifetime 365d
        tithe durability --lifetime 90d --threshold 60 --years 10
    """
    from node.durability import YEAR, Risk, loss_within, mean_time_to_loss, nines
    from node.renter.health import repair_threshold

    chosen = repair_threshold(k, n) if threshold is None else threshold
    delay = parse_duration(detection) + parse_duration(repair)
    if not k < chosen <= n:
        raise Unusable(f"{chosen} is no threshold for {k} of {n}: it lies above k, and at most at n")
    risk = Risk(k, n, chosen, parse_duration(lifetime), delay)
    yearly, whole = loss_within(risk, YEAR, segments), loss_within(risk, years * YEAR, segments)
    mean = mean_time_to_loss(risk) / YEAR / segments
    if as_json:
        print_json(
            {
                "risk": risk,
                "segments": segments,
                "years": years,
                "yearly_loss": yearly,
                "loss": whole,
                "nines": min(nines(yearly), SHOWN_NINES),
                "mean_years_to_loss": min(mean, 10.0**SHOWN_NINES),
            }
        )
        return
    _show(risk, {"in a year": yearly, f"in {years:g} years": whole} if years != 1 else {"in a year": yearly})


def _show(risk: "Risk", losses: dict[str, float]) -> None:
    from node.durability import nines

    per_month = 30 * 86_400 / risk.lifetime
    show_facts(
        [
            ("code", f"{risk.k} of {risk.n}, repaired below {risk.threshold} healthy shards"),
            ("farmers", f"stay {duration(int(risk.lifetime))} on average: {per_month:.1%} leave in 30 days"),
            ("a lost shard", f"is back after {duration(int(risk.delay))}"),
            *(
                (f"lost {when}", f"with probability {loss:.2g}: {min(nines(loss), SHOWN_NINES):.1f} nines")
                for when, loss in losses.items()
            ),
        ]
    )
    note("Farmers are taken to leave independently of each other: see docs/durability.md.")
