"""`tithe farm vouchers, claim`: what a farmer holds and can turn into tokens."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import cell, moment
from node.cli.claim_quote import show_quote
from node.cli.errors import NotDone
from node.cli.farm_owner import ask_claim, load_config, make_daemon, open_books, running_target
from node.cli.key_files import unlock_keystore
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile
from node.cli.output import amount, note, print_json, short, show_table, waiting
from node.cli.passwords import Passwords
from node.cli.session import deployment, home, known_token, run
from node.home import Home

if TYPE_CHECKING:
    from node.api.owner import ClaimReport
    from node.db.farmer import Book, Held
    from node.farmer.config import FarmerConfig
    from payments.channel import Channel
    from payments.vouchers import SignedVoucher, SigningKey
    from settlement.client import TokenInfo
    from settlement.deployment import Deployment

group = typer.Typer()


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


def _show_vouchers(held: "list[tuple[Book, Channel | None]]", token: "TokenInfo | None") -> None:
    rows = []
    for book, channel in held:
        paid, proven = book.earnings.paid, book.earnings.proven
        rows.append(
            (
                short(book.channel_id),
                short(book.renter),
                cell(paid.total, token) if paid else "-",
                cell(proven.total, token) if proven else "-",
                cell(channel.claimed, token) if channel else "-",
                cell(channel.deposit, token) if channel else "-",
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
            "-" if one.claimed is None else cell(one.claimed, token),
            "claimed" if one.claimed is not None else one.reason.lower(),
            "0x" + one.transaction.hex() if one.transaction else "",
        )
        for one in report.claims
    ]
    show_table(("channel", ">claimed in all", "", "transaction"), rows)
