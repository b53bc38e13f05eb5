"""The renter's shelf: what its farmers keep so that its phrase and one of them bring all files back.

Every stored file has an entry (its sealed manifest and its agreements), the peer book another. They are given
to every farmer with an open channel, and taken back after a restoration, newest version first.
"""

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cache, partial
from random import sample
from typing import Any, Final

from node.agreement import agreement_id, verify_farmer, verify_renter
from node.db import Connection
from node.db.renter_files import (
    FileRecord,
    FileState,
    insert_file,
    load_file_by_id,
    set_file_state,
)
from node.db.renter_peers import PeerRecord, load_peer, load_peers, save_peer
from node.db.renter_repairs import load_keeps, set_keep
from node.db.renter_shards import ShardRecord, ShardState, delete_later, insert_shards, load_shards
from node.db.renter_shelf import list_due, load_version, note_kept, save_version
from node.db.restoration import ask_later, list_unasked, mark_restored, note_asked
from node.errors import MalformedMessage, NodeError
from node.hex import from_hex, to_hex
from node.messages import (
    MAX_ENTRIES,
    AgreementMessage,
    NodeInfo,
    ShelfEntry,
    ShelfList,
    ShelfPlace,
    dump,
    parse,
)
from node.network import Peer
from node.renter.context import Context
from node.renter.faults import to_fault
from node.renter.money import active_accounts
from node.renter.peers import Peers
from node.renter.reports import Fault
from node.shelf import PEERS, open_entry, seal_entry
from node.tasks import all_of
from node.transport import PeerBrokeRules
from payments.types import NodeId, Timestamp

AT_ONCE: Final = 8
"""Farmers that are given a new file's entry at once; `rent run` gives it to the others."""


PAUSE: Final = 3_600
"""Seconds until a farmer is tried again that was away, or has said what cannot be."""


@dataclass(slots=True)
class Collected:
    """What farmers gave back: files that were not known, or are removed by now; who did not answer."""

    found: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class Shelf:
    """Gives entries away, and takes them back."""

    def __init__(self, context: Context, peers: Peers) -> None:
        self._context = context
        self._peers = peers
        self._resting: dict[NodeId, int] = {}

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
        self,
        node: NodeId,
        sealed: Callable[[bytes, int], ShelfEntry | None],
        only: Collection[bytes] | None,
    ) -> Fault | None:
        database = self._context.database
        for entry, version in database.read(lambda conn: list_due(conn, node)):
            if only is not None and entry not in only:
                continue
            message = sealed(entry, version)
            place = ShelfPlace(entry=entry, version=version)
            try:
                if message is not None:
                    target = self._peers.target(node)
                    place = await self._context.transport.post(target, "/v1/shelf", message, ShelfPlace)
                await database.write(partial(_note, node=node, given=(entry, version), place=place))
            except NodeError as error:
                self._resting[node] = self._context.now() + PAUSE
                return to_fault(node, error)
        return None

    def _has(self, place: ShelfPlace) -> bool:
        """Whether our books say what this entry says, or something newer; peer books are put together."""
        known = self._context.database.read(lambda conn: load_version(conn, place.entry))
        return place.entry != PEERS and known is not None and known >= place.version

    def _entry(self, entry: bytes, version: int) -> ShelfEntry | None:
        """Seal an entry as it stands now; None where it is larger than a farmer keeps."""
        content = self._context.database.read(lambda conn: _content(conn, entry))
        sealed = seal_entry(self._context.keys.node, entry, version, content)
        try:
            return ShelfEntry(entry=entry, version=version, sealed=sealed)
        except ValueError:
            return None

    async def _collect(self, node: NodeId, collected: Collected) -> None:
        context = self._context
        try:
            target = self._peers.target(node)
            places = await context.transport.get(target, "/v1/shelf", ShelfList)
            for place in places.entries[:MAX_ENTRIES]:
                if self._has(place):
                    continue
                path = f"/v1/shelf/{to_hex(place.entry)}"
                entry = await context.transport.get(target, path, ShelfEntry)
                content = open_entry(context.keys.node, place.entry, entry.version, entry.sealed)
                taken = await context.database.write(
                    lambda conn, entry=entry, content=content: _take(conn, context, node, entry, content)  # type: ignore[misc]  # mypy sees no default
                )
                collected.found += taken.found
                collected.removed += taken.removed
        except NodeError as error:
            collected.faults.append(to_fault(node, error))
            return
        await context.database.write(lambda conn: note_asked(conn, node))


def begin_again(conn: Connection, taken_at: Timestamp, now: Timestamp) -> None:
    """Turn a copy, or nothing at all, into a renter's books: everything is to be reconciled."""
    mark_restored(conn, taken_at, now, signed=False)
    for peer in load_peers(conn):
        ask_later(conn, peer.node)


def _note(conn: Connection, *, node: NodeId, given: tuple[bytes, int], place: ShelfPlace) -> None:
    """Note what a farmer keeps: the version it was given, or a newer one that another process has given it.

    What was never given is a lie, after which it would never be given anything. Raises PeerBrokeRules.
    """
    (entry, version), newest = given, load_version(conn, given[0])
    if place.entry != entry or not version <= place.version <= max(version, newest or 0):
        raise PeerBrokeRules(node, f"given version {version} of an entry, it says it keeps {place.version}")
    note_kept(conn, node, entry, place.version)


def _customers(conn: Connection) -> list[NodeId]:
    """Farmers that we pay."""
    paid = active_accounts(conn)
    return [peer.node for peer in load_peers(conn) if peer.node in paid]


def _content(conn: Connection, entry: bytes) -> dict[str, Any]:
    """What an entry says now."""
    if entry == PEERS:
        return {"peers": [[to_hex(peer.node), peer.url, peer.info] for peer in load_peers(conn)]}
    file = load_file_by_id(conn, entry)
    if file is None or file.state is not FileState.STORED:
        return {"removed": "" if file is None else file.name}
    shards = [shard for shard in load_shards(conn, entry) if shard.state is ShardState.STORED]
    return {
        "name": file.name,
        "size": file.size,
        "sha256": file.sha256.hex(),
        "created_at": file.created_at,
        "kept_until": load_keeps(conn).get(entry),
        "shape": [file.k, file.n, file.segments],
        "manifest": file.manifest.hex(),
        "shards": [_pack(shard) for shard in shards],
    }


def _pack(shard: ShardRecord) -> list[Any]:
    terms = json.loads(dump(AgreementMessage.of(shard.agreement)))
    signed = (shard.farmer_signature or b"").hex()
    return [shard.segment, shard.index, terms, shard.renter_signature.hex(), signed]


def _take(
    conn: Connection, context: Context, node: NodeId, entry: ShelfEntry, content: dict[str, Any]
) -> Collected:
    """Put an entry into the books, unless they have a newer one by now. Raises NodeError."""
    known, taken = load_version(conn, entry.entry), Collected()
    try:
        if entry.entry == PEERS:
            _take_peers(conn, context.now(), content["peers"])
            if known is None or known <= entry.version:  # what we know together is newer than either
                save_version(conn, PEERS, entry.version + 1)
            return taken
        if known is not None and known >= entry.version:
            return taken
        if "removed" in content:
            taken.removed += _remove(conn, entry.entry)
        elif load_file_by_id(conn, entry.entry) is None:
            _take_file(conn, context, entry.entry, content)
            taken.found.append(str(content["name"]))
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedMessage("shelf", type(error).__name__) from error
    save_version(conn, entry.entry, entry.version)
    note_kept(conn, node, entry.entry, entry.version)
    return taken


def _take_peers(conn: Connection, now: Timestamp, peers: Iterable[list[str]]) -> None:
    """Remember farmers that are not known, and that they are to be asked too."""
    for node_text, url, info in peers:
        node = NodeId(from_hex(node_text, 32))
        parse(NodeInfo, info.encode())
        if load_peer(conn, node) is None:
            save_peer(conn, PeerRecord(node, url, info, now, now))
            ask_later(conn, node)


def _remove(conn: Connection, entry: bytes) -> list[str]:
    file = load_file_by_id(conn, entry)
    if file is None or file.state is FileState.REMOVED:
        return []
    set_file_state(conn, entry, FileState.REMOVED)
    delete_later(conn, entry)
    return [file.name]


def _take_file(conn: Connection, context: Context, entry: bytes, content: dict[str, Any]) -> None:
    k, n, segments = content["shape"]
    file = FileRecord(
        file_id=entry,
        name=content["name"],
        state=FileState.STORED,
        k=k,
        n=n,
        segments=segments,
        created_at=content["created_at"],
        size=content["size"],
        sha256=bytes.fromhex(content["sha256"]),
        manifest=bytes.fromhex(content["manifest"]),
    )
    shards = [_unpack(context, entry, *packed) for packed in content["shards"]]
    insert_file(conn, file)
    set_keep(conn, entry, content.get("kept_until"))
    if shards:
        insert_shards(conn, shards)


def _unpack(
    context: Context, entry: bytes, segment: int, index: int, terms: dict[str, Any], *signed: str
) -> ShardRecord:
    """Read a shard's agreement, and check both signatures: it is what the farmer will be held to."""
    agreement = parse(AgreementMessage, json.dumps(terms).encode()).core()
    renter_signature, farmer_signature = (bytes.fromhex(one) for one in signed)
    verify_renter(context.domain, agreement, renter_signature, context.keys.signer.address)
    verify_farmer(context.domain, agreement, farmer_signature)
    return ShardRecord(
        agreement_id=agreement_id(context.domain, agreement),
        file_id=entry,
        segment=segment,
        index=index,
        state=ShardState.STORED,
        agreement=agreement,
        renter_signature=renter_signature,
        farmer_signature=farmer_signature,
        paid_until=agreement.start,
    )
