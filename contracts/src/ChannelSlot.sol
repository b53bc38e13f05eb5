// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title The state of a channel in one word
/// @notice From the lowest bit: deposit (96 bits), claimed (96), closesAt (40), spare (24). All three only rise.
/// @dev A total is raised by adding a step to the word. The sum cannot carry into the next field: targets are uint96, and
/// nothing is claimed above the deposit.
type ChannelSlot is uint256;

using {deposit, claimed, closesAt, rest, raiseDeposit, raiseClaimed, takeBack, close} for ChannelSlot global;

function deposit(ChannelSlot slot) pure returns (uint256) {
    return uint96(ChannelSlot.unwrap(slot));
}

function claimed(ChannelSlot slot) pure returns (uint256) {
    return uint96(ChannelSlot.unwrap(slot) >> 96);
}

function closesAt(ChannelSlot slot) pure returns (uint256) {
    return uint40(ChannelSlot.unwrap(slot) >> 192);
}

function rest(ChannelSlot slot) pure returns (uint256) {
    unchecked {
        return slot.deposit() - slot.claimed(); // nothing is claimed above the deposit
    }
}

function raiseDeposit(ChannelSlot slot, uint256 step) pure returns (ChannelSlot) {
    unchecked {
        return ChannelSlot.wrap(ChannelSlot.unwrap(slot) + step); // deposit + step is a uint96
    }
}

function raiseClaimed(ChannelSlot slot, uint256 step) pure returns (ChannelSlot) {
    unchecked {
        return ChannelSlot.wrap(ChannelSlot.unwrap(slot) + (step << 96)); // claimed + step <= deposit
    }
}

/// @dev Undo `raiseClaimed` when the step was not paid, whatever else has happened to the channel in between.
function takeBack(ChannelSlot slot, uint256 step) pure returns (ChannelSlot) {
    unchecked {
        return ChannelSlot.wrap(ChannelSlot.unwrap(slot) - (step << 96)); // claimed holds the step
    }
}

/// @dev For a channel that is not closing yet.
function close(ChannelSlot slot, uint256 time) pure returns (ChannelSlot) {
    return ChannelSlot.wrap(ChannelSlot.unwrap(slot) | (time << 192));
}
