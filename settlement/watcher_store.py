"""The watcher on disk: how far it has read, which blocks it saw, effects nobody has carried out yet."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from payments.channel import Channel, ClaimNow, Effect, ResumeAccepting, StopAccepting
from payments.types import ChannelId
from settlement.rpc import Block
from settlement.tables import BlockRow, ChannelRow, CursorRow, EffectRow, load_channel, table

_blocks: Final = table(BlockRow)
_cursor: Final = table(CursorRow)
_effects: Final = table(EffectRow)
_channels: Final = table(ChannelRow)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Blocks up to `seen` are read for bad news, up to `confirmed` for good news too."""

    seen: int
    confirmed: int


@dataclass(frozen=True, slots=True)
class PendingEffect:
    """An effect to be carried out, then acknowledged by its id; it may come twice."""

    id: int
    effect: Effect


def load_cursor(conn: Connection) -> Cursor | None:
    """Read how far the chain was read; None before the first time."""
    row = conn.execute(select(_cursor.c.seen, _cursor.c.confirmed)).first()
    return None if row is None else Cursor(row.seen, row.confirmed)


def save_cursor(conn: Connection, cursor: Cursor) -> None:
    """Write how far the chain was read."""
    conn.execute(delete(_cursor))
    conn.execute(insert(_cursor).values(id=1, seen=cursor.seen, confirmed=cursor.confirmed))


def load_hashes(conn: Connection) -> dict[int, bytes]:
    """Read the hashes of the blocks seen lately, by number, newest first."""
    query = select(_blocks.c.number, _blocks.c.hash).order_by(_blocks.c.number.desc())
    return {row.number: row.hash for row in conn.execute(query)}


def load_hash(conn: Connection, number: int) -> bytes | None:
    """Read the hash of one block, if it was seen lately."""
    return conn.execute(select(_blocks.c.hash).where(_blocks.c.number == number)).scalar()


def save_hashes(conn: Connection, hashes: dict[int, bytes], keep_from: int) -> None:
    """Add hashes, forget those of blocks before `keep_from`."""
    conn.execute(delete(_blocks).where(_blocks.c.number.in_(list(hashes))))
    if hashes:
        conn.execute(insert(_blocks), [{"number": number, "hash": known} for number, known in hashes.items()])
    conn.execute(delete(_blocks).where(_blocks.c.number < keep_from))


def forget_hashes(conn: Connection, above: int) -> None:
    """Forget blocks that are not part of the chain any more."""
    conn.execute(delete(_blocks).where(_blocks.c.number > above))


def mark(conn: Connection, channel_id: ChannelId, block: int) -> None:
    """Note the newest block that told something about a channel."""
    older = _channels.c.last_block < block
    conn.execute(update(_channels).where(_channels.c.id == channel_id, older).values(last_block=block))


def mark_seen_at(conn: Connection, channel_id: ChannelId, block: Block) -> None:
    """Note that a block told something about a channel, to somebody else than the watcher.

    Its hash is kept as well, so that the watcher notices when it is replaced before it was followed.
    """
    mark(conn, channel_id, block.number)
    if load_hash(conn, block.number) is None:
        save_hashes(conn, {block.number: block.hash}, keep_from=0)


def unmark(conn: Connection, channel_id: ChannelId, block: int) -> None:
    """Note that nothing after `block` counts any more."""
    conn.execute(update(_channels).where(_channels.c.id == channel_id).values(last_block=block))


def list_touched(conn: Connection, above: int) -> list[Channel]:
    """List the channels about which a block above this number told something."""
    query = select(_channels.c.id).where(_channels.c.last_block > above)
    found = (load_channel(conn, ChannelId(row.id)) for row in conn.execute(query).all())
    return [channel for channel in found if channel is not None]


def add_effects(conn: Connection, effects: Iterable[Effect]) -> None:
    """Queue effects. ReadAgain is not: a frozen channel says so by its status."""
    for effect in effects:
        fields: dict[str, Any] = {"channel_id": effect.channel_id, "total": 0, "before": 0}
        match effect:
            case ClaimNow():
                fields |= {"kind": "claim", "total": effect.total, "before": effect.before}
            case StopAccepting():
                fields["kind"] = "stop"
            case ResumeAccepting():
                fields["kind"] = "resume"
            case _:
                continue
        conn.execute(insert(_effects).values(**fields))


def list_effects(conn: Connection) -> list[PendingEffect]:
    """List what nobody has carried out yet, oldest first."""
    return [
        PendingEffect(row.id, _effect(row)) for row in conn.execute(select(_effects).order_by(_effects.c.id))
    ]


def remove_effects(conn: Connection, ids: Iterable[int]) -> None:
    """Forget effects that were carried out."""
    conn.execute(delete(_effects).where(_effects.c.id.in_(list(ids))))


def _effect(row: Any) -> Effect:  # noqa: ANN401 - SQLAlchemy's row
    if row.kind == "claim":
        return ClaimNow(row.channel_id, row.total, row.before)
    return StopAccepting(row.channel_id) if row.kind == "stop" else ResumeAccepting(row.channel_id)
