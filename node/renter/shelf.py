"""The renter's shelf: what its farmers keep so that its phrase and one of them bring all files back.

Every stored file has an entry (its sealed manifest and its agreements), the peer book another. They are given
to every farmer with an open channel, and taken back after a restoration, newest version first.
"""

from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from random import sample
from typing import Final

from node.db import Connection
from node.db.renter_peers import load_peers
from node.db.renter_shelf import list_due, load_version, note_kept
from node.db.restoration import ask_later, list_unasked, mark_restored, note_asked
from node.errors import CorruptEntry, EntryTooLarge, NodeError
from node.hex import to_hex
from node.messages import (
    MAX_ENTRIES,
    ShelfEntry,
    ShelfList,
    ShelfPlace,
)
from node.network import Peer
from node.renter.context import Context
from node.renter.faults import to_fault
from node.renter.money import active_accounts
from node.renter.peers import Peers
from node.renter.reports import Fault
from node.renter.shelf_entries import Collected, Content, entry_content, take_entry
from node.shelf import PEERS, join_parts, open_entry, part_name, seal_parts
from node.tasks import all_of
from node.transport import PeerBrokeRules, PeerRefused
from payments.types import NodeId, Timestamp

AT_ONCE: Final = 8
"""Farmers that are given a new file's entry at once; `rent run` gives it to the others."""


FULL: Final = "SHELF_FULL"
"""A farmer's refusal where no room is left for an entry."""
Sealed = tuple[ShelfEntry, ...]
PAUSE: Final = 3_600
"""Seconds until a farmer is tried again that was away or refused, or an entry that was too large."""


class Shelf:
    """Gives entries away, and takes them back."""

    def __init__(self, context: Context, peers: Peers) -> None:
        self._context = context
        self._peers = peers
        self._resting: dict[NodeId, int] = {}
        self._too_large: dict[bytes, int] = {}

    async def deliver(self, new: bytes | None = None) -> tuple[Fault, ...]:
        """Give every farmer with an open channel the entries it lacks; what went wrong, a fault a farmer.

        new: of more than AT_ONCE farmers so many, whichever, and this entry and the peer book only: one of
        them is enough to find a file again.
        """
        database = self._context.database
        if database.read(list_unasked):
            return ()  # first learn what they have
        now, only = self._context.now(), None
        customers = [node for node in database.read(_customers) if self._resting.get(node, 0) <= now]
        if new is not None and len(customers) > AT_ONCE:
            customers, only = sample(customers, AT_ONCE), {new, PEERS}
        entry = cache(self._entry)
        faults = await all_of(self._deliver(node, entry, only) for node in customers)
        return tuple(fault for fault in faults if fault is not None)

    async def ask(self, peer: Peer) -> None:
        """Note that a farmer is to be asked for what it keeps."""
        await self._context.database.write(lambda conn: ask_later(conn, peer.node))

    async def collect(self) -> Collected:
        """Take back what the farmers keep that are still to be asked. Raises StorageError."""
        collected, asked = Collected(), set[NodeId]()
        while waiting := set(self._context.database.read(list_unasked)) - asked:
            asked |= waiting
            await all_of(self._collect(node, collected) for node in waiting)
        return collected

    async def _deliver(
        self, node: NodeId, sealed: Callable[[bytes, int], Sealed], only: Collection[bytes] | None
    ) -> Fault | None:
        """Give one farmer what it lacks; the first trouble. What finds no room keeps nothing smaller back."""
        due, fault, refused = self._context.database.read(lambda conn: list_due(conn, node)), None, None
        now = self._context.now()
        for entry, version in due:
            if (only is not None and entry not in only) or self._too_large.get(entry, 0) > now:
                continue
            try:
                messages = sealed(entry, version)
                size = sum(len(message.sealed) for message in messages)
                if refused is None or size < refused:
                    await self._give(node, (entry, version), messages)
            except EntryTooLarge as error:
                self._too_large[entry] = now + PAUSE
                fault = fault or to_fault(node, error)
            except NodeError as error:
                self._resting[node] = now + PAUSE
                fault = fault or to_fault(node, error)
                if not isinstance(error, PeerRefused) or error.error != FULL:
                    break
                refused = size
        return fault

    async def _give(self, node: NodeId, given: tuple[bytes, int], messages: Sealed) -> None:
        """Have one entry kept. Raises the transport's errors, UnknownPeer."""
        target = self._peers.target(node)
        for message in messages:
            place = await self._context.transport.post(target, "/v1/shelf", message, ShelfPlace)
            if place.entry != message.entry:
                raise PeerBrokeRules(node, "it says it keeps another entry than it was given")
            await self._context.database.write(
                partial(_note, node=node, given=given, place=place, whole=message is messages[-1])
            )

    def _has(self, place: ShelfPlace) -> bool:
        """Whether our books say what this entry says, or something newer; peer books are put together."""
        known = self._context.database.read(lambda conn: load_version(conn, place.entry))
        return place.entry != PEERS and known is not None and known >= place.version

    def _entry(self, entry: bytes, version: int) -> Sealed:
        """Seal an entry as it stands now; in parts, if it is large. Raises EntryTooLarge."""
        content = self._context.database.read(lambda conn: entry_content(conn, entry))
        parts = seal_parts(self._context.keys.node, entry, version, content)
        return tuple(ShelfEntry(entry=name, version=version, sealed=sealed) for name, sealed in parts)

    async def _collect(self, node: NodeId, collected: Collected) -> None:
        context = self._context
        entries, parts = dict[tuple[bytes, int], Content](), dict[tuple[bytes, int], str]()
        try:
            target = self._peers.target(node)
            places = await context.transport.get(target, "/v1/shelf", ShelfList)
            for place in places.entries[:MAX_ENTRIES]:
                if self._has(place):
                    continue
                path = f"/v1/shelf/{to_hex(place.entry)}"
                entry = await context.transport.get(target, path, ShelfEntry)
                content = open_entry(context.keys.node, place.entry, entry.version, entry.sealed)
                if "part" in content:
                    parts[place.entry, entry.version] = content["part"]
                elif "parts" in content:
                    entries[place.entry, entry.version] = content
                else:
                    await self._take(node, (place.entry, entry.version), content, collected)
            for named, content in entries.items():
                await self._join(node, named, content, parts, collected)
        except NodeError as error:
            collected.faults.append(to_fault(node, error))
            return
        await context.database.write(lambda conn: note_asked(conn, node))

    async def _join(
        self,
        node: NodeId,
        named: tuple[bytes, int],
        content: Content,
        parts: Mapping[tuple[bytes, int], str],
        collected: Collected,
    ) -> None:
        """Take an entry that is in parts; one that was not given whole is told, and others have it."""
        (entry, version), count = named, int(content["parts"])
        names = [(part_name(entry, number), version) for number in range(min(count, MAX_ENTRIES))]
        try:
            whole = join_parts(entry, version, [parts[name] for name in names if name in parts])
            await self._take(node, named, whole, collected)
        except CorruptEntry as error:
            collected.faults.append(to_fault(node, error))

    async def _take(
        self, node: NodeId, named: tuple[bytes, int], content: Content, collected: Collected
    ) -> None:
        """Put an entry into the books. Raises NodeError."""
        context = self._context
        taken = await context.database.write(lambda conn: take_entry(conn, context, node, named, content))
        collected.found += taken.found
        collected.removed += taken.removed


def begin_again(conn: Connection, taken_at: Timestamp, now: Timestamp) -> None:
    """Turn a copy, or nothing at all, into a renter's books: everything is to be reconciled."""
    mark_restored(conn, taken_at, now, signed=False)
    for peer in load_peers(conn):
        ask_later(conn, peer.node)


def _note(
    conn: Connection, *, node: NodeId, given: tuple[bytes, int], place: ShelfPlace, whole: bool
) -> None:
    """Note what a farmer keeps: the version it was given, or a newer one that another process has given it.

    Of an entry in parts only once it is whole.

    What was never given is a lie, after which it would never be given anything. Raises PeerBrokeRules.
    """
    (entry, version), newest = given, load_version(conn, given[0])
    if not version <= place.version <= max(version, newest or 0):
        raise PeerBrokeRules(node, f"given version {version} of an entry, it says it keeps {place.version}")
    if whole:
        note_kept(conn, node, entry, place.version)


def _customers(conn: Connection) -> list[NodeId]:
    """Farmers that we pay."""
    paid = active_accounts(conn)
    return [peer.node for peer in load_peers(conn) if peer.node in paid]
