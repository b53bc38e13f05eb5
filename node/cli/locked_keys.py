"""Keys that stay locked: they say whose they are, and refuse to sign or open anything."""

from node.cli.errors import StaysLocked
from node.master_key import MasterKey
from payments.types import Address
from payments.vouchers import SigningKey


class LockedSigner(SigningKey):
    """A signer known by its address only."""

    __slots__ = ()

    def __init__(self, address: Address) -> None:
        self.address = address

    @property
    def secret(self) -> bytes:
        """Refuse."""
        raise StaysLocked("signer")

    def sign(self, digest: bytes) -> bytes:  # noqa: ARG002 - refused whatever it is
        """Refuse."""
        raise StaysLocked("signer")


class LockedMaster(MasterKey):
    """A master key that was not opened."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(bytes(32))

    def _derive(self, purpose: str) -> bytes:  # noqa: ARG002 - refused whatever it is for
        raise StaysLocked("master key")
