"""A relay file: what farmers without gas hand to a relayer, as JSON. Their vouchers, and the fee they allow.

Whoever has the file can do no more with it than what the payees have signed: claim for them, and as the named
relayer keep the fee.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from node.errors import DamagedFile, MalformedMessage
from node.fields import AmountText, Bytes20, Bytes32, PackedProof, Signature, Uint64
from node.messages import ChainMessage, Message, Mirror, SignedVoucherMessage, TermsMessage, dump, parse
from payments.relay_fees import RelayFee, SignedFee
from settlement.calls import Claim
from settlement.deployment import Deployment
from settlement.relays import Errand

MAX_ERRANDS = 10_000


class ClaimMessage(Mirror[Claim]):
    """A voucher with its channel's terms, and the proof of a conditional one."""

    mirrored = Claim
    terms: TermsMessage
    voucher: SignedVoucherMessage
    proof: PackedProof


class RelayFeeMessage(Mirror[RelayFee]):
    """What a payee allows a relayer."""

    mirrored = RelayFee
    relayer: Bytes20
    channel_id: Bytes32
    cumulative_amount: AmountText
    maximum: AmountText
    deadline: Uint64


class SignedFeeMessage(Mirror[SignedFee]):
    """A fee and its payee's signature."""

    mirrored = SignedFee
    terms: RelayFeeMessage
    signature: Signature


class ErrandMessage(Mirror[Errand]):
    """One claim to be relayed."""

    mirrored = Errand
    claim: ClaimMessage
    fee: SignedFeeMessage


class RelayFile(Message):
    """The whole file: on which chain and contract, and the claims."""

    limit = 64 * 1024 * 1024
    chain: ChainMessage
    errands: Annotated[tuple[ErrandMessage, ...], Field(max_length=MAX_ERRANDS)]


def write_errands(record: Deployment, errands: list[Errand]) -> bytes:
    """Write a relay file."""
    chain = ChainMessage(chain_id=record.chain_id, genesis_hash=record.genesis_hash, contract=record.contract)
    return dump(RelayFile(chain=chain, errands=tuple(map(ErrandMessage.of, errands)))) + b"\n"


def read_errands(path: Path, record: Deployment) -> list[Errand]:
    """Read a relay file. Raises DamagedFile for anything else, and for one of another chain or contract."""
    try:
        read = parse(RelayFile, path.read_bytes())
    except OSError as error:
        raise DamagedFile(path, error.strerror or str(error)) from error
    except MalformedMessage as error:
        raise DamagedFile(path, str(error)) from error
    chain = read.chain
    ours = (record.chain_id, record.genesis_hash, record.contract)
    if (chain.chain_id, chain.genesis_hash, chain.contract) != ours:
        raise DamagedFile(path, f"its claims are for another chain or contract than {record.name}")
    return [errand.core() for errand in read.errands]
