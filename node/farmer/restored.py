"""A restored farmer: it claims nothing of a channel before it knows again what it earned in it.

Its copy holds older vouchers than it had. It asks for the newest one in every view of the channel, and takes
part in business meanwhile. After a while, or when the channel closes, it goes by what it has.
"""

from collections.abc import Iterable
from typing import Final

from node.db import Connection
from node.db.farmer_agreements import wait_for_shards
from node.db.restoration import list_frozen, load_restoration, mark_restored, note_chain_read, thaw
from node.farmer.farm import Farm
from payments.channel import Channel
from payments.types import ChannelId, Seconds, Timestamp

PATIENCE: Final = Seconds(7 * 86_400)
"""How long a renter may stay away before its channel is claimed by the vouchers of the copy."""


def begin_again(conn: Connection, taken_at: Timestamp, now: Timestamp) -> None:
    """Turn a copy into a farmer's books: everything is to be reconciled.

    Claims are decided anew from the vouchers. What was proposed may be stored by now: its renter has time to
    say so.
    """
    mark_restored(conn, taken_at, now, signed=True)
    wait_for_shards(conn, Timestamp(now + PATIENCE))


def find_frozen(farm: Farm) -> None:
    """Learn at a start which channels are not reconciled."""
    farm.frozen.update(farm.database.read(list_frozen))


async def thaw_channel(farm: Farm, channel: ChannelId) -> None:
    """Note that a channel's renter has handed over its newest voucher."""
    if channel in farm.frozen:
        await farm.database.write(lambda conn: thaw(conn, channel))
        farm.frozen.discard(channel)


async def note_followed(farm: Farm) -> None:
    """Note that the chain's news are in the books again, and end the waiting that has been long enough."""
    if not farm.frozen:
        return
    now = farm.now()

    def work(conn: Connection) -> list[ChannelId]:
        note_chain_read(conn)
        restoration = load_restoration(conn)
        if restoration is None or now < restoration.restored_at + PATIENCE:
            return []
        return [channel for channel in list_frozen(conn) if thaw(conn, channel)]

    farm.frozen.difference_update(await farm.database.write(work))


def may_claim(farm: Farm, channels: Iterable[Channel]) -> set[ChannelId]:
    """Which of these channels may be claimed: those that are reconciled, and those whose time runs out."""
    return {one.id for one in channels if one.id not in farm.frozen or one.closes_at}


def describe_frozen(farm: Farm) -> str | None:
    """Say what a restored farmer waits for."""
    if not farm.frozen:
        return None
    return (
        f"restored from a copy: {len(farm.frozen)} channels are claimed when their renters have handed over"
        f" their newest vouchers, or after {PATIENCE // 86_400} days, or when they close"
    )
