"""Relay fees: what a payee lets a relayer keep of one voucher's money, once, for sending the claim.

The payee signs the most it will bear at claim time; nothing about fees stands in the voucher. A fee is kept
only by the claim that pays the voucher in full.
"""

from dataclasses import dataclass
from typing import Final

from payments.eip712 import Domain, address_word, keccak, type_hash, typed_digest, word
from payments.typed_data import TypedData
from payments.types import Address, Amount, ChannelId, Timestamp, to_address, to_amount, to_bytes32, to_uint
from payments.vouchers import SigningKey

RELAY_FEE_TYPE: Final = (
    "RelayFee(address relayer,bytes32 channelId,uint96 cumulativeAmount,uint96 maximum,uint64 deadline)"
)

_RELAY_FEE_TYPE_HASH: Final = type_hash(RELAY_FEE_TYPE)


@dataclass(frozen=True, slots=True)
class RelayFee:
    """The payee's word: `relayer` may keep up to `maximum` base units until unix time `deadline`, once.

    `cumulative_amount` is that of the voucher, the last second in which it holds is `deadline`.
    """

    relayer: Address
    channel_id: ChannelId
    cumulative_amount: Amount
    maximum: Amount
    deadline: Timestamp

    def __post_init__(self) -> None:
        to_address("relayer", self.relayer)
        to_bytes32("channel_id", self.channel_id)
        to_amount(self.cumulative_amount)
        to_amount(self.maximum)
        to_uint("deadline", self.deadline, 64)


@dataclass(frozen=True, slots=True)
class SignedFee:
    """A RelayFee and the payee's signature, 64 bytes (EIP-2098)."""

    terms: RelayFee
    signature: bytes


def relay_fee_digest(domain: Domain, fee: RelayFee) -> bytes:
    """Compute the EIP-712 hash that the payee signs: 32 bytes."""
    return typed_digest(
        domain,
        keccak(
            _RELAY_FEE_TYPE_HASH
            + address_word(fee.relayer)
            + fee.channel_id
            + word(fee.cumulative_amount)
            + word(fee.maximum)
            + word(fee.deadline)
        ),
    )


def sign_fee(domain: Domain, fee: RelayFee, key: SigningKey) -> SignedFee:
    """Sign as the payee, wherever its key is."""
    message = {
        "relayer": fee.relayer,
        "channelId": fee.channel_id,
        "cumulativeAmount": fee.cumulative_amount,
        "maximum": fee.maximum,
        "deadline": fee.deadline,
    }
    data = TypedData(domain.fields, (RELAY_FEE_TYPE,), message, relay_fee_digest(domain, fee))
    return SignedFee(fee, key.sign_typed(data))
