"""The file that holds the sealed master key: made once, whole or absent, readable by its owner only."""

import os
from pathlib import Path

from node.home import create_private
from node.master_key import (
    KEY_SIZE,
    NONCE_SIZE,
    SALT_SIZE,
    USUAL_COST,
    Cost,
    MasterKey,
    open_master_key,
    seal_master_key,
)


def create_master_key(path: Path, passphrase: str, cost: Cost = USUAL_COST) -> MasterKey:
    """Make a random master key and keep it at `path`. Raises AlreadyThere rather than replace one."""
    master = MasterKey(os.urandom(KEY_SIZE))
    keep_master_key(path, master, passphrase, cost)
    return master


def keep_master_key(path: Path, master: MasterKey, passphrase: str, cost: Cost = USUAL_COST) -> None:
    """Keep a master key at `path`, sealed. Raises AlreadyThere rather than replace one."""
    salt, nonce = os.urandom(SALT_SIZE), os.urandom(NONCE_SIZE)
    create_private(path, seal_master_key(master, passphrase, salt, nonce, cost))


def load_master_key(path: Path, passphrase: str) -> MasterKey:
    """Open the master key at `path`. Raises FileNotFoundError, CorruptKeyFile, WrongPassphrase."""
    return open_master_key(path.read_bytes(), passphrase)
