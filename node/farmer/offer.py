"""A farmer's offer: its signed quote and record, renewed before they expire and when prices change.

A renter that negotiates holds on to the quote it was shown, so a quote stays good until it expires even after
another has replaced it.
"""

from node.db import Connection
from node.db.farmer import next_number
from node.farmer.farm import Farm
from node.farmer.room import measure_room
from node.node_record import NodeRecord, SignedRecord, sign_record
from payments.prices import Quote, SignedQuote, sign_quote
from payments.types import Timestamp

RECORD_LIFETIME = 24 * 3600
KEPT_QUOTES = 16


class Offers:
    """The current quote and record, and the quotes before it that are still good."""

    def __init__(self, farm: Farm, urls: tuple[str, ...]) -> None:
        self._farm = farm
        self._urls = urls
        self._quotes: list[SignedQuote] = []
        self._record: SignedRecord | None = None

    async def quote(self) -> SignedQuote:
        """Return a quote of the present prices with at least half its life before it."""
        now = self._farm.now()
        current = self._quotes[-1] if self._quotes else None
        if current is None or not self._still_said(current.quote, now):
            current = await self._issue(now)
        return current

    async def record(self) -> SignedRecord:
        """Return the node record with at least half its life before it."""
        now = self._farm.now()
        if self._record is None or self._record.record.expires_at < now + RECORD_LIFETIME // 2:
            sequence = await self._farm.database.write(lambda conn: next_number(conn, "record"))
            expires_at = Timestamp(now + RECORD_LIFETIME)
            payee = self._farm.config.payee
            record = NodeRecord(self._farm.node, payee, self._urls, sequence, expires_at)
            self._record = sign_record(record, self._farm.key)
        return self._record

    async def good_quotes(self) -> list[Quote]:
        """Return every quote a renter may rely on now, the current one first."""
        current = (await self.quote()).quote
        now = self._farm.now()
        older = [signed.quote for signed in reversed(self._quotes) if signed.quote.expires_at > now]
        return [current, *(quote for quote in older if quote is not current)]

    def _still_said(self, quote: Quote, now: Timestamp) -> bool:
        config = self._farm.config
        said = config.quote(quote.farmer, quote.sequence, quote.issued_at, quote.free_bytes)
        fresh = now + config.quote_lifetime // 2 < quote.expires_at
        return fresh and quote.issued_at <= now and said == quote

    async def _issue(self, now: Timestamp) -> SignedQuote:
        farm = self._farm

        def number(conn: Connection) -> tuple[int, int]:
            return next_number(conn, "quote"), measure_room(conn, farm).offered

        sequence, free = await farm.database.write(number)
        signed = sign_quote(farm.config.quote(farm.node, sequence, now, free), farm.key.signing_key)
        self._quotes = [*self._quotes, signed][-KEPT_QUOTES:]
        return signed
