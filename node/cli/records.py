"""Keeping deployment records: a name holds one chain; the record of a former one is put aside, not lost."""

from dataclasses import replace
from pathlib import Path

from node.cli.errors import NotDone
from node.cli.output import note, safe
from node.home import Home, check_name, make_private_directory
from settlement.client import Chain
from settlement.deployment import DEPTH, Deployment
from settlement.errors import MalformedDeployment, NodeRefused


def keep_record(home: Home, record: Deployment) -> None:
    """Store a deployment under its name, and make it the current chain."""
    file = home.chain_file(record.name)
    make_private_directory(file.parent)
    if file.exists():
        _put_aside(home, record)
    record.save(file)
    config = home.config()
    if config.chain not in (None, record.name):
        note(f"The current chain is now {record.name}; back with: tithe chain use {safe(str(config.chain))}")
    home.save_config(replace(config, chain=record.name))


def find_record(place: Path) -> Path:
    """Find the record a user points at: the file itself, or the current chain of another home."""
    if not place.is_dir():
        return place
    other = Home(place)
    named = other.config().chain
    names = [named] if named else other.chain_names()
    if len(names) != 1:
        raise NotDone(f"{place} has no current chain: name a record, such as {place}/chains/local.json")
    return other.chain_file(names[0])


async def join_chain(
    home: Home,
    place: Path,
    *,
    url: str | None = None,
    name: str | None = None,
    finality: str | None = None,
) -> Deployment:
    """Record somebody else's deployment after checking that the chain is the recorded one.

    `place` is the record, or a home whose current chain is meant; `url` one or several, with commas. Raises
    MalformedDeployment, ChainError, or NotDone for a `finality` the chain does not have.
    """
    record = Deployment.load(find_record(place))
    record = replace(record, url=url or record.url, name=check_name("chain", name or record.name))
    record = replace(record, finality=finality or record.finality)
    async with await Chain.connect(record.url, record) as chain:
        if not await _is_final(chain):
            raise NotDone(f"this chain's node shows no {record.finality} block: leave --finality out")
        keep_record(home, record)
    return record


async def _is_final(chain: Chain) -> bool:
    """Whether the chain says of any block that it is final, in the way the record wants it said."""
    if chain.deployment.finality == DEPTH:
        return True
    try:
        return await chain.final(await chain.head()) >= 0
    except NodeRefused:
        return False


def _put_aside(home: Home, record: Deployment) -> None:
    try:
        before = Deployment.load(home.chain_file(record.name))
    except MalformedDeployment:
        return
    if before.folder != record.folder:
        past = home.keep_past_chain(record.name, before.folder)
        note(f"The record of the former chain {record.name} is kept as {safe(str(past))}")
