#!/usr/bin/env python3
"""Measure vouchers per second on one core: signed, verified, and durably accepted by a farmer.

    scripts/bench_vouchers [--runs 7] [--seconds 0.4] [--channels 1000] [--vouchers 20000] [--json FILE]

Beside ours, in the same run and in turn: the limit (libsecp256k1 through bare coincurve on one fixed digest)
and eth-account's own way (encode_typed_data, then sign or recover). "Accepted durably" is the farmer's real
path behind HTTP: the signature recovered, channel and books loaded and checked, books written, the commit
synced to disk (SQLite, synchronous=FULL), 500 vouchers of as many channels in flight. Beside it what the
bare sqlite3 module commits to the same disk. Medians over the runs; machines differ and drift, so look at
the shares of the limit. The durable path uses a second core if there is one.
"""

import argparse
import asyncio
import itertools
import json
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data

from node.farmer.vouchers import VoucherQueue
from payments.types import ZERO32, Amount, ChannelId
from payments.vouchers import SignedVoucher, Voucher, sign_voucher, verify_voucher, voucher_digest
from scripts.farm.books import (
    DOMAIN,
    IN_FLIGHT,
    SIGNER,
    VERIFY_LIMIT,
    Series,
    bare_commits,
    bare_verification,
    burst,
    open_channels,
    open_farm,
    sign_in_turn,
    take_all,
)

ROOT = Path(__file__).resolve().parent.parent
SIGN_LIMIT = "sign, libsecp256k1's limit"
VOUCHER_TYPES = {
    "Voucher": [
        {"name": "channelId", "type": "bytes32"},
        {"name": "cumulativeAmount", "type": "uint96"},
        {"name": "condition", "type": "bytes32"},
    ]
}


# --- signing and verifying


def signed_vouchers(count: int) -> list[SignedVoucher]:
    """Vouchers of one channel, as they come over the wire: every one is another amount."""
    channel = ChannelId(b"\x0d" * 32)
    return [sign_voucher(DOMAIN, Voucher(channel, Amount(total)), SIGNER) for total in range(1, count + 1)]


def signature_benches() -> list[tuple[Series, Callable[[], object]]]:
    """What is measured on one core, each with a function that does it once."""
    key, digest = PrivateKey(SIGNER.secret), os.urandom(32)
    totals = itertools.count(1)
    channel = ChannelId(b"\x0d" * 32)
    signed = itertools.cycle(signed_vouchers(1000))
    account = Account.from_key(SIGNER.secret)
    domain = {
        "name": "Tithebarn",
        "version": "1",
        "chainId": DOMAIN.chain_id,
        "verifyingContract": "0x" + DOMAIN.contract.hex(),
    }

    def encode(total: int) -> object:
        message = {"channelId": channel, "cumulativeAmount": total, "condition": ZERO32}
        return encode_typed_data(domain, VOUCHER_TYPES, message)

    reference = [account.sign_message(encode(total)).signature for total in range(1, 101)]
    received = itertools.cycle(enumerate(reference, start=1))

    def recover_by_eth_account() -> str:
        total, signature = next(received)
        return str(Account.recover_message(encode(total), signature=signature))

    return [
        (
            Series(SIGN_LIMIT),
            lambda: key.sign_recoverable(digest, hasher=None),
        ),
        (
            Series("sign, ours", SIGN_LIMIT, 33_000),
            lambda: sign_voucher(DOMAIN, Voucher(channel, Amount(next(totals))), SIGNER),
        ),
        (
            Series("sign, eth-account", SIGN_LIMIT),
            lambda: account.sign_message(encode(next(totals))),
        ),
        (
            Series(VERIFY_LIMIT),
            bare_verification(),
        ),
        (
            Series("verify, ours", VERIFY_LIMIT, 20_000),
            lambda: verify_voucher(DOMAIN, next(signed), SIGNER.address),
        ),
        (Series("verify, eth-account", VERIFY_LIMIT), recover_by_eth_account),
        (
            Series("digest alone, ours"),
            lambda: voucher_digest(DOMAIN, Voucher(channel, Amount(next(totals)))),
        ),
    ]


# --- the whole


async def measure(options: argparse.Namespace, folder: Path) -> list[Series]:
    """Measure everything in turn, `runs` times over."""
    benches = signature_benches()
    bare = {rows: Series(f"sqlite3 alone, {rows} a commit") for rows in (1, 100)}
    commits = {rows: bare_commits(folder, rows, options.seconds) for rows in bare}
    crowds = [
        (Series("accepted durably", VERIFY_LIMIT, 8_000), options.vouchers, IN_FLIGHT),
        (Series("accepted durably, one in flight"), min(500, options.vouchers), 1),
    ]
    farm = await open_farm(folder)
    queue, payers = VoucherQueue(farm), await open_channels(farm, options.channels)
    totals = itertools.count(1)
    for _ in range(options.runs):
        for series, work in benches:
            series.rates.append(burst(work, options.seconds))
        for rows, series in bare.items():
            series.rates.append(next(commits[rows]))
        for series, count, in_flight in crowds:
            batch = sign_in_turn(payers, totals, count)
            series.rates.append(await take_all(queue, batch, in_flight))
    farm.database.close()
    await farm.chain.close()
    return [*(series for series, _ in benches), *(crowd[0] for crowd in crowds), *bare.values()]


def report(series: list[Series], limits: dict[str, float]) -> None:
    """Print the table."""
    print(f"{'vouchers':36} {'per second':>12} {'of the limit':>13} {'goal':>9}")
    for one in series:
        share = f"{one.median / limits[one.limit]:.0%}" if one.limit else ""
        goal = f"{one.goal:,}" if one.goal else ""
        print(f"{one.name:36} {one.median:12,.0f} {share:>13} {goal:>9}")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench_vouchers", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=7, help="how often everything is measured")
    parser.add_argument("--channels", type=int, default=1_000, help="channels of the farmer")
    parser.add_argument("--vouchers", type=int, default=20_000, help="vouchers accepted in each run")
    parser.add_argument("--seconds", type=float, default=0.4, help="length of each other measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".venv", help="a folder on the disk to be measured"
    )
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
        series = asyncio.run(measure(options, Path(folder)))
    limits = {one.name: one.median for one in series}
    report(series, limits)
    if options.json:
        figures = {
            "machine": {
                "python": platform.python_version(),
                "processor": platform.machine(),
                "cores": os.cpu_count(),
            },
            "runs": options.runs,
            "vouchers_per_second": [
                {
                    "name": one.name,
                    "median": one.median,
                    "runs": one.rates,
                    "share_of_limit": one.median / limits[one.limit] if one.limit else None,
                    "goal": one.goal,
                }
                for one in series
            ],
        }
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
