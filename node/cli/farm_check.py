"""`tithe farm check` and `tithe farm metrics`: is the money safe? For people, cron and monitoring."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import typer

from node.cli.amounts import coins, duration
from node.cli.farm_owner import Said, ask_status, load_config, open_books, running_target
from node.cli.farm_store import last_scan, open_store, read_disk
from node.cli.key_files import keystore_address
from node.cli.options import ChainName, Json
from node.cli.output import print_json, safe, say, show_facts
from node.cli.session import deployment, home, known_token, run
from node.clock import wall_clock
from payments.types import Timestamp

if TYPE_CHECKING:
    from node.farmer.check import Condition
    from node.farmer.config import FarmerConfig
    from node.farmer.vitals import Vitals
    from settlement.client import TokenInfo
    from settlement.deployment import Deployment

group = typer.Typer()


@group.command()
def check(chain: ChainName = None, as_json: Json = False) -> None:
    """Check that nothing earned is in danger; say what is wrong and what to do.

    Made for cron and monitoring: needs no password, works while the farmer runs
    or not. Exit status: 0 all is well; 5 something wants attention; 6 money is in
    danger (a claim may come too late); 1, 2 or 4 it could not be checked.

    For example:

        tithe farm check
        */5 * * * * tithe farm check || mail -s "the farm" me@example.org
    """
    from node.farmer.check import examine, worst

    config, record = load_config(), deployment(chain)
    vitals, condition = run(_look(config, record))
    token = known_token(record)
    findings = examine(config, vitals, condition, lambda amount: coins(amount, token))
    level = worst(findings)
    if as_json:
        print_json(
            {
                "level": level.name.lower(),
                "running": condition.running,
                "findings": [
                    {
                        "code": one.code,
                        "level": one.level.name.lower(),
                        "what": one.what,
                        "remedy": one.remedy,
                    }
                    for one in findings
                ],
                "token": token,
                "vitals": vitals,
            }
        )
    else:
        _show_vitals(vitals, token)
        for one in findings:
            say(f"{one.level.name}: {safe(one.what)}. Do: {safe(one.remedy)}.")
        if not findings:
            say("All is well.")
    raise typer.Exit(int(level))


@group.command()
def metrics(chain: ChainName = None) -> None:
    """Print the figures of `check` in Prometheus's text format.

    For the node exporter's textfile collector. A farmer that runs serves the same
    at http://127.0.0.1:PORT/metrics after tithe farm settings --metrics-port PORT.

    For example:

        tithe farm metrics > /var/lib/node_exporter/tithe.prom
    """
    from node.farmer.metrics import render

    vitals, condition = run(_look(load_config(), deployment(chain)))
    typer.echo(render(vitals, condition.holdings), nl=False)


async def _look(config: "FarmerConfig", record: "Deployment") -> "tuple[Vitals, Condition]":
    """Read books and chain, and ask the daemon what troubles it."""
    from node.farmer.check import Condition
    from node.farmer.vitals import Books, read_vitals
    from settlement.client import Chain
    from settlement.errors import ChainError

    place, target = home(), running_target()
    said = await ask_status(target) if target else Said({}, ())
    async with AsyncExitStack() as stack:
        chain: Chain | None = None
        away: str | None = None
        try:
            chain = await stack.enter_async_context(await Chain.connect(record.url, record))
        except ChainError as error:
            away = str(error)
        database = stack.enter_context(open_books(place, config, record))
        books = Books(config, database, record, keystore_address(place.farm_gas_key))
        vitals, fault = await read_vitals(books, Timestamp(wall_clock()), chain)
        held = read_disk(database, open_store(place, record), last_scan(record))
    return vitals, Condition(target is not None, held, said.trouble, away or fault)


def _show_vitals(vitals: "Vitals", token: "TokenInfo | None") -> None:
    nearest = vitals.nearest_deadline
    facts = [
        ("claimable", coins(vitals.claimable, token)),
        ("locked", coins(vitals.locked, token)),
        ("claimed", coins(vitals.claimed, token)),
    ]
    if vitals.oldest_unclaimed is not None:
        facts.append(("oldest unclaimed", duration(vitals.oldest_unclaimed)))
    if nearest is not None:
        facts.append(("nearest deadline", f"in {nearest.remaining} s; a claim may take {nearest.margin} s"))
    show_facts(facts)
