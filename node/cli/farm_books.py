"""`tithe farm status, vouchers, claim`: what a farmer stores, earned and can turn into tokens."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import ETHER_DECIMALS, cell, coins, counted, moment, size, tokens
from node.cli.claim_quote import show_quote
from node.cli.errors import NotDone
from node.cli.farm_offer import load_config
from node.cli.farm_owner import Said, ask_claim, ask_status, open_books, running_target
from node.cli.farm_store import disk_facts, open_store, read_disk
from node.cli.identifiers import show_address
from node.cli.key_files import keystore_address, load_node_key, unlock_keystore
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile
from node.cli.output import amount, note, print_json, safe, say, short, show_facts, show_table, waiting, warn
from node.cli.passwords import Passwords
from node.cli.session import deployment, home, known_token, run, token_info
from node.clock import wall_clock
from node.home import Home
from payments.types import Timestamp

if TYPE_CHECKING:
    from node.api.owner import ClaimReport
    from node.daemon import FarmerDaemon
    from node.db.farmer import Book, Held
    from node.farmer.config import FarmerConfig
    from node.farmer.status import FarmerStatus
    from payments.channel import Channel
    from payments.vouchers import SignedVoucher, SigningKey
    from settlement.client import Chain, TokenInfo
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


@group.command()
def vouchers(chain: ChainName = None, as_json: Json = False) -> None:
    """List the newest voucher of each channel: what it is worth and what of it was claimed.

    With --json the vouchers themselves, with all that a claim needs: they may be
    given to anybody, since the money always goes to the payee.

    For example:

        tithe farm vouchers
        tithe farm vouchers --json > vouchers.backup
    """
    from node.db.farmer import list_books, load_held
    from settlement.tables import load_channel

    config, record = load_config(), deployment(chain)
    with open_books(home(), config, record) as database:
        held = database.read(
            lambda conn: [(book, load_channel(conn, book.channel_id)) for book in list_books(conn)]
        )
        proofs = database.read(lambda conn: [load_held(conn, book.channel_id) for book, _ in held])
    token = known_token(record)
    if as_json:
        rows = [_voucher_row(*row, proof) for row, proof in zip(held, proofs, strict=True)]
        print_json({"chain": record.name, "token": token, "vouchers": rows})
    elif not held:
        note("No channel yet: renters open them with tithe channel fund")
    else:
        _show_vouchers(held, token)


@group.command()
def claim(
    everything: Annotated[
        bool, typer.Option("--all", help="Claim all there is, whatever the settings say.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing: show what it would bring and cost.")
    ] = False,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Turn vouchers into tokens now: what is due by the settings, or all.

    A running farmer does it itself; otherwise the gas key's password is needed. A
    dry run needs none.

    For example:

        tithe farm claim --all --dry-run
        tithe farm claim --all
    """
    config, record = load_config(), deployment(chain)
    place = home()
    if dry_run:
        show_quote(config, record, everything=everything, as_json=as_json)
        return
    target = running_target()
    if target is not None:
        with waiting("The farmer claims", quiet=as_json):
            report = run(ask_claim(target, everything=everything))
    else:
        key = unlock_keystore(place.farm_gas_key, "the farm's gas key", Passwords(password_file, password_fd))
        with waiting("Claiming", quiet=as_json):
            report = run(_claim_alone(place, config, record, key, everything=everything))
    token = known_token(record)
    if as_json:
        print_json(
            {
                "token": token,
                "claims": [item.model_dump() for item in report.claims],
                "trouble": report.trouble,
            }
        )
    else:
        _show_claims(report, token)
    if report.trouble:
        raise NotDone("; ".join(report.trouble))


def make_daemon(
    place: Home,
    config: "FarmerConfig",
    record: "Deployment",
    key: "SigningKey | None",
    chain: "Chain",
    *,
    accept_loss: bool = False,
) -> "FarmerDaemon":
    """Put a farmer of this home together."""
    from node.daemon import FarmerDaemon, Places

    state = place.farm_state(record.folder)
    places = Places(state.money, state.stats, place.farm_shards, place.farm_config, place.farm_running)
    node_key = load_node_key(place.farm_node_key)
    return FarmerDaemon(config, record, places, node_key, gas_key=key, chain=chain, accept_loss=accept_loss)


async def _claim_alone(
    place: Home, config: "FarmerConfig", record: "Deployment", key: "SigningKey", *, everything: bool
) -> "ClaimReport":
    """Run the farmer for just so long as its claims take."""
    from node.api.owner import ClaimedMessage, ClaimReport
    from settlement.client import Chain

    async with (
        await Chain.connect(record.url, record) as chain,
        make_daemon(place, config, record, key, chain) as daemon,
    ):
        outcomes = await daemon.farmer.collect(everything=everything)
        trouble = (await daemon.farmer.status()).trouble
    return ClaimReport(claims=tuple(map(ClaimedMessage.of, outcomes)), trouble=trouble)


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


def _cell(amount: int, token: "TokenInfo | None") -> str:
    return cell(amount, token.decimals) if token else str(amount)


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
                        _cell(part, token)
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


def _show_vouchers(held: "list[tuple[Book, Channel | None]]", token: "TokenInfo | None") -> None:
    rows = []
    for book, channel in held:
        paid, proven = book.earnings.paid, book.earnings.proven
        rows.append(
            (
                short(book.channel_id),
                short(book.renter),
                _cell(paid.total, token) if paid else "-",
                _cell(proven.total, token) if proven else "-",
                _cell(channel.claimed, token) if channel else "-",
                _cell(channel.deposit, token) if channel else "-",
                moment(channel.closes_at) if channel and channel.closes_at else "",
            )
        )
    show_table(("channel", "renter", ">voucher", ">proven", ">claimed", ">deposit", "closes"), rows)


def _voucher_row(book: "Book", channel: "Channel | None", held: "Held | None") -> dict[str, object]:
    """One channel's evidence, as a claim needs it."""
    from node.packed_proof import pack_proof

    proven = _evidence(book.earnings.proven)
    if proven is not None and held is not None:
        proven["proof"] = pack_proof(held.challenge, held.proof)
    return {
        "channel_id": book.channel_id,
        "renter": book.renter,
        "terms": channel.terms if channel else None,
        "deposit": amount(channel.deposit) if channel else None,
        "claimed": amount(channel.claimed) if channel else None,
        "paid": _evidence(book.earnings.paid),
        "proven": proven,
    }


def _evidence(signed: "SignedVoucher | None") -> dict[str, object] | None:
    if signed is None:
        return None
    return {
        "cumulative_amount": amount(signed.total),
        "condition": signed.voucher.condition,
        "signature": signed.signature,
    }


def _show_claims(report: "ClaimReport", token: "TokenInfo | None") -> None:
    if not report.claims:
        note("Nothing was claimed. Why not: tithe farm status")
        return
    rows = [
        (
            short(one.channel_id),
            "-" if one.claimed is None else _cell(one.claimed, token),
            "claimed" if one.claimed is not None else one.reason.lower(),
            "0x" + one.transaction.hex() if one.transaction else "",
        )
        for one in report.claims
    ]
    show_table(("channel", ">claimed in all", "", "transaction"), rows)
