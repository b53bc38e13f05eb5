"""Limits: the most that a renter agrees to, whatever a farmer asks. Its owner sets them. Pure.

A quote is signed by its farmer and may say anything; it becomes our signature in a put, a repair, a renewal
or a read, mostly with nobody looking on. So each of them asks here first. A ceiling is a sum, not a
comparison with other farmers: who runs many nodes decides what is usual among them.
"""

from dataclasses import asdict, dataclass, replace
from typing import Final

from node.agreement import Agreement
from node.renter.errors import AboveLimit
from payments.prices import Prices, Quote, step_price
from payments.types import Amount, NodeId, Seconds

DAY: Final = 86_400
TOKEN: Final = 10**18
"""Base units of a token with the usual 18 decimals, in which the defaults are stated."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a farmer may ask at most: base units, seconds.

    prices: ten times what farmers ask who have not thought about it. shortest_interval, longest_interval:
    from one audit to the next; each pays for one interval. response_deadline: to answer an audit.
    challenge_period: how long a deposit waits for its payer after a close request.
    """

    prices: Prices = Prices(  # noqa: RUF009 - frozen
        storage_per_gb_month=Amount(TOKEN // 50),
        download_per_gb=Amount(TOKEN // 20),
        per_audit=Amount(10**10),
    )
    shortest_interval: Seconds = Seconds(600)  # noqa: RUF009 - a NewType is no call at run time
    longest_interval: Seconds = Seconds(7 * DAY)  # noqa: RUF009
    response_deadline: Seconds = Seconds(DAY)  # noqa: RUF009
    challenge_period: Seconds = Seconds(7 * DAY)  # noqa: RUF009

    def check_quote(self, quote: Quote) -> None:
        """Raise AboveLimit where an agreement by this quote would not be signed."""
        farmer, asked, most = quote.farmer, quote.prices, self.prices
        stored, each = asked.storage_per_gb_month, asked.per_audit
        _check(AboveLimit(farmer, "for a GB-month", stored, most.storage_per_gb_month, "--storage"))
        _check(AboveLimit(farmer, "for an audit", each, most.per_audit, "--audit"))
        self._check_download(farmer, asked.download_per_gb)
        self._check_rhythm(farmer, quote.audit_interval, quote.response_deadline)

    def check_terms(self, terms: Agreement) -> None:
        """Raise AboveLimit where an agreement is not to be signed: its step, its rhythm, its reads."""
        farmer, what = NodeId(terms.farmer), "to store a shard from one audit to the next"
        most = step_price(self.prices, terms.shard_length, terms.audit_interval)
        _check(AboveLimit(farmer, what, terms.step, most))
        self.check_read(terms)
        self._check_rhythm(farmer, terms.audit_interval, terms.response_deadline)

    def check_read(self, terms: Agreement) -> None:
        """Raise AboveLimit where a shard is too dear to be read, by an agreement that may be an old one."""
        self._check_download(NodeId(terms.farmer), terms.download_price)

    def check_period(self, quote: Quote) -> None:
        """Raise AboveLimit where a farmer takes no channel whose challenge period can be borne."""
        wanted, most = quote.min_challenge_period, self.challenge_period
        what = "as challenge period"
        _check(AboveLimit(quote.farmer, what, wanted, most, "--challenge-period", "s"))

    def _check_download(self, farmer: NodeId, price: Amount) -> None:
        _check(AboveLimit(farmer, "for a GB read", price, self.prices.download_per_gb, "--download"))

    def _check_rhythm(self, farmer: NodeId, interval: Seconds, deadline: Seconds) -> None:
        what, least = "from one audit to the next", self.shortest_interval
        _check(AboveLimit(farmer, what, interval, self.longest_interval, "--longest-interval", "s"))
        _check(AboveLimit(farmer, "to answer an audit", deadline, self.response_deadline, "--deadline", "s"))
        if interval < least:
            raise AboveLimit(farmer, what, interval, least, "--shortest-interval", "s")


USUAL: Final = Limits()


def scaled(limits: Limits, decimals: int) -> Limits:
    """Return limits stated in a token of 18 decimals in one of so many; at least one base unit each."""
    sums = asdict(limits.prices).items()
    prices = {name: Amount(-(-amount * 10**decimals // TOKEN)) for name, amount in sums}
    return replace(limits, prices=Prices(**prices))


def _check(found: AboveLimit) -> None:
    if found.asked > found.limit:
        raise found
