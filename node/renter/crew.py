"""The crew of a put: which farmer holds which shard index of every segment, and the spare ones.

All segments of a file go to the same farmers, so that the file is as safe as one segment. A farmer that
fails, or is much slower than the others, is replaced for good.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from node.renter.limits import Limits
from node.renter.money import Account
from node.renter.peers import Peers
from payments.prices import Quote
from payments.types import Amount, NodeId, Timestamp

QUOTE_MARGIN = 60
"""Seconds before its expiry from which a quote is renewed rather than relied on."""


class Supplier:
    """A farmer that takes shards: its account, and a quote that is good and within our limits.

    Raises AboveLimit.
    """

    def __init__(self, account: Account, quote: Quote, limits: Limits) -> None:
        limits.check_quote(quote)
        self.account = account
        self._quote = quote
        self._limits = limits

    @property
    def farmer(self) -> NodeId:
        """Who it is."""
        return self.account.farmer

    @property
    def price(self) -> Amount:
        """What it asks for a GB-month."""
        return self._quote.prices.storage_per_gb_month

    async def quote(self, peers: Peers, now: Timestamp) -> Quote:
        """Return a quote that does not expire in the next minute. Raises as `renew`."""
        if self._quote.expires_at <= now + QUOTE_MARGIN:
            await self.renew(peers)
        return self._quote

    async def renew(self, peers: Peers) -> None:
        """Ask for the present quote. Raises AboveLimit, and as `Peers.refresh`."""
        quote = (await peers.refresh(self.farmer)).quote
        self._limits.check_quote(quote)
        self._quote = quote


class Crew:
    """`n` suppliers by shard index, and the spare ones in the order in which they are called."""

    def __init__(self, suppliers: Sequence[Supplier], n: int) -> None:
        self.members = list(suppliers[:n])
        self._spare: deque[Supplier] = deque(suppliers[n:])
        self._challengers: dict[int, Supplier] = {}
        self._races: Counter[int] = Counter()

    def replace(self, index: int, failed: Supplier) -> bool:
        """Put a spare one in a failed one's place, unless that was done already; False when none is left."""
        if self.members[index] is not failed:
            return True
        if not self._spare:
            return False
        self.members[index] = self._spare.popleft()
        return True

    def challenge(self, index: int, slow: Supplier) -> Supplier | None:
        """Name one that is to race a slow one, None when none is left; `end_race` follows.

        Races for one index, in several segments, have one challenger: no farmer gets two shards of a segment.
        """
        if self.members[index] is not slow:
            challenger = self.members[index]
        elif index in self._challengers:
            challenger = self._challengers[index]
        elif self._spare:
            challenger = self._challengers[index] = self._spare.popleft()
        else:
            return None
        self._races[index] += 1
        return challenger

    def end_race(self, index: int, challenger: Supplier, *, won: bool) -> None:
        """End a race: a challenger that won has the place; one that won none is the next to be called."""
        if won:
            self.members[index] = challenger
        self._races[index] -= 1
        if not self._races[index]:
            spare = self._challengers.pop(index, None)
            if spare is not None and self.members[index] is not spare:
                self._spare.appendleft(spare)

    @property
    def farmers(self) -> tuple[NodeId, ...]:
        """Who holds shards now, by index."""
        return tuple(member.farmer for member in self.members)


def in_order(suppliers: Iterable[Supplier], ranking: Sequence[NodeId]) -> list[Supplier]:
    """Sort suppliers as their farmers stand in a ranking."""
    place = {farmer: number for number, farmer in enumerate(ranking)}
    return sorted(suppliers, key=lambda supplier: place[supplier.farmer])


def in_place(suppliers: Sequence[Supplier], held: Mapping[int, NodeId], n: int) -> list[Supplier]:
    """Put suppliers that hold a shard index already where that index is; the others keep their order."""
    known = {supplier.farmer: supplier for supplier in suppliers}
    fixed = {index: known[farmer] for index, farmer in held.items() if index < n and farmer in known}
    taken = {supplier.farmer for supplier in fixed.values()}
    others = deque(supplier for supplier in suppliers if supplier.farmer not in taken)
    members = [fixed[index] if index in fixed else others.popleft() for index in range(n)]
    return [*members, *others]
