"""An external signer: a program such as clef that keeps the key and asks its owner before it signs.

JSON-RPC over HTTP, `account_signTransaction` and `account_signTypedData` as clef documents them. Of the
answer only the signature is used: it must be by the account, over exactly what was asked for, else nothing
leaves.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from payments.errors import SignatureError
from payments.typed_data import TypedData
from payments.types import Address
from payments.vouchers import recover_signer
from settlement.errors import SignedDifferently, SignerRefused, SignerUnreachable
from settlement.transactions import RemoteKey, Transaction, transaction_digest

PATIENCE: Final = 300.0
"""Seconds in which the owner is expected to look at the request."""
_LONGEST: Final = 4 * 1024 * 1024
_WORD: Final = 32
_LEGACY: Final = 35
_PLAIN: Final = 27


class ExternalSigner(RemoteKey):
    """The account `address` of the signer at `url`."""

    __slots__ = ("_url",)

    def __init__(self, url: str, address: Address) -> None:
        self.address = address
        self._url = url

    def __repr__(self) -> str:
        return f"ExternalSigner(address=0x{self.address.hex()})"

    @property
    def secret(self) -> bytes:
        """Refuse: the key is elsewhere."""
        raise SignerRefused(self._url, "its key does not leave it")

    def sign(self, digest: bytes) -> bytes:  # noqa: ARG002 - refused whatever it is
        """Refuse: the owner could not see what is signed."""
        raise SignerRefused(self._url, "it signs transactions and typed data only, no bare digests")

    def sign_transaction(self, transaction: Transaction) -> bytes:
        """Ask the owner to sign: 64 bytes. Raises SignerUnreachable, SignerRefused, SignedDifferently."""
        answer = self._call("account_signTransaction", [_arguments(transaction, self.address)])
        digest = transaction_digest(transaction)
        try:
            signature = _compact(answer["tx"], transaction.chain_id)
            signer = recover_signer(digest, signature)
        except (KeyError, TypeError, ValueError, OverflowError, SignatureError) as error:
            raise SignedDifferently(self._url, self.address) from error
        if signer != self.address:
            raise SignedDifferently(self._url, self.address)
        return signature

    def sign_typed(self, data: TypedData) -> bytes:
        """Ask the owner to sign typed data: 64 bytes. Raises as `sign_transaction` does."""
        answer = self._call("account_signTypedData", [_hex(self.address), data.to_json()])
        try:
            signature = _compact_bytes(bytes.fromhex(str(answer).removeprefix("0x")))
            signer = recover_signer(data.digest, signature)
        except (ValueError, OverflowError, SignatureError) as error:
            raise SignedDifferently(self._url, self.address) from error
        if signer != self.address:
            raise SignedDifferently(self._url, self.address)
        return signature

    def _call(self, method: str, params: list[Any]) -> Any:  # noqa: ANN401 - the signer's answer
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked when the wallet was made
            self._url, body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310
                answer = json.loads(response.read(_LONGEST))
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise SignerUnreachable(self._url, str(reason)) from error
        if not isinstance(answer, dict) or not answer.get("result"):
            raise SignerRefused(self._url, _reason(answer))
        return answer["result"]


def _arguments(t: Transaction, sender: Address) -> dict[str, Any]:
    """Put a transaction into clef's words."""
    arguments = {
        "from": _hex(sender),
        "to": _hex(t.to) if t.to else None,
        "gas": hex(t.gas),
        "value": hex(t.value),
        "nonce": hex(t.nonce),
        "data": _hex(t.data),
        "chainId": hex(t.chain_id),
    }
    if t.fees.priority is None:
        return arguments | {"gasPrice": hex(t.fees.cap)}
    return arguments | {"maxFeePerGas": hex(t.fees.cap), "maxPriorityFeePerGas": hex(t.fees.priority)}


def _compact_bytes(signature: bytes) -> bytes:
    """Fold r, s and v, 65 bytes, into the 64 of EIP-2098."""
    if len(signature) != 2 * _WORD + 1:
        raise ValueError("no signature")
    r, s, v = signature[:_WORD].hex(), signature[_WORD : 2 * _WORD].hex(), hex(signature[-1])
    return _compact({"r": r, "s": s, "v": v}, 0)


def _compact(signed: Mapping[str, str], chain_id: int) -> bytes:
    """Read the signature off a signed transaction, whose v is the parity, or EIP-155's."""
    r, s, v = (int(signed[name], 16) for name in ("r", "s", "v"))
    parity = v
    if v >= _LEGACY:
        parity = v - _LEGACY - 2 * chain_id
    elif v >= _PLAIN:
        parity = v - _PLAIN
    if parity not in (0, 1):
        raise ValueError("no parity")
    return r.to_bytes(_WORD) + (s | parity << 255).to_bytes(_WORD)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _reason(answer: object) -> str:
    """What the signer said against it, in one printable line."""
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    text = message if isinstance(message, str) and message else "its answer is no signature"
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200]
