"""`tithe farm status`: what a farmer stores and earned, who owes it, and why it has not claimed yet."""

from typing import TYPE_CHECKING

import typer

from node.cli.amounts import ETHER_DECIMALS, cell, coins, counted, moment, size, tokens
from node.cli.farm_owner import Said, ask_status, load_config, open_books, running_target
from node.cli.farm_store import disk_facts, open_store, read_disk
from node.cli.identifiers import show_address
from node.cli.key_files import keystore_address, load_node_key
from node.cli.options import ChainName, Json
from node.cli.output import print_json, safe, say, short, show_facts, show_table, warn
from node.cli.session import deployment, home, known_token, run, token_info
from node.clock import wall_clock
from payments.types import Timestamp

if TYPE_CHECKING:
    from node.farmer.config import FarmerConfig
    from node.farmer.status import FarmerStatus
    from settlement.client import TokenInfo
    from settlement.deployment import Deployment

group = typer.Typer()


@group.command()
def status(chain: ChainName = None, as_json: Json = False) -> None:
    """Show what is stored, earned and claimed, and why what is claimable was not claimed yet.

    Needs no password, and works while the farmer runs or not.

    For example:

        tithe farm status
        tithe farm status --json | jq .status.claimable
    """
    config, record = load_config(), deployment(chain)
    found, token, running = run(_read_status(config, record))
    if as_json:
        print_json(
            {
                "node": load_node_key(home().farm_node_key).node,
                "chain": record.name,
                "running_at": running,
                "token": token,
                "status": found,
            }
        )
    else:
        _show_status(found, config, token, running)


async def _read_status(
    config: "FarmerConfig", record: "Deployment"
) -> "tuple[FarmerStatus, TokenInfo | None, str | None]":
    """Read the books beside the daemon; a chain that does not answer is part of what is shown."""
    from contextlib import AsyncExitStack

    from node.db.stats import Statistics
    from node.farmer.scanner import read_scan
    from node.farmer.status import read_status
    from settlement.client import Chain
    from settlement.errors import ChainError

    place = home()
    target = running_target()
    said = await ask_status(target) if target else Said({}, ())
    trouble = said.trouble
    async with AsyncExitStack() as stack:
        chain: Chain | None = None
        token: TokenInfo | None
        try:
            chain = await stack.enter_async_context(await Chain.connect(record.url, record))
            token = await token_info(chain)
        except ChainError as error:
            token, trouble = known_token(record), (*trouble, str(error))
        statistics = Statistics(place.farm_state(record.folder).stats)
        stack.callback(statistics.close)
        books = stack.enter_context(open_books(place, config, record))
        found = await read_status(
            config,
            books,
            {**statistics.totals, **said.counters},
            Timestamp(wall_clock()),
            holdings=read_disk(books, open_store(place, record), read_scan(statistics)),
            chain=chain,
            gas_key=keystore_address(place.farm_gas_key),
            trouble=tuple(dict.fromkeys(trouble)),
            show=lambda amount: coins(amount, token),
        )
    return found, token, target.urls[0] if target else None


def _show_status(
    found: "FarmerStatus", config: "FarmerConfig", token: "TokenInfo | None", running: str | None
) -> None:
    reserved = f", {size(found.reserved_bytes)} promised" if found.reserved_bytes else ""
    facts = [
        ("farmer", "0x" + load_node_key(home().farm_node_key).node.hex()),
        ("running", f"at {running}" if running else "no: tithe farm run"),
        ("payee", show_address(found.payee)),
        ("stored", f"{counted(found.shards, 'shard')}, {size(found.stored_bytes)}{reserved}"),
        ("room", f"{size(found.capacity)} in all"),
        *disk_facts(found.holdings, config.trash_seconds),
        ("audits", f"{found.audits_passed} passed, {found.audits_failed} failed"),
        ("earned", coins(found.earned, token)),
        ("claimable", coins(found.claimable, token)),
        ("claimed", coins(found.claimed, token)),
    ]
    if found.gas is not None:
        pays = "" if found.gas.claims is None else f", pays for about {counted(found.gas.claims, 'claim')}"
        facts += [
            ("gas key", show_address(found.gas.address)),
            ("its gas money", f"{tokens(found.gas.balance, ETHER_DECIMALS, 'ETH')}{pays}"),
        ]
    show_facts(facts)
    if found.channels:
        show_table(
            ("channel", "renter", ">deposit", ">paid", ">unpaid", ">claimable", ">claimed", "serving"),
            [
                (
                    short(one.channel_id),
                    short(one.renter),
                    *(
                        cell(part, token)
                        for part in (one.deposit, one.paid, one.proven, one.claimable, one.claimed)
                    ),
                    "yes" if one.serving else "no",
                )
                for one in found.channels
            ],
        )
        for one in found.channels:
            say(f"{short(one.channel_id)}: {safe(one.why)}")
    owing = [one for one in found.renters if one.owed]
    for renter in owing:
        since = f", over the limit since {moment(renter.over_since)}" if renter.over_since else ""
        debt = f"{coins(renter.owed, token)} for {size(renter.stored_bytes)}"
        say(f"Renter {short(renter.renter)} owes {debt}{since}.")
    for trouble in found.trouble:
        warn(f"Trouble: {safe(trouble)}")
