"""`tithe ls, stat`: what is stored, and how it is."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import coins, counted, moment, size
from node.cli.options import ChainName, Json
from node.cli.output import note, plain, print_json, short, show_facts, show_table
from node.cli.renter import Access, Opened, with_renter

if TYPE_CHECKING:
    from node.renter.health import SegmentHealth
    from node.renter.repair_reports import PlannedRepair
    from node.renter.reports import FileHealth, FileInfo, ShardInfo

PANEL = "Store files"


def add_to(app: typer.Typer) -> None:
    """Put these commands into the command line."""
    for command in (ls, stat):
        app.command(rich_help_panel=PANEL)(command)


def ls(chain: ChainName = None, as_json: Json = False) -> None:
    """List the stored files, how they are, and until when they are safe.

    Good: enough shards are healthy. Weak: to be repaired. See tithe stat.

    For example:

        tithe ls
    """

    async def work(opened: Opened) -> "tuple[FileInfo, ...]":
        return opened.renter.files.ls()

    infos = with_renter(chain, Access(chain_may_be_away=True), work)
    if as_json:
        print_json(infos)
    elif not infos:
        note("Nothing is stored: tithe put FILE")
    else:
        show_table(
            ("file", ">size", "shape", "health", "stored", "agreed until", "safe until"),
            [
                (
                    info.name,
                    size(info.size),
                    f"{info.k} of {info.n}",
                    info.condition.value,
                    moment(info.created_at),
                    moment(info.ends_at),
                    moment(info.safe_until) if info.safe_until else "NOT SAFE",
                )
                for info in infos
            ],
        )


def stat(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A stored file.")],
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """Show a file's health: its segments, and each shard, its farmer, its last audit.

    A shard counts unless its farmer failed an audit, has not answered for longer than
    the grace, was forgotten, or has an agreement that ends and was not renewed.

    For example:

        tithe stat holiday.mp4
    """

    async def work(opened: Opened) -> "tuple[Opened, FileHealth, tuple[PlannedRepair, ...]]":
        return opened, opened.renter.files.stat(name), opened.renter.repairs.plan([name])

    opened, health, plans = with_renter(chain, Access(chain_may_be_away=True), work)
    if as_json:
        print_json({**plain(health), "repairs": plain(plans)})
        return
    info = health.file
    worst = min(health.segments, key=lambda segment: segment.slack)
    show_facts(
        [
            ("file", info.name),
            ("size", f"{size(info.size)} in {counted(info.segments, 'segment')}"),
            ("SHA-256", info.sha256.hex()),
            ("health", _tell_worst(worst)),
            ("repair", _tell_plans(plans, opened)),
            ("kept until", "you remove it" if info.kept_until is None else moment(info.kept_until)),
            ("agreed until", moment(info.ends_at)),
            (
                "safe until",
                f"{moment(info.safe_until)} without tithe rent run" if info.safe_until else "NOT SAFE",
            ),
        ]
    )
    show_table(
        (">segment", ">shard", "farmer", "stands", "last audit", "when", "agreed until"),
        [
            (
                str(shard.segment),
                str(shard.index),
                short(shard.farmer),
                shard.standing.value,
                *_last_audit(shard),
                moment(shard.ends_at),
            )
            for shard in health.shards
        ],
    )


def _tell_worst(worst: "SegmentHealth") -> str:
    shards = f"{worst.healthy} of {worst.n} shards of the worst segment"
    return f"{worst.condition.value}: {shards}, {worst.k} are needed, repaired below {worst.threshold}"


def _tell_plans(plans: "tuple[PlannedRepair, ...]", opened: Opened) -> str:
    if not plans:
        return "none is due"
    moved, price = sum(plan.bytes for plan in plans), sum(plan.price for plan in plans)
    what = f"{counted(sum(len(plan.health.missing) for plan in plans), 'shard')} to be made anew"
    return f"{what}: moves {size(moved)}, costs about {coins(price, opened.token)} (tithe repair)"


def _last_audit(shard: "ShardInfo") -> tuple[str, str]:
    """What the last audit came to, and when; one that is not answered yet comes first."""
    if shard.unanswered_since is not None:
        return "no answer yet", moment(shard.unanswered_since)
    if shard.outcome is None or shard.checked_at is None:
        return "none yet", ""
    return shard.outcome.name, moment(shard.checked_at)
