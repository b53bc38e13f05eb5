"""Values that the payment tests share: one domain, keys made from numbers, a channel with a deposit."""

from payments.channel import Channel, Funded, apply, open_channel
from payments.eip712 import Domain
from payments.types import Address, Amount, ChannelId, Seconds
from payments.vouchers import SignedVoucher, SigningKey, Terms, Voucher, sign_voucher

DOMAIN = Domain(31337, Address(bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")))
OTHER_DOMAIN = Domain(31338, DOMAIN.contract)
CONDITION = b"\xc0" * 32


def make_key(number: int) -> SigningKey:
    return SigningKey(number.to_bytes(32))


SIGNER = make_key(2)
STRANGER = make_key(3)

TERMS = Terms(
    payer=make_key(1).address,
    signer=SIGNER.address,
    payee=make_key(4).address,
    token=Address(b"\x70" * 20),
    challenge_period=Seconds(86_400),
    salt=b"\x05" * 32,
)


def make_channel(deposit: int = 0) -> Channel:
    channel, _ = apply(open_channel(DOMAIN, TERMS), Funded(Amount(deposit)))
    return channel


def make_voucher(
    total: int, condition: bytes = bytes(32), key: SigningKey = SIGNER, channel: ChannelId | None = None
) -> SignedVoucher:
    voucher = Voucher(channel or make_channel().id, Amount(total), condition)
    return sign_voucher(DOMAIN, voucher, key)
