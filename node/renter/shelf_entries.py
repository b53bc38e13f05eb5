"""What stands in the entries of a renter's shelf, written from its books and put into them again."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

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
from node.db.renter_shelf import load_version, note_kept, save_version
from node.db.restoration import ask_later
from node.errors import MalformedMessage
from node.hex import from_hex, to_hex
from node.messages import AgreementMessage, NodeInfo, dump, parse
from node.renter.context import Context
from node.renter.reports import Fault
from node.shelf import PEERS
from payments.types import NodeId, Timestamp

Content = dict[str, Any]


@dataclass(slots=True)
class Collected:
    """What farmers gave back: files that were not known, or are removed by now; who did not answer."""

    found: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def entry_content(conn: Connection, entry: bytes) -> Content:
    """What an entry says now."""
    if entry == PEERS:
        return {"peers": [[to_hex(peer.node), peer.url, peer.info] for peer in load_peers(conn)]}
    file = load_file_by_id(conn, entry)
    if file is None or file.state is not FileState.STORED:
        return {"removed": "" if file is None else file.name}
    shards = [shard for shard in load_shards(conn, entry) if shard.stored]
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


def take_entry(
    conn: Connection, context: Context, node: NodeId, named: tuple[bytes, int], content: Content
) -> Collected:
    """Put an entry into the books, unless they have a newer one by now. Raises NodeError."""
    (entry, version), taken = named, Collected()
    known = load_version(conn, entry)
    try:
        if entry == PEERS:
            _take_peers(conn, context.now(), content["peers"])
            if known is None or known <= version:  # what we know together is newer than either
                save_version(conn, PEERS, version + 1)
            return taken
        if known is not None and known >= version:
            return taken
        if "removed" in content:
            taken.removed += _remove(conn, entry, context.now())
        elif load_file_by_id(conn, entry) is None:
            _take_file(conn, context, entry, content)
            taken.found.append(str(content["name"]))
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedMessage("shelf", type(error).__name__) from error
    save_version(conn, entry, version)
    note_kept(conn, node, entry, version)
    return taken


def _take_peers(conn: Connection, now: Timestamp, peers: Iterable[list[str]]) -> None:
    """Remember farmers that are not known, and that they are to be asked too."""
    for node_text, url, info in peers:
        node = NodeId(from_hex(node_text, 32))
        parse(NodeInfo, info.encode())
        if load_peer(conn, node) is None:
            save_peer(conn, PeerRecord(node, url, info, now, now))
            ask_later(conn, node)


def _remove(conn: Connection, entry: bytes, now: Timestamp) -> list[str]:
    file = load_file_by_id(conn, entry)
    if file is None or file.state is FileState.REMOVED:
        return []
    set_file_state(conn, entry, FileState.REMOVED)
    delete_later(conn, entry, now)
    return [file.name]


def _take_file(conn: Connection, context: Context, entry: bytes, content: Content) -> None:
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
