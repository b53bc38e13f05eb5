"""Alarms: says aloud, again and again, that a claim may come too late."""

import logging

from node.db import Connection
from node.db.farmer_latency import worst_latency
from node.farmer.claimable import find_candidates
from node.farmer.farm import Farm
from node.farmer.vitals import Books, Sight, Stored, deadline_sentence, find_deadlines
from payments.types import ChannelId, Timestamp
from settlement.rpc import Block

log = logging.getLogger("tithebarn.farmer")

AGAIN_SECONDS = 60


class Alarms:
    """The alarms of one farmer."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._told: dict[ChannelId, Timestamp] = {}
        self.trouble: tuple[str, ...] = ()
        """The deadlines that are short, in sentences."""

    async def look(self, head: Block | None, price: int | None) -> None:
        """Look for deadlines that are short, by the books, the newest block and the price of gas in wei."""
        farm, now, sight = self._farm, self._farm.now(), Sight(head, price)
        books = Books(farm.config, farm.database, farm.chain.deployment, None)

        def read(conn: Connection) -> list[tuple[ChannelId, str]]:
            closing = find_candidates(conn, now, closing=True)
            stored = Stored(closing, (), None, worst_latency(conn, now))
            found = find_deadlines(books, stored, now, sight)
            return [(one.channel_id, deadline_sentence(one)) for one in found if one.short]

        short = await farm.run(farm.database.read, read)
        self.trouble = tuple(sentence for _, sentence in short)
        self._told = {name: self._told[name] for name, _ in short if name in self._told}
        for name, sentence in short:
            if now - self._told.get(name, 0) >= AGAIN_SECONDS:
                self._told[name] = now
                self._farm.claims_due.set()
                log.error("deadline_near channel=%s reason=%s", name.hex(), sentence)
