"""A renter's three keys, made of one: the first account of a recovery phrase.

Whoever has the phrase on paper has identity, signer and master key, and with them every file; none of the
three leads to another or back to the account. The account's own key is needed once, when they are made.
"""

from dataclasses import dataclass
from hashlib import blake2b

from node.identity import NodeKey
from node.master_key import MasterKey
from payments.errors import MalformedKey
from payments.types import Address
from payments.vouchers import SigningKey

_PERSON = b"tithe renter key"


@dataclass(frozen=True, slots=True)
class RenterKeys:
    """A renter's keys and the account they were made of. The secrets are bytes for key files: never log."""

    account: Address
    node: NodeKey
    signer: SigningKey
    master: MasterKey

    @classmethod
    def of(cls, account: SigningKey) -> "RenterKeys":
        """Make the keys of an account: always the same."""
        secret = account.secret
        return cls(
            account=account.address,
            node=NodeKey(_derive(secret, "node")),
            signer=_signer(secret),
            master=MasterKey(_derive(secret, "master")),
        )


def _signer(secret: bytes) -> SigningKey:
    """Make the signer; one secret in 2**128 is no key, then the next."""
    for attempt in range(256):
        try:
            return SigningKey(_derive(secret, f"signer {attempt}"))
        except MalformedKey:
            continue
    raise AssertionError


def _derive(secret: bytes, purpose: str) -> bytes:
    return blake2b(purpose.encode(), digest_size=32, key=secret, person=_PERSON).digest()
