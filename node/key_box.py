"""A key box: a node's key files, sealed together by a passphrase. Argon2id makes the key of a secretbox."""

import json
import os
from collections.abc import Mapping
from struct import Struct

from nacl.bindings import crypto_secretbox_easy, crypto_secretbox_open_easy
from nacl.exceptions import CryptoError

from node.errors import CorruptKeyFile, WrongPassphrase
from node.master_key import LEAST_COST, MOST_COST, NONCE_SIZE, SALT_SIZE, USUAL_COST, Cost, stretch

_HEADER = Struct(f">II{SALT_SIZE}s{NONCE_SIZE}s")


def seal_keys(files: Mapping[str, bytes], passphrase: str, cost: Cost = USUAL_COST) -> bytes:
    """Seal files, each under its name, as they are on disk."""
    plain = json.dumps({name: data.hex() for name, data in files.items()}).encode()
    salt, nonce = os.urandom(SALT_SIZE), os.urandom(NONCE_SIZE)
    header = _HEADER.pack(cost.passes, cost.kibibytes, salt, nonce)
    return header + crypto_secretbox_easy(plain, nonce, stretch(passphrase, salt, cost))


def open_keys(sealed: bytes, passphrase: str) -> dict[str, bytes]:
    """Open a key box. Raises CorruptKeyFile, or WrongPassphrase where it does not open."""
    if len(sealed) < _HEADER.size:
        raise CorruptKeyFile("it is cut short")
    passes, kibibytes, salt, nonce = _HEADER.unpack_from(sealed)
    if not (
        LEAST_COST.passes <= passes <= MOST_COST.passes
        and LEAST_COST.kibibytes <= kibibytes <= MOST_COST.kibibytes
    ):
        raise CorruptKeyFile(f"its cost of {passes} passes over {kibibytes} KiB is out of bounds")
    try:
        key = stretch(passphrase, salt, Cost(passes, kibibytes))
        plain = crypto_secretbox_open_easy(sealed[_HEADER.size :], nonce, key)
    except CryptoError as error:
        raise WrongPassphrase from error
    return {name: bytes.fromhex(data) for name, data in json.loads(plain).items()}
