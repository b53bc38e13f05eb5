"""Everything that can be wrong with a payment, as one tree.

Every error has a `code` (its class name in UPPER_SNAKE, what goes over the wire) and keeps the offending
values as attributes (`detail` gives them all). Bytes stay bytes here; hex is the business of the edges.

    PaymentError
    +- MalformedValue                 the value cannot exist in the protocol
    |  +- AmountOutOfRange            not a uint96
    |  +- IntegerOutOfRange           does not fit the field's Solidity type
    |  +- WrongLength                 bytes of another length than the field has
    |  +- MalformedKey                not a secp256k1 secret
    +- SignatureError                 the signature is not the one it should be
    |  +- MalformedSignature          not 64 bytes of EIP-2098
    |  +- HighS                       the malleable twin of a signature
    |  +- UnrecoverableSignature      no public key belongs to it
    |  +- WrongSigner                 somebody else's signature
    |  +- AccountRefuses              the contract that signs (ERC-1271) does not know the signature
    +- VoucherRefused                 the payer broke the rules; the previous voucher stays
    |  +- WrongChannel                belongs to another channel
    |  +- AboveDeposit                promises more than the confirmed deposit
    |  +- WrongStep                   an audit's voucher with another total than agreed
    |  +- PaidTooLow                  the payment shown does not cover what was earned
    |  +- PaymentTooLow               does not cover what it is meant to buy
    |  +- ConditionalPayment          a payment must not carry a condition
    |  +- WrongCondition              an audit's voucher with another condition than its challenge
    +- ChannelError                   a step the channel's state does not allow; nothing changed
    |  +- ChannelClosing              the payer asked to close: no new promises
    |  +- ChannelFrozen               the chain is being read again after a reorganisation
    |  +- NotPromised                 cannot be earned: nobody signed for it
    |  +- ImpossibleChannel           a record that breaks claimed <= earned <= promised <= deposit
    +- InsufficientDeposit            we would have to promise more than the channel holds: top it up
    +- QuoteError                     a price quote that does not count
       +- InconsistentQuote           its terms contradict one another
       +- QuoteExpired
       +- QuoteNotYetValid
       +- WrongQuoteSignature
"""

import re
from typing import ClassVar


def upper_snake(name: str) -> str:
    """Turn a class name into its error code: `AboveDeposit` -> `ABOVE_DEPOSIT`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).upper()


class PaymentError(Exception):
    """Root of the tree: whatever is wrong with a payment."""

    code: ClassVar[str] = "PAYMENT_ERROR"

    def __init_subclass__(cls) -> None:
        """Derive `code` from the class name."""
        super().__init_subclass__()
        cls.code = upper_snake(cls.__name__)

    @property
    def detail(self) -> dict[str, object]:
        """The offending values by name, as they were: bytes, integers, strings."""
        return dict(vars(self))


class MalformedValue(PaymentError):
    """The value cannot exist in the protocol."""


class AmountOutOfRange(MalformedValue):
    """Not a uint96."""

    def __init__(self, amount: int) -> None:
        super().__init__(f"{amount} is no amount: base units lie between 0 and 2**96 - 1")
        self.amount = amount


class IntegerOutOfRange(MalformedValue):
    """Does not fit the field's Solidity type."""

    def __init__(self, field: str, value: int, bits: int) -> None:
        super().__init__(f"{field} is {value}, which is no uint{bits}")
        self.field = field
        self.value = value
        self.bits = bits


class WrongLength(MalformedValue):
    """Bytes of another length than the field has."""

    def __init__(self, field: str, length: int, expected: int) -> None:
        super().__init__(f"{field} has {length} bytes, not {expected}")
        self.field = field
        self.length = length
        self.expected = expected


class MalformedKey(MalformedValue):
    """Not a secp256k1 secret. Keeps no value: the secret might be one digit away from a real one."""

    def __init__(self) -> None:
        super().__init__("a secret key is 32 bytes between 1 and the order of secp256k1 less 1")


class SignatureError(PaymentError):
    """The signature is not the one it should be."""


class MalformedSignature(SignatureError):
    """Not 64 bytes of EIP-2098."""

    def __init__(self, length: int) -> None:
        super().__init__(f"a signature has 64 bytes (EIP-2098), not {length}")
        self.length = length


class HighS(SignatureError):
    """The malleable twin of a signature (s above half the group order); the contract refuses it too."""

    def __init__(self, signature: bytes) -> None:
        super().__init__("the signature's s lies in the upper half of the group order")
        self.signature = signature


class UnrecoverableSignature(SignatureError):
    """No public key belongs to this signature of this digest."""

    def __init__(self, signature: bytes) -> None:
        super().__init__("no public key belongs to this signature")
        self.signature = signature


class WrongSigner(SignatureError):
    """Somebody else's signature, or a signature of something else."""

    def __init__(self, expected: bytes, recovered: bytes) -> None:
        super().__init__(f"signed by 0x{recovered.hex()}, not by 0x{expected.hex()}")
        self.expected = expected
        self.recovered = recovered


class AccountRefuses(SignatureError):
    """A contract signs for the channel (ERC-1271), and does not accept this signature now."""

    def __init__(self, account: bytes) -> None:
        super().__init__(f"the account 0x{account.hex()} does not accept this signature")
        self.account = account


class VoucherRefused(PaymentError):
    """The payer broke the rules; the previous voucher stays."""


class WrongChannel(VoucherRefused):
    """The voucher belongs to another channel."""

    def __init__(self, expected: bytes, actual: bytes) -> None:
        super().__init__(f"the voucher is for channel 0x{actual.hex()}, not 0x{expected.hex()}")
        self.expected = expected
        self.actual = actual


class AboveDeposit(VoucherRefused):
    """The voucher promises more than the channel's confirmed deposit."""

    def __init__(self, total: int, deposit: int) -> None:
        super().__init__(f"the voucher promises {total}, the confirmed deposit is {deposit}")
        self.total = total
        self.deposit = deposit


class WrongStep(VoucherRefused):
    """An audit's voucher does not promise earned + step."""

    def __init__(self, total: int, expected: int) -> None:
        super().__init__(f"the audit's voucher promises {total}; earned and step together are {expected}")
        self.total = total
        self.expected = expected


class PaidTooLow(VoucherRefused):
    """The payment shown with a challenge does not cover what was earned before it."""

    def __init__(self, paid: int, earned: int) -> None:
        super().__init__(f"{paid} paid so far does not cover {earned} earned")
        self.paid = paid
        self.earned = earned


class PaymentTooLow(VoucherRefused):
    """The payment does not cover what it is meant to buy."""

    def __init__(self, total: int, needed: int) -> None:
        super().__init__(f"the payment's total is {total}, the purchase needs {needed}")
        self.total = total
        self.needed = needed


class ConditionalPayment(VoucherRefused):
    """A payment must be claimable as it is; this voucher carries a condition."""

    def __init__(self, condition: bytes) -> None:
        super().__init__("a payment's voucher must not carry a condition")
        self.condition = condition


class WrongCondition(VoucherRefused):
    """An audit's voucher depends on something else than its challenge."""

    def __init__(self, expected: bytes, actual: bytes) -> None:
        super().__init__(
            f"the voucher's condition is 0x{actual.hex()}, the challenge's is 0x{expected.hex()}"
        )
        self.expected = expected
        self.actual = actual


class ChannelError(PaymentError):
    """A step the channel's state does not allow; nothing changed."""


class ChannelClosing(ChannelError):
    """The payer asked to close, or has closed: no new promises are made or accepted."""

    def __init__(self, channel_id: bytes, total: int, promised: int) -> None:
        super().__init__(
            f"channel 0x{channel_id.hex()} closes: {total} is above the last promise, {promised}"
        )
        self.channel_id = channel_id
        self.total = total
        self.promised = promised


class ChannelFrozen(ChannelError):
    """The chain is being read again after a reorganisation: no new promises meanwhile."""

    def __init__(self, channel_id: bytes, total: int, promised: int) -> None:
        super().__init__(
            f"channel 0x{channel_id.hex()} waits for the chain after a reorganisation: "
            f"{total} is above the last promise, {promised}"
        )
        self.channel_id = channel_id
        self.total = total
        self.promised = promised


class NotPromised(ChannelError):
    """A total cannot be earned before somebody signed for it."""

    def __init__(self, total: int, promised: int) -> None:
        super().__init__(f"{total} cannot be earned: only {promised} was promised")
        self.total = total
        self.promised = promised


class ImpossibleChannel(ChannelError):
    """A channel's record breaks claimed <= earned <= promised <= deposit: it was not made by the machine."""

    def __init__(self, claimed: int, earned: int, promised: int, deposit: int) -> None:
        super().__init__(
            f"impossible channel: claimed {claimed}, earned {earned}, promised {promised}, deposit {deposit}"
        )
        self.claimed = claimed
        self.earned = earned
        self.promised = promised
        self.deposit = deposit


class InsufficientDeposit(PaymentError):
    """We would have to promise more than the channel's confirmed deposit. Remedy: top the channel up."""

    def __init__(self, needed: int, deposit: int) -> None:
        super().__init__(f"the channel holds {deposit}, the next voucher needs {needed}: top it up")
        self.needed = needed
        self.deposit = deposit


class QuoteError(PaymentError):
    """A price quote that does not count."""


class InconsistentQuote(QuoteError):
    """A quote whose terms contradict one another."""

    def __init__(self, field: str, value: int, least: int) -> None:
        super().__init__(f"the quote's {field} is {value}, it must be at least {least}")
        self.field = field
        self.value = value
        self.least = least


class QuoteExpired(QuoteError):
    """The quote was good until a time that has passed."""

    def __init__(self, expires_at: int, now: int) -> None:
        super().__init__(f"the quote expired {now - expires_at} s ago")
        self.expires_at = expires_at
        self.now = now


class QuoteNotYetValid(QuoteError):
    """The quote claims to have been issued in the future."""

    def __init__(self, issued_at: int, now: int) -> None:
        super().__init__(f"the quote will be issued in {issued_at - now} s: compare the clocks")
        self.issued_at = issued_at
        self.now = now


class WrongQuoteSignature(QuoteError):
    """The farmer named in the quote did not sign it."""

    def __init__(self, farmer: bytes) -> None:
        super().__init__(f"node {farmer.hex()} did not sign this quote")
        self.farmer = farmer
