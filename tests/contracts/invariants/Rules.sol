// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Dice} from "../support/Dice.sol";
import {World} from "./World.sol";

/// @title What is foretold of a step, from the few rules that a reader of the interface would write down
/// @notice Nothing is foretold of moody tokens that are about to call back, to deny or short of money; then the channels
/// of the other token have to be as foretold, and the sums have to be right.
abstract contract Rules is World {
    uint256 internal constant NOBODY = type(uint256).max;

    struct Turn {
        bytes32 name;
        Dice dice;
        uint256 token; // of the call
        IPaymentChannels.Channel[] before;
        IPaymentChannels.Channel[] forecast;
        bool foreseen;
        bool refused; // foretold to revert
        uint256 expected; // foretold answer
        uint256[CHANNELS] exits; // foretold to go back to the payer
        uint256 exiting; // payer to whom
        uint256 spender; // payer whose tokens the call takes
        uint256[PAYEES] fees; // foretold to be kept
        uint256[PAYEES] feesAllowed; // signed for by payees, good or not
        uint256[PAYEES] payeeHeld; // of the token, before
        uint256 planHeld; // by the payer of the planned channel, before
        uint256 planGot; // by the same, through the plan
        bool armed; // the moody token will call the intruder
        bool leaving; // the call takes money back
    }

    /// @dev What funding to `target` moves.
    function foretellFund(Turn memory turn, uint256 i, uint256 target) internal pure returns (uint256 moved) {
        IPaymentChannels.Channel memory it = turn.forecast[i];
        if (it.closesAt != 0 || target <= it.deposit) return 0;
        moved = target - it.deposit;
        it.deposit = uint96(target);
    }

    /// @dev What a right to `total` is worth now.
    function foretellPay(Turn memory turn, uint256 i, uint256 total) internal view returns (uint256 step) {
        if (isBlocked(turn, payees[i % PAYEES])) return 0;
        IPaymentChannels.Channel memory it = turn.forecast[i];
        if (total > it.deposit) total = it.deposit;
        if (total <= it.claimed) return 0;
        step = total - it.claimed;
        it.claimed = uint96(total);
    }

    function foretellClose(Turn memory turn, uint256 i) internal view returns (uint256) {
        IPaymentChannels.Channel memory it = turn.forecast[i];
        if (it.closesAt != 0 || it.claimed == it.deposit) return 0;
        it.closesAt = uint40(time + groups[i / PAYEES].period);
        return 1;
    }

    function foretellExit(Turn memory turn, uint256 i, bool released) internal view returns (uint256 rest) {
        IPaymentChannels.Channel memory it = turn.forecast[i];
        if (it.closesAt == 0 || (!released && time < it.closesAt)) return 0;
        rest = it.deposit - it.claimed;
        it.claimed = it.deposit;
        turn.exits[i] = rest;
        turn.exiting = payerOf(i);
    }

    /// @dev The next channel of the same token from `i` on that holds something, `i` itself if there is none.
    function firstLive(Turn memory turn, uint256 i) internal pure returns (uint256) {
        return first(turn.forecast, i, false);
    }

    /// @dev The next of those that is closing.
    function firstClosing(Turn memory turn, uint256 i) internal pure returns (uint256) {
        return first(turn.forecast, i, true);
    }

    function first(IPaymentChannels.Channel[] memory all, uint256 i, bool closing) private pure returns (uint256) {
        for (uint256 k; k < CHANNELS; ++k) {
            uint256 candidate = (i + k) % CHANNELS;
            if (tokenOf(candidate) != tokenOf(i) || all[candidate].claimed == all[candidate].deposit) continue;
            if (!closing || all[candidate].closesAt != 0) return candidate;
        }
        return i;
    }

    function isBlocked(Turn memory turn, address who) internal view returns (bool) {
        return turn.token == 1 && moody.blocked(who);
    }
}
