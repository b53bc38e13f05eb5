// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Dice} from "../support/Dice.sol";
import {World} from "./World.sol";

/// @title One step of a run: what is foretold of it, what came of it, and the ghosts that remember
/// @notice A step begins with a picture of all channels, foretells from our own few rules what its call will do, makes
/// the call and compares. Nothing is foretold of moody tokens that are about to call back, to deny or short of money;
/// then the channels of the other token have to be as foretold, and the sums have to be right.
abstract contract Ledger is World {
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
        bool armed;
    }

    struct Count {
        uint256 calls;
        uint256 successes;
    }

    enum Deed {
        CLAIM,
        PUSH,
        FUND,
        CLOSE,
        WITHDRAW,
        RELEASE
    }

    /// @dev What the intruder will do when the moody token calls it.
    struct Plan {
        Deed deed;
        bytes32 id;
    }

    mapping(bytes32 name => Count) internal counts;
    bytes32[] internal names;
    uint256 internal steps;
    mapping(bytes32 id => IPaymentChannels.Channel) internal before; // as the last step found it
    uint256[PAYEES][TOKENS] internal kept; // by relayers, out of payees' money
    uint256[TOKENS] internal donated;
    uint256[PAYEES][TOKENS] internal pastEarned; // in lives before
    uint256[PAYERS][TOKENS] internal pastSpent;
    uint256 internal shrunk; // taken by the moody token
    Plan internal plan;

    // ------------------------------------------------------------------------------------------------------- the rules

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

    // -------------------------------------------------------------------------------------------------------- the step

    function begin(bytes32 name, uint256 seed, uint256 token) internal returns (Turn memory turn) {
        vm.warp(time);
        ++steps;
        if (counts[name].calls++ == 0) names.push(name);
        turn.name = name;
        turn.dice = Dice(keccak256(abi.encode(name, seed, counts[name].calls)), 0);
        turn.token = token;
        turn.before = channels.channels(ids);
        turn.forecast = channels.channels(ids);
        for (uint256 i; i < CHANNELS; ++i) {
            before[ids[i]] = turn.before[i];
        }
        turn.armed = address(moody.hook()) != address(0);
        turn.foreseen = token != 1 || !(turn.armed || moody.denies() || shrunk != 0);
        (turn.exiting, turn.spender) = (NOBODY, NOBODY);
        for (uint256 e; e < PAYEES; ++e) {
            turn.payeeHeld[e] = balance(token, payees[e]);
        }
        if (plan.id != 0) turn.planHeld = planHeld();
    }

    /// @dev Make the call, compare, remember.
    function run(Turn memory turn, address caller, bytes memory data) internal returns (bool success) {
        (bool accepted, uint256 answer) = attempt(caller, data);
        if (turn.foreseen) {
            vm.assertTrue(accepted != turn.refused, "a call was refused or accepted against the rules");
            if (accepted) vm.assertEq(answer, turn.expected, "a call has another answer than foretold");
        }
        if (!accepted) turn.forecast = turn.before;
        if (accepted) rememberExits(turn);
        bool fired = turn.armed && address(moody.hook()) == address(0);
        if (fired) ++counts["called back"].successes;
        if (fired) rememberPlan(turn, answer);
        compare(turn, fired);
        if (accepted) rememberFees(turn);
        success = accepted && answer != 0;
        if (success) ++counts[turn.name].successes;
        if (success && turn.foreseen && turn.dice.oneIn(4)) repeat(turn, caller, data);
    }

    function attempt(address caller, bytes memory data) internal returns (bool accepted, uint256 answer) {
        bytes memory returned;
        vm.prank(caller);
        (accepted, returned) = address(channels).call(data);
        if (accepted) answer = abi.decode(returned, (uint256));
    }

    /// @dev REPLAY_NOOP: the same call once more moves nothing.
    function repeat(Turn memory turn, address caller, bytes memory data) private {
        uint256 held = balance(turn.token, address(channels));
        (, uint256 answer) = attempt(caller, data);
        vm.assertEq(answer, 0, "REPLAY_NOOP: a call had an effect twice");
        vm.assertEq(balance(turn.token, address(channels)), held, "REPLAY_NOOP: a call moved tokens twice");
        compare(turn, false);
        ++counts["repeated"].successes;
    }

    function compare(Turn memory turn, bool fired) private {
        IPaymentChannels.Channel[] memory found = channels.channels(ids);
        for (uint256 i; i < CHANNELS; ++i) {
            if (turn.before[i].closesAt == 0 && found[i].closesAt != 0) tracks[ids[i]].requestedAt = time;
            if (!turn.foreseen && (tokenOf(i) == 1 || (fired && ids[i] == plan.id))) continue;
            vm.assertEq(found[i].deposit, turn.forecast[i].deposit, "ROW_ISOLATION: deposit is not as foretold");
            vm.assertEq(found[i].claimed, turn.forecast[i].claimed, "ROW_ISOLATION: claimed is not as foretold");
            vm.assertEq(found[i].closesAt, turn.forecast[i].closesAt, "ROW_ISOLATION: closesAt is not as foretold");
        }
    }

    function rememberExits(Turn memory turn) private {
        for (uint256 i; i < CHANNELS; ++i) {
            if (turn.exits[i] == 0) continue;
            tracks[ids[i]].returned += turn.exits[i];
            tracks[ids[i]].exitedAt = time;
            ++counts["exits"].successes;
        }
    }

    /// @dev What the intruder has done in the middle: whatever its payer got beyond the step's own call.
    function rememberPlan(Turn memory turn, uint256 answer) private {
        Track storage it = tracks[plan.id];
        if (!isExit(plan.deed)) return;
        uint256 got = planHeld();
        if (tokens[turn.token] == it.terms.token) {
            if (turn.spender != NOBODY && payers[turn.spender] == it.terms.payer) got += answer;
            if (turn.exiting != NOBODY && payers[turn.exiting] == it.terms.payer) got -= answer;
        }
        got -= turn.planHeld;
        if (got == 0) return;
        turn.planGot = got;
        it.returned += got;
        it.exitedAt = time;
        if (plan.deed == Deed.RELEASE) it.released = true;
        ++counts["exits from within"].successes;
    }

    /// @dev FEE_BOUND: what payees did not get of what was claimed for them.
    function rememberFees(Turn memory turn) private {
        IPaymentChannels.Channel[] memory found = channels.channels(ids);
        for (uint256 e; e < PAYEES; ++e) {
            uint256 paid = balance(turn.token, payees[e]) - turn.payeeHeld[e];
            uint256 owed;
            for (uint256 i = turn.token * PAYEES + e; i < CHANNELS; i += TOKENS * PAYEES) {
                owed += found[i].claimed - turn.before[i].claimed - turn.exits[i];
                if (ids[i] == plan.id) owed -= turn.planGot;
            }
            if (turn.foreseen) vm.assertEq(owed - paid, turn.fees[e], "FEE_BOUND: a fee is not as foretold");
            vm.assertLe(owed - paid, turn.feesAllowed[e], "FEE_BOUND: a fee is above what the payee signed for");
            kept[turn.token][e] += owed - paid;
        }
    }

    function planHeld() private view returns (uint256) {
        IPaymentChannels.Terms memory terms = tracks[plan.id].terms;
        return balance(terms.token == tokens[0] ? 0 : 1, terms.payer);
    }

    function isExit(Deed deed) internal pure returns (bool) {
        return deed == Deed.WITHDRAW || deed == Deed.RELEASE;
    }
}
