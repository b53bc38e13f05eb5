"""`tithe farm scan, trash, restore-trash`: a farmer's disk, what is damaged on it, what was put aside."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import counted, moment, size
from node.cli.errors import NotDone, Unusable
from node.cli.farm_owner import ask_scan, ask_take_back, load_config, open_books, running_target
from node.cli.key_files import load_node_key
from node.cli.options import ChainName, Json
from node.cli.output import note, print_json, say, show_facts, show_table, waiting
from node.cli.session import deployment, home, run
from node.clock import wall_clock
from payments.types import Timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.farmer.holdings import Holdings
    from node.farmer.scanner import Scan
    from node.farmer.trash import TakenBack
    from node.home import Home
    from node.shard_store import ShardStore
    from settlement.database import Database
    from settlement.deployment import Deployment

group = typer.Typer()

Now = Annotated[bool, typer.Option("--now", help="Read everything now, as fast as the disk allows.")]
All = Annotated[bool, typer.Option("--all", help="All that may be taken back.")]
Names = Annotated[
    list[str] | None, typer.Argument(metavar="[AGREEMENT]...", help="As tithe farm trash --json lists them.")
]


@group.command()
def scan(now: Now = False, chain: ChainName = None, as_json: Json = False) -> None:
    """Show how far the search for damaged shards has come; --now does it at once.

    Renters wait a little longer meanwhile. A running farmer reads all its shards again and again, slowly: see
    tithe farm settings --scan-rate. A damaged one is given up and set apart in the
    folder quarantine; the others go on earning. Exit status 5: there is damage.

    For example:

        tithe farm scan
        tithe farm scan --now
    """
    config, record = load_config(), deployment(chain)
    store = open_store(home(), record)
    with open_books(home(), config, record) as database:
        found = _scan_now(database, store, record, as_json=as_json) if now else last_scan(record)
        held = read_disk(database, store, found)
    if as_json:
        print_json({"scan": found, "holdings": held})
    else:
        show_facts(disk_facts(held, config.trash_seconds))
    if held.lost_lately or held.away:
        raise typer.Exit(5)


@group.command()
def trash(chain: ChainName = None, as_json: Json = False) -> None:
    """Show what is in the trash: shards of ended agreements, and when they go.

    They count towards the capacity, and are given up at once when their room is
    wanted. How long they stay: tithe farm settings --trash-days.

    For example:

        tithe farm trash
        tithe farm trash --json | jq .shards
    """
    config, record = load_config(), deployment(chain)
    store = open_store(home(), record)
    days = store.trash.by_day()
    if as_json:
        print_json({"days": days, "shards": [one.name for one in store.trash.shards()]})
    elif not days:
        note("The trash is empty.")
    else:
        goes = {day: (day + 1) * 86_400 + config.trash_seconds for day in days}
        rows = [
            (moment(day * 86_400 + 43_200)[:10], str(one.shards), size(one.bytes), moment(goes[day]))
            for day, one in days.items()
        ]
        show_table(("ended on", ">shards", ">room", "goes"), rows)


@group.command("restore-trash")
def restore_trash(
    names: Names = None, everything: All = False, chain: ChainName = None, as_json: Json = False
) -> None:
    """Take shards out of the trash and back into business, as if they had not been ended.

    For mistakes: a clock that ran ahead, a renter that came back a day too late.
    Their agreements must not have ended by the calendar. A running farmer does it
    itself, and is paid for them from then on.

    For example:

        tithe farm restore-trash --all
    """
    if everything == bool(names):
        raise Unusable("name agreements, or say --all")
    wanted = [_name(text) for text in names or ()]
    config, record = load_config(), deployment(chain)
    store = open_store(home(), record)
    chosen = wanted or [one.name for one in store.trash.shards()]
    target = running_target()
    if target is not None:
        results = run(ask_take_back(target, chosen))
    else:
        with open_books(home(), config, record) as database:
            results = run(_take_back_alone(database, store, chosen))
    _tell_taken(results, as_json=as_json)
    if wanted and any(one.refusal for one in results):
        raise NotDone("not all of them could be taken back")


def open_store(place: "Home", record: "Deployment") -> "ShardStore":
    """Return the store of this farmer, what is put aside counted. Raises OSError."""
    from node.shard_store import ShardStore

    store = ShardStore(place.farm_shards / record.folder)
    store.trash.count()
    store.quarantine.count()
    return store


def read_disk(database: "Database", store: "ShardStore", found: "Scan") -> "Holdings":
    """Read the state of the disk."""
    from node.farmer.holdings import read_holdings

    return read_holdings(database, store, found, Timestamp(wall_clock()))


def disk_facts(held: "Holdings", trash_seconds: int) -> list[tuple[str, str]]:
    """Say how the disk is."""
    facts = [("trash", f"{counted(held.trash.shards, 'shard')}, {size(held.trash.bytes)}")]
    if held.trash.shards:
        facts = [("trash", f"{facts[0][1]}, kept for {trash_seconds // 86_400} days")]
    if held.lost:
        apart = counted(held.quarantine.shards, "file")
        lately = f"{held.lost_lately} of them in the last 7 days"
        facts.append(("lost", f"{counted(held.lost, 'shard')}, {lately}; {apart} in quarantine"))
    return [*facts, ("scan", _progress(held.scan))]


def _progress(found: "Scan") -> str:
    last = f"the last one ended {moment(found.ended)}, {found.found} damaged" if found.ended else ""
    if not found.running:
        return last or "none yet"
    here = f"{found.folder * 100 // 256} % since {moment(found.began)}"
    return f"{here}, {size(found.bytes)} read, {found.damaged} damaged" + (f"; {last}" if last else "")


def last_scan(record: "Deployment") -> "Scan":
    """Return how far the search for damage has come, as of the last flush."""
    from node.db.stats import Statistics
    from node.farmer.scanner import read_scan

    statistics = Statistics(home().farm_state(record.folder).stats)
    try:
        return read_scan(statistics)
    finally:
        statistics.close()


def _scan_now(database: "Database", store: "ShardStore", record: "Deployment", *, as_json: bool) -> "Scan":
    """Read on to the end of the pass, and keep what was found."""
    from node.db.stats import Statistics
    from node.farmer.hoard import Hoard
    from node.farmer.scanner import Scanner

    target = running_target()
    if target is not None:
        with waiting("The farmer reads every shard", quiet=as_json) as tell:
            return run(ask_scan(target, lambda found: tell(_progress(found))))
    store.marker.claim(load_node_key(home().farm_node_key).node)
    statistics = Statistics(home().farm_state(record.folder).stats)

    longest = load_config().offer.max_agreement_seconds
    hoard = Hoard(database, store, statistics, wall_clock, longest)

    async def work() -> "Scan":
        found = await Scanner(hoard).hurry()
        await statistics.flush()
        return found

    try:
        with waiting("Reading every shard", quiet=as_json):
            return run(work())
    finally:
        statistics.close()


async def _take_back_alone(
    database: "Database", store: "ShardStore", shards: "Sequence[bytes]"
) -> "tuple[TakenBack, ...]":
    """Take shards out of the trash of a farmer that is at rest."""
    from node.farmer.trash import BATCH, take_back

    now = Timestamp(wall_clock())
    batches = [shards[start : start + BATCH] for start in range(0, len(shards), BATCH)]
    return tuple([one for batch in batches for one in await take_back(database, store, now, batch)])


def _name(text: str) -> bytes:
    from node.hex import from_hex

    try:
        return from_hex(text, 32)
    except ValueError as error:
        raise Unusable(f"{text}: {error}") from None


def _tell_taken(results: "tuple[TakenBack, ...]", *, as_json: bool) -> None:
    if as_json:
        print_json({"shards": results})
        return
    back = sum(one.refusal is None for one in results)
    say(f"{counted(back, 'shard')} taken back.")
    for refusal in dict.fromkeys(one.refusal for one in results if one.refusal is not None):
        many = sum(one.refusal is refusal for one in results)
        say(f"{counted(many, 'shard')} not: {refusal.value}.")
