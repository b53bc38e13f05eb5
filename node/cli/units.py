"""Sentences of the parts below, which speak in base units and wei, put into tokens and ether. Pure."""

import re

from node.cli.amounts import ETHER_DECIMALS, tokens

_BASE_UNITS = re.compile(r"\b(\d+) base units(?: of the token)?")
_WEI = re.compile(r"\b(\d+) wei\b")
_LARGE = re.compile(r"(?<![\w.~,])\d{7,}(?![\w.,]\d|\w)")


def in_tokens(sentence: str, decimals: int, symbol: str) -> str:
    """Write the amounts of a sentence in tokens: all large numbers, where it speaks of base units at all."""
    if "base units" not in sentence:
        return sentence
    return _rewrite(sentence, _BASE_UNITS, decimals, symbol)


def in_ether(sentence: str) -> str:
    """Write the amounts of a sentence in ether, where it speaks of wei."""
    if " wei" not in sentence:
        return sentence
    return _rewrite(sentence, _WEI, ETHER_DECIMALS, "ETH")


def _rewrite(sentence: str, units: re.Pattern[str], decimals: int, symbol: str) -> str:
    named = units.sub(lambda match: tokens(int(match[1]), decimals, symbol), sentence)
    return _LARGE.sub(lambda match: tokens(int(match[0]), decimals, symbol), named)
