"""What a contract says when it refuses: Solidity's errors as exceptions of the same name, by selector.

Reverted
+- Panicked, UnknownRevert
+- CustomError
   +- ZeroSigner, DepositMismatch, NothingToFund, TransferFailed, Refused, NotPayee       (PaymentChannels)
   +- ERC20*, ERC2612*, InvalidAccountNonce                                               (OpenZeppelin)
"""

from typing import ClassVar, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from payments.errors import upper_snake
from settlement.abi import error_table, plain_values
from settlement.errors import Reverted


class Panicked(Reverted):
    """Solidity's Panic(uint256)."""

    def __init__(self, panic: int) -> None:
        super().__init__(f"panic 0x{panic:02x}")
        self.panic = panic


class UnknownRevert(Reverted):
    """Revert data we have no name for."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"unknown error 0x{data[:4].hex()}" if data else "no reason given")
        self.data = data


class CustomError(Reverted):
    """A named Solidity error; its arguments are attributes in snake case, addresses and words as bytes."""

    sentence: ClassVar[str] = ""

    def __init__(self, **arguments: object) -> None:
        shown = {k: "0x" + v.hex() if isinstance(v, bytes) else v for k, v in arguments.items()}
        super().__init__(self.sentence.format(**shown))
        vars(self).update(arguments)


class ZeroSigner(CustomError):
    """A channel without a signer."""

    sentence = "a channel needs a signer"


class DepositMismatch(CustomError):
    """The token takes a fee or changes balances by itself."""

    sentence = "the token moved {received} instead of {expected}: it takes a fee or rebases"
    expected: int
    received: int


class NothingToFund(CustomError):
    """A signed funding whose targets have all been reached."""

    sentence = "the signed funding would move nothing"


class TransferFailed(CustomError):
    """The token did not pay the caller or, in a release, the payer."""

    sentence = "the token {token} refused to send {amount} base units to {to}"
    token: bytes
    to: bytes
    amount: int


class Refused(CustomError):
    """The only row of the call would have been skipped. `reason` is a number of the enum `Reason`."""

    sentence = "channel {channel_id} is refused, reason {reason}"
    channel_id: bytes
    reason: int


class NotPayee(CustomError):
    """Only the payee may end the wait."""

    sentence = "only the payee {payee} may do this, not {caller}"
    payee: bytes
    caller: bytes


class ERC20InsufficientBalance(CustomError):
    """The sender holds fewer tokens than it wants to move."""

    sentence = "{sender} holds {balance} base units of the token, {needed} are needed"
    sender: bytes
    balance: int
    needed: int


class ERC20InsufficientAllowance(CustomError):
    """The spender was not allowed to move so much."""

    sentence = "{spender} may move {allowance} base units, {needed} are needed: approve more"
    spender: bytes
    allowance: int
    needed: int


class ERC20InvalidSender(CustomError):
    """Not an address tokens can come from."""

    sentence = "tokens cannot come from {sender}"
    sender: bytes


class ERC20InvalidReceiver(CustomError):
    """Not an address tokens can go to."""

    sentence = "tokens cannot go to {receiver}"
    receiver: bytes


class ERC20InvalidApprover(CustomError):
    """Not an address that can approve."""

    sentence = "{approver} cannot approve"
    approver: bytes


class ERC20InvalidSpender(CustomError):
    """Not an address that can be approved."""

    sentence = "{spender} cannot be approved"
    spender: bytes


class ERC2612ExpiredSignature(CustomError):
    """A permit presented after its deadline."""

    sentence = "the permit expired at {deadline}"
    deadline: int


class ERC2612InvalidSigner(CustomError):
    """A permit signed by somebody else."""

    sentence = "the permit was signed by {signer}, not by {owner}"
    signer: bytes
    owner: bytes


class InvalidAccountNonce(CustomError):
    """A permit with an old nonce."""

    sentence = "the next nonce of {account} is {current_nonce}"
    account: bytes
    current_nonce: int


class ECDSAInvalidSignature(CustomError):
    """No key belongs to the signature."""

    sentence = "no key belongs to the signature"


class ECDSAInvalidSignatureLength(CustomError):
    """A signature of another length than 64 or 65 bytes."""

    sentence = "a signature has no {length} bytes"
    length: int


class ECDSAInvalidSignatureS(CustomError):
    """The malleable twin of a signature."""

    sentence = "the signature's s lies in the upper half of the group order"
    s: bytes


class InvalidShortString(CustomError):
    """Too long for a short string of OpenZeppelin's EIP712."""

    sentence = "too long for a short string"


class StringTooLong(CustomError):
    """Too long for a short string of OpenZeppelin's EIP712."""

    sentence = "the string is too long"
    str: str


ERROR_STRING: Final = bytes.fromhex("08c379a0")
"""Selector of Error(string), what `require` with a message reverts with."""
PANIC: Final = bytes.fromhex("4e487b71")
"""Selector of Panic(uint256)."""


def decode_revert(data: bytes) -> Reverted:
    """Turn revert data into an exception (not raised); never fails, whatever the bytes."""
    selector, arguments = data[:4], data[4:]
    try:
        if selector == ERROR_STRING:
            return Reverted(str(decode(["string"], arguments)[0]))
        if selector == PANIC:
            return Panicked(int(decode(["uint256"], arguments)[0]))
        known = error_table().get(selector)
        if known is None or known.name not in _BY_NAME:
            return UnknownRevert(data)
        values = plain_values(known.types, decode(known.types, arguments))
    except (DecodingError, OverflowError, UnicodeDecodeError):
        return UnknownRevert(data)
    named = {upper_snake(name).lower(): value for name, value in zip(known.names, values, strict=True)}
    return _BY_NAME[known.name](**named)


_BY_NAME: Final[dict[str, type[CustomError]]] = {kind.__name__: kind for kind in CustomError.__subclasses__()}
