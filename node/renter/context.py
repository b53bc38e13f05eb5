"""A Context: what all parts of one renter share: database, chain, keys, transport, clock and locks."""

from dataclasses import dataclass, field

from node.clock import Clock
from node.identity import NodeKey
from node.master_key import MasterKey
from node.renter.limits import USUAL, Limits
from node.renter.locks import Locks
from node.transport import Transport
from payments.eip712 import Domain
from payments.types import Address, NodeId, Timestamp
from payments.vouchers import SignedVoucher, SigningKey, Voucher, sign_voucher
from settlement.client import Chain
from settlement.database import Database


@dataclass(frozen=True, slots=True)
class Keys:
    """A renter's keys. `payer` is the address that funds; its key may be cold, then `payer_key` is None.

    payers: further addresses of its owner, whose channels are its own too.
    """

    node: NodeKey
    signer: SigningKey
    master: MasterKey
    payer: Address
    payer_key: SigningKey | None = None
    payers: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True)
class Pen:
    """What signs vouchers. The caller has written the total down, or does so in the same transaction."""

    domain: Domain
    key: SigningKey

    def sign(self, voucher: Voucher) -> SignedVoucher:
        """Sign one voucher."""
        return sign_voucher(self.domain, voucher, self.key)


@dataclass(frozen=True, slots=True)
class Context:
    """One renter's surroundings."""

    database: Database
    chain: Chain
    keys: Keys
    transport: Transport
    clock: Clock
    locks: Locks = field(default_factory=lambda: Locks(None))
    limits: Limits = USUAL

    @property
    def node(self) -> NodeId:
        """The renter's id."""
        return self.keys.node.node

    @property
    def domain(self) -> Domain:
        """The EIP-712 domain of its chain and contract."""
        return self.chain.domain

    @property
    def pen(self) -> Pen:
        """What signs this renter's vouchers."""
        return Pen(self.chain.domain, self.keys.signer)

    def now(self) -> Timestamp:
        """Wall time."""
        return Timestamp(self.clock())
