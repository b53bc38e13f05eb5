// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @dev A source of chance: what the fuzzer gave, and how often it was thrown.
struct Dice {
    bytes32 seed;
    uint256 throws;
}

using {upTo, below, oneIn} for Dice global;

/// @dev A number from 0 to `highest`.
function upTo(Dice memory dice, uint256 highest) pure returns (uint256) {
    return highest == type(uint256).max ? 0 : dice.below(highest + 1);
}

function below(Dice memory dice, uint256 end) pure returns (uint256) {
    return uint256(keccak256(abi.encode(dice.seed, ++dice.throws))) % end;
}

function oneIn(Dice memory dice, uint256 count) pure returns (bool) {
    return dice.below(count) == 0;
}
