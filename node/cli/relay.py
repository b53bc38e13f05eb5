"""`tithe farm authorise-relay` and `tithe relay`: vouchers of farmers without gas are claimed by others."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import (
    ETHER_DECIMALS,
    cell,
    coins,
    counted,
    moment,
    parse_duration,
    parse_number,
    to_base_units,
    tokens,
)
from node.cli.errors import NotDone, Unusable
from node.cli.farm_owner import load_config, open_books
from node.cli.identifiers import parse_address, show_address
from node.cli.keys import resolve_owner, unlock_wallet, wallet_of
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile, WalletName, Yes
from node.cli.output import amount, confirm, note, print_json, say, short, show_facts, show_table, waiting
from node.cli.passwords import Passwords
from node.cli.session import deployment, home, on_chain, token_info, wallet_name
from node.home import write_private
from payments.types import MAX_AMOUNT, Amount, Timestamp

if TYPE_CHECKING:
    from payments.types import Address, ChannelId
    from payments.vouchers import SigningKey
    from settlement.calls import Claim
    from settlement.claims import Outcome
    from settlement.client import Chain, TokenInfo
    from settlement.relays import Errand, RelayPlan
    from settlement.rpc import Block

farmers = typer.Typer()


def add_to(app: typer.Typer) -> None:
    """Put `tithe relay` into the command line; the farmer's half belongs to `tithe farm`."""
    app.command(rich_help_panel="Sell storage")(relay)


@farmers.command("authorise-relay")
def authorise_relay(
    relayer: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who may claim for you and keep a fee.")],
    most: Annotated[
        str, typer.Option("--max-fee", metavar="TOKENS", help="What it may keep of each voucher at most.")
    ],
    file: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")] = Path(
        "relay.json"
    ),
    lifetime: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="How long it may keep the fee.")
    ] = "24h",
    with_proofs: Annotated[
        bool,
        typer.Option("--with-proofs", help="Add the proofs of work that no voucher has paid yet."),
    ] = False,
    chain: ChainName = None,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Let a relayer claim for you: write your newest vouchers, and the fee you allow, to a file.

    You need no gas: the relayer pays it, and keeps its fee out of what your
    vouchers bring. The fee is signed by your payee's wallet, counts once for each
    voucher, and never exceeds --max-fee. Vouchers worth no more than that are
    left out. Send the file to the relayer; nobody else can keep anything.

    For example:

        tithe farm authorise-relay 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --max-fee 0.01
    """
    from node.cli.relay_file import write_errands
    from payments.relay_fees import RelayFee, sign_fee
    from settlement.relays import Errand

    to, number, seconds = parse_address(relayer), parse_number(most), parse_duration(lifetime)
    payee = load_config().payee
    name = wallet_of(payee)
    if name is None:
        raise NotDone(f"the payee {show_address(payee)} is no wallet of this home, and must sign the fee")

    async def look(chain: "Chain") -> "tuple[TokenInfo, Block]":
        return await token_info(chain), await chain.head()

    token, head = on_chain(chain, look)
    record, maximum = deployment(chain), Amount(to_base_units(number, token.decimals))
    claims, small = _claims(chain, payee, maximum, Timestamp(head.timestamp), with_proofs=with_proofs)
    if not claims:
        raise NotDone("no voucher is worth more than the fee: tithe farm vouchers")
    key = unlock_wallet(name, Passwords(password_file, password_fd))
    deadline = Timestamp(head.timestamp + seconds)
    errands = [
        Errand(one, sign_fee(record.domain, RelayFee(to, *_voucher(one), maximum, deadline), key))
        for one in claims
    ]
    write_private(file, write_errands(record, errands))
    _tell_authorised(file, errands, small, token, as_json=as_json)


def _claims(
    chain: str | None, payee: "Address", maximum: Amount, now: Timestamp, *, with_proofs: bool
) -> "tuple[list[Claim], int]":
    """Read from the books what a relayer could claim for more than its fee, and how many are worth less."""
    from node.farmer.claimable import find_candidates
    from settlement.calls import Claim

    with open_books(home(), load_config(), deployment(chain)) as database:
        candidates = database.read(lambda conn: find_candidates(conn, now))
    found: list[Claim] = []
    small = 0
    for one in candidates:
        terms, earnings, unpaid = one.channel.terms, one.book.earnings, one.claimable.unpaid
        proven = bool(with_proofs and unpaid and earnings.proven)
        worth = one.claimable.amount + (unpaid.amount if proven and unpaid else 0)
        voucher = earnings.proven if proven else earnings.paid
        if voucher is None or not worth or terms.payee != payee:
            continue
        if worth <= maximum or voucher.total > one.channel.deposit:
            small += 1
        else:
            found.append(Claim(terms, voucher, one.proof if proven else b""))
    return found, small


def _voucher(claim: "Claim") -> "tuple[ChannelId, Amount]":
    voucher = claim.voucher.voucher
    return voucher.channel_id, voucher.cumulative_amount


def relay(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="What farmers have written for you.")
    ],
    fee: Annotated[
        str | None,
        typer.Option(
            "--fee",
            metavar="TOKENS",
            help="Keep so much of each voucher, where more is allowed.",
            show_default=False,
        ),
    ] = None,
    wallet: WalletName = None,
    chain: ChainName = None,
    yes: Yes = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Claim for farmers that have no gas, and keep the fee they allow.

    The files come from tithe farm authorise-relay, and name your wallet. All claims
    go in one transaction, or as few as fit. What can no longer be claimed, or
    bears no fee, is left out.

    For example:

        tithe relay farmer1.json farmer2.json
        tithe relay *.json --fee 0.005 --yes
    """
    from node.cli.relay_file import read_errands

    number = None if fee is None else parse_number(fee)
    record = deployment(chain)
    errands = [errand for file in files for errand in read_errands(file, record)]
    if not errands:
        raise Unusable("there is no claim in these files")
    sender = resolve_owner(wallet_name(wallet))[1]
    passwords = Passwords(password_file, password_fd)

    async def work(chain: "Chain") -> "tuple[TokenInfo, tuple[Outcome, ...]]":
        from settlement.relays import plan_relays

        token = await token_info(chain)
        most = MAX_AMOUNT if number is None else Amount(to_base_units(number, token.decimals))
        with waiting("Checking the claims", quiet=as_json):
            plan = await plan_relays(chain, errands, sender, most)
        if not plan.plan.batches:
            return token, plan.plan.left_out
        if not as_json:
            await _show_plan(chain, plan, token)
        confirm(f"Claim {coins(plan.paid, token)} for others, and keep {coins(plan.kept, token)}?", yes=yes)
        key = unlock_wallet(wallet, passwords)
        with waiting("Sending; waiting for the chain", quiet=as_json):
            return token, await _send(chain, plan, key)

    token, outcomes = on_chain(chain, work)
    _tell_relayed(outcomes, token, as_json=as_json)
    if all(one.claimed is None for one in outcomes):
        raise NotDone("nothing was claimed: " + _reasons(outcomes))


async def _show_plan(chain: "Chain", plan: "RelayPlan", token: "TokenInfo") -> None:
    fees = await chain.rpc.fees()
    cost = tokens(plan.plan.gas * fees.now, ETHER_DECIMALS, "ETH")
    rows = sum(len(batch.claims) for batch in plan.plan.batches)
    show_facts(
        [
            ("claims", f"{counted(rows, 'channel')} in {counted(len(plan.plan.batches), 'transaction')}"),
            ("left out", counted(len(plan.plan.left_out), "claim")),
            ("gas", f"about {plan.plan.gas:,}, which costs {cost}"),
            ("your fees", coins(plan.kept, token)),
        ]
    )


async def _send(chain: "Chain", plan: "RelayPlan", key: "SigningKey") -> "tuple[Outcome, ...]":
    """Send by the outbox of the renter's books, which every command with this key shares."""
    from settlement.claims import send_claims
    from settlement.database import Database
    from settlement.outbox import Outbox
    from settlement.tables import TABLES

    database = Database.at(home().renter_state(chain.deployment.folder).money, TABLES)
    try:
        return await send_claims(chain, Outbox(database, chain), plan.plan, key)
    finally:
        database.close()


def _reasons(outcomes: "Sequence[Outcome]") -> str:
    return ", ".join(sorted({one.reason.name.lower().replace("_", " ") for one in outcomes}))


def _tell_authorised(
    file: Path, errands: "list[Errand]", small: int, token: "TokenInfo", *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "file": str(file),
                "token": token,
                "channels": [errand.fee.terms.channel_id for errand in errands],
                "left_out": small,
                "max_fee": amount(errands[0].fee.terms.maximum),
                "deadline": errands[0].fee.terms.deadline,
            }
        )
        return
    terms = errands[0].fee.terms
    most, until = coins(terms.maximum, token), moment(terms.deadline)
    say(
        f"Wrote {counted(len(errands), 'voucher')} to {file}; "
        f"the relayer may keep {most} of each until {until}."
    )
    if small:
        note(f"{counted(small, 'voucher')} worth no more than the fee, or beyond its deposit, stayed out.")


def _tell_relayed(outcomes: "Sequence[Outcome]", token: "TokenInfo", *, as_json: bool) -> None:
    kept = sum(one.fee for one in outcomes)
    if as_json:
        print_json(
            {
                "token": token,
                "fees": str(kept),
                "claims": [
                    {
                        "channel_id": one.channel_id,
                        "claimed": None if one.claimed is None else amount(one.claimed),
                        "fee": amount(one.fee),
                        "reason": one.reason.name,
                        "transaction": one.transaction,
                    }
                    for one in outcomes
                ],
            }
        )
        return
    rows = [
        (
            short(one.channel_id),
            "-" if one.claimed is None else cell(one.claimed, token),
            cell(one.fee, token),
            "claimed" if one.claimed is not None else one.reason.name.lower().replace("_", " "),
        )
        for one in outcomes
    ]
    show_table(("channel", ">claimed in all", ">fee", ""), rows)
    say(f"Fees kept: {coins(kept, token)}.")
