"""A node's identity: its Ed25519 key; the public half is the node's id. What it signs begins with a tag."""

from hashlib import blake2b

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from node.hex import to_hex
from payments.types import NodeId


class NodeKey:
    """An Ed25519 secret. Neither `repr` nor pickling shows it."""

    __slots__ = ("_key", "node")

    node: NodeId
    """The public key: 32 bytes, the node's id."""

    def __init__(self, seed: bytes) -> None:
        """Take the 32 secret bytes (ValueError when they are not). Their source is the caller's affair."""
        self._key = SigningKey(seed)
        self.node = NodeId(bytes(self._key.verify_key))

    def __repr__(self) -> str:
        return f"NodeKey(node={to_hex(self.node)})"

    def __reduce__(self) -> str:
        raise TypeError("a NodeKey is not pickled: its secret would leave with it")

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes, for the key file. Never log them."""
        return bytes(self._key)

    @property
    def signing_key(self) -> SigningKey:
        """The key as PyNaCl knows it, for `payments.prices.sign_quote`."""
        return self._key

    def derive(self, purpose: str) -> bytes:
        """Make a 32-byte key for one purpose, from which nothing leads back to the secret."""
        key = blake2b(purpose.encode(), digest_size=32, key=bytes(self._key), person=b"tithe node key")
        return key.digest()

    def sign(self, message: bytes) -> bytes:
        """Sign a message that begins with a tag of its kind: 64 bytes."""
        return self._key.sign(message).signature


def verify_signature(node: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` over `message` is of the key `node`. Never raises."""
    try:
        VerifyKey(node).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def pack_fields(fields: tuple[bytes, ...]) -> bytes:
    """Join fields, each behind its length (uint32, big-endian), so that no two lists look alike."""
    return b"".join([len(field).to_bytes(4, "big") + field for field in fields])
