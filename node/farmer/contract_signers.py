"""Channels that a contract signs for (ERC-1271), as far as the farmer's operator accepts them.

No key can be recovered from such a signature: the contract is asked, at the newest block, as PaymentChannels
will ask it at the claim. It may answer otherwise by then, so what it signs counts as unpaid until it is
claimed (`Earnings.revocable`), and the exposure limit bounds what it can take back.
"""

from node.db import Connection
from node.db.farmer import list_books
from node.farmer.farm import Farm
from payments.errors import AccountRefuses
from payments.types import Address, NodeId
from payments.vouchers import SignedVoucher, voucher_digest, voucher_signer
from settlement.tables import load_channel


def recall_contracts(farm: Farm) -> None:
    """Learn at the start from the books which channels a contract signs for."""

    def step(conn: Connection) -> None:
        for book in list_books(conn):
            channel = load_channel(conn, book.channel_id) if book.earnings.revocable else None
            if channel is not None:
                farm.contract_signers[channel.id] = channel.terms.signer

    farm.database.read(step)


async def find_signer(farm: Farm, signed: SignedVoucher) -> Address:
    """Find who signed a voucher: recovered, or the contract that says it did.

    Raises a SignatureError, and ChainError where the contract cannot be asked.
    """
    contract = farm.contract_signers.get(signed.voucher.channel_id)
    if contract is None:
        return voucher_signer(farm.domain, signed)
    if not await _accepts(farm, contract, voucher_digest(farm.domain, signed.voucher), signed.signature):
        raise AccountRefuses(contract)
    return contract


async def still_signed(farm: Farm, signed: SignedVoucher) -> bool:
    """Whether a voucher taken before may still be claimed; a key stands by its word. Raises ChainError."""
    if signed.voucher.channel_id not in farm.contract_signers:
        return True
    try:
        await find_signer(farm, signed)
    except AccountRefuses:
        return False
    return True


async def find_agreeing(farm: Farm, node: NodeId, agreement: bytes, signature: bytes) -> set[Address]:
    """Find this renter's contracts that accept its signature of an agreement (its id). Raises ChainError."""
    if not farm.contract_signers:
        return set()
    books = farm.database.read(lambda conn: list_books(conn, node))
    names = {book.channel_id for book in books} & farm.contract_signers.keys()
    contracts = {farm.contract_signers[name] for name in names}
    return {one for one in contracts if await _accepts(farm, one, agreement, signature)}


async def _accepts(farm: Farm, contract: Address, digest: bytes, signature: bytes) -> bool:
    head = await farm.chain.head()
    return await farm.chain.account_accepts(contract, digest, signature, block=head.number)
