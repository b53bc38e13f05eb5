"""`tithe wallet transactions` and `cancel`: what the outboxes of this home hold, and what of it is unwanted.

Renter, farmer and watchtower have a queue each, in their books. A cancellation is written down there first;
whoever has the key carries it out: this command for a wallet of the home, else the farmer or tower that runs.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.amounts import ETHER_DECIMALS, duration, tokens
from node.cli.errors import NotDone, Unusable
from node.cli.farm_owner import open_books
from node.cli.identifiers import show_address
from node.cli.keys import unlock_wallet, wallet_of
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile, Yes
from node.cli.output import amount, confirm, note, print_json, say, show_table, waiting
from node.cli.passwords import Passwords
from node.cli.session import deployment, home, on_chain
from node.clock import wall_clock

if TYPE_CHECKING:
    from settlement.client import Chain
    from settlement.database import Database
    from settlement.deployment import Deployment
    from settlement.outbox_store import Attempt, Queued

ROLES = ("renter", "farmer", "tower")
SHOWN = 20
"""Of what is over, with --all."""
WORDS = {"queued": "waits", "cancelling": "is cancelled"}
"""How a phase is told where its name is not enough."""

group = typer.Typer()


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction of one queue, and how it was signed."""

    role: str
    queued: "Queued"
    attempts: "tuple[Attempt, ...]"

    @property
    def name(self) -> str:
        """How a command names it."""
        return f"{self.role}:{self.queued.id}"

    @property
    def fee(self) -> int | None:
        """The most wei its newest form may take; None where it was never signed."""
        from settlement.transactions import TRANSFER_GAS

        if not self.attempts:
            return None
        newest = self.attempts[-1]
        return (TRANSFER_GAS if newest.cancels else self.queued.gas) * newest.fees.cap


@group.command()
def transactions(
    everything: Annotated[bool, typer.Option("--all", help="Show what is over, too.")] = False,
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """List the transactions that are on their way, and say what the others wait for.

    For example:

        tithe wallet transactions
        tithe wallet transactions --all --json
    """
    record, now = deployment(chain), wall_clock()
    found = [one for role in ROLES for one in _list(role, record, everything=everything)]
    if as_json:
        print_json({"transactions": [_plain(one, now) for one in found]})
    elif not found:
        note("No transaction is on its way.")
    else:
        show_table(
            ("transaction", "for", "from", ">nonce", ">age", ">fee at most", "state", "why"),
            [_row(one, now) for one in found],
        )


@group.command()
def cancel(
    transaction: Annotated[
        str, typer.Argument(metavar="ROLE:NUMBER", help="As tithe wallet transactions names it.")
    ],
    chain: ChainName = None,
    yes: Yes = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Give a transaction up. One that was sent already competes with an empty one, which costs a little gas.

    May be used while rent run, farm run or tower run goes on.

    For example:

        tithe wallet cancel renter:12
    """
    role, number = _read(transaction)
    record, passwords = deployment(chain), Passwords(password_file, password_fd)

    async def work(connected: "Chain") -> str:
        with _books(role, record) as books:
            if books is None:
                raise NotDone(f"there is no {role} here")
            return await _cancel(connected, books, (role, number), passwords, yes=yes, quiet=as_json)

    state = on_chain(chain, work)
    if as_json:
        print_json({"transaction": transaction, "state": state})
    elif state == "cancelled":
        say(f"{transaction} was cancelled.")
    elif state == "cancelling":
        say(f"{transaction} is cancelled by the {role} that runs, or when it runs again.")
    else:
        raise NotDone(f"{transaction} could not be cancelled any more: it is {state}")


async def _cancel(
    chain: "Chain",
    books: "Database",
    name: tuple[str, int],
    passwords: Passwords,
    *,
    yes: bool,
    quiet: bool,
) -> str:
    """Write it down, and see it through where its key is a wallet of this home; its phase then."""
    from settlement.errors import TransactionCancelled
    from settlement.outbox import Outbox
    from settlement.outbox_store import Phase, load_queued

    role, number = name
    try:
        queued = books.read(lambda conn: load_queued(conn, number))
    except KeyError:
        raise NotDone(
            f"there is no transaction {role}:{number}: tithe wallet transactions lists them"
        ) from None
    outbox = Outbox(books, chain)
    if queued.phase is Phase.SENT:
        confirm(f"Cancel {queued.purpose} (nonce {queued.nonce})? It costs the gas of an empty one.", yes=yes)
        if (wallet := wallet_of(queued.sender)) is not None:
            outbox.hold([unlock_wallet(wallet, passwords)])
    phase = await outbox.cancel(number)
    if phase is Phase.CANCELLING and wallet_of(queued.sender) is not None:
        with waiting("Cancelling", quiet=quiet):
            try:
                await outbox.wait(number)
            except TransactionCancelled:
                return Phase.CANCELLED.value
    return books.read(lambda conn: load_queued(conn, number)).phase.value


def _read(text: str) -> tuple[str, int]:
    role, _, number = text.partition(":")
    if role not in ROLES or not (number.isascii() and number.isdigit()):
        raise Unusable(f"{text} names no transaction: write renter:12, as tithe wallet transactions does")
    return role, int(number)


def _list(role: str, record: "Deployment", *, everything: bool) -> list[Entry]:
    from settlement.outbox_store import list_attempts, list_open, list_recent

    with _books(role, record) as books:
        if books is None:
            return []

        def look(conn: Any) -> list[Entry]:  # noqa: ANN401 - SQLAlchemy is imported late
            found = [*list_open(conn), *(list_recent(conn, SHOWN) if everything else ())]
            return [Entry(role, one, tuple(list_attempts(conn, one))) for one in found]

        return books.read(look)


@contextmanager
def _books(role: str, record: "Deployment") -> "Iterator[Database | None]":
    """Open a role's books; None where it has none on this chain."""
    from node.farmer.config import FarmerConfig
    from settlement.database import Database
    from settlement.tables import TABLES

    place = home()
    if role == "farmer":
        try:
            config = FarmerConfig.load(place.farm_config)
        except FileNotFoundError:
            yield None
            return
        with open_books(place, config, record) as books:
            yield books
        return
    state = place.renter_state(record.folder) if role == "renter" else place.tower_state(record.folder)
    if not state.money.exists():
        yield None
        return
    with closing(Database.at(state.money, TABLES)) as books:
        yield books


def _row(one: Entry, now: int) -> tuple[str, ...]:
    queued, fee = one.queued, one.fee
    return (
        one.name,
        queued.purpose,
        wallet_of(queued.sender) or show_address(queued.sender),
        "" if queued.nonce is None else str(queued.nonce),
        duration(now - queued.queued_at) if queued.queued_at else "",
        "" if fee is None else tokens(fee, ETHER_DECIMALS, "ETH"),
        WORDS.get(queued.phase.value, queued.phase.value),
        queued.problem,
    )


def _plain(one: Entry, now: int) -> dict[str, object]:
    queued, fee = one.queued, one.fee
    return {
        "transaction": one.name,
        "purpose": queued.purpose,
        "from": queued.sender,
        "nonce": queued.nonce,
        "age": now - queued.queued_at if queued.queued_at else None,
        "fee": None if fee is None else amount(fee),
        "attempts": len(one.attempts),
        "state": queued.phase.value,
        "why": queued.problem,
        "hash": queued.final or (one.attempts[-1].signed.hash if one.attempts else None),
    }
