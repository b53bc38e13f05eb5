"""A renter's master key: 32 random bytes that everything secret about the renter's files hangs on.

It wraps the random keys of segments, seals manifests and yields the mask key, each under a key of its own
made by keyed BLAKE2b, so none of them leads to another or back. At rest it is itself sealed by a passphrase:
Argon2id makes the key of a secretbox. Randomness is given by the caller; files are node.key_file's affair.
"""

import unicodedata
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_secretbox_easy,
    crypto_secretbox_open_easy,
)
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from node.errors import CorruptKeyFile, WrongMasterKey, WrongPassphrase

KEY_SIZE = 32
NONCE_SIZE = 24
SALT_SIZE = argon2id.SALTBYTES
TAG_SIZE = 16
WRAPPED_KEY_SIZE = NONCE_SIZE + KEY_SIZE + TAG_SIZE

_SEGMENT_KEY = "segment key"
_MASK_KEY = "mask key"


class MasterKey:
    """What opens a renter's files."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_SIZE:
            raise CorruptKeyFile(f"the key has {len(secret)} bytes, not {KEY_SIZE}")
        self._secret = secret

    @property
    def mask_key(self) -> bytes:
        """The key of all shard masks, 32 bytes: safe in a repairer's hands, it opens nothing."""
        return self._derive(_MASK_KEY)

    def wrap(self, segment: bytes, key: bytes, nonce: bytes) -> bytes:
        """Wrap the key of the segment with this id: nonce (24 random bytes), ciphertext and tag, 72 bytes."""
        return self.seal(_SEGMENT_KEY, segment, key, nonce)

    def unwrap(self, segment: bytes, wrapped: bytes) -> bytes:
        """Return the key of the segment with this id. Raises WrongMasterKey."""
        return self.open(_SEGMENT_KEY, segment, wrapped)

    def seal(self, purpose: str, context: bytes, secret: bytes, nonce: bytes) -> bytes:
        """Encrypt (XChaCha20-Poly1305) for one purpose and context: nonce, ciphertext, tag.

        `nonce` is 24 random bytes, never used twice.
        """
        key = self._derive(purpose)
        return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(secret, context, nonce, key)

    def open(self, purpose: str, context: bytes, sealed: bytes) -> bytes:
        """Decrypt what was sealed for this purpose and context. Raises WrongMasterKey."""
        if len(sealed) < NONCE_SIZE + TAG_SIZE:
            raise WrongMasterKey(purpose)
        nonce, ciphertext = sealed[:NONCE_SIZE], sealed[NONCE_SIZE:]
        try:
            return crypto_aead_xchacha20poly1305_ietf_decrypt(
                ciphertext, context, nonce, self._derive(purpose)
            )
        except CryptoError as error:
            raise WrongMasterKey(purpose) from error

    def _derive(self, purpose: str) -> bytes:
        key = blake2b(purpose.encode(), digest_size=KEY_SIZE, key=self._secret, person=b"tithe master key")
        return key.digest()


@dataclass(frozen=True, slots=True)
class Cost:
    """What Argon2id spends on one guess: passes over `kibibytes` of memory."""

    passes: int
    kibibytes: int


USUAL_COST = Cost(argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE // 1024)
LEAST_COST = Cost(argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN // 1024)
MOST_COST = Cost(argon2id.OPSLIMIT_SENSITIVE, argon2id.MEMLIMIT_SENSITIVE // 1024)

_MAGIC = b"tithemk1"
_HEADER = Struct(f">8sII{SALT_SIZE}s{NONCE_SIZE}s{KEY_SIZE + TAG_SIZE}s")
_CHECKSUM_SIZE = 8


def seal_master_key(
    master: MasterKey, passphrase: str, salt: bytes, nonce: bytes, cost: Cost = USUAL_COST
) -> bytes:
    """Seal a master key by a passphrase, with 16 random bytes of salt and 24 of nonce."""
    box = crypto_secretbox_easy(master._secret, nonce, stretch(passphrase, salt, cost))  # noqa: SLF001
    sealed = _HEADER.pack(_MAGIC, cost.passes, cost.kibibytes, salt, nonce, box)
    return sealed + _checksum(sealed)


def open_master_key(sealed: bytes, passphrase: str) -> MasterKey:
    """Open a sealed master key. Raises CorruptKeyFile, or WrongPassphrase where only that is wrong."""
    body, checksum = sealed[: _HEADER.size], sealed[_HEADER.size :]
    if not sealed.startswith(_MAGIC):
        raise CorruptKeyFile("it does not begin as one")
    if checksum != _checksum(body):
        raise CorruptKeyFile("it is damaged")
    _, passes, kibibytes, salt, nonce, box = _HEADER.unpack(body)
    if not (
        LEAST_COST.passes <= passes <= MOST_COST.passes
        and LEAST_COST.kibibytes <= kibibytes <= MOST_COST.kibibytes
    ):
        raise CorruptKeyFile(f"its cost of {passes} passes over {kibibytes} KiB is out of bounds")
    try:
        secret = crypto_secretbox_open_easy(box, nonce, stretch(passphrase, salt, Cost(passes, kibibytes)))
    except CryptoError as error:
        raise WrongPassphrase from error
    return MasterKey(secret)


def stretch(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    """Make a 32-byte key of a passphrase (Argon2id), however its letters are composed (NFC)."""
    typed = unicodedata.normalize("NFC", passphrase).encode()
    return argon2id.kdf(KEY_SIZE, typed, salt, opslimit=cost.passes, memlimit=cost.kibibytes * 1024)


def _checksum(sealed: bytes) -> bytes:
    """Tell a damaged file from a wrong passphrase."""
    return blake2b(sealed, digest_size=_CHECKSUM_SIZE).digest()
