// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Dice} from "../support/Dice.sol";
import {Rules} from "./Rules.sol";

/// @title One step of a run: what is foretold of it, what came of it, and the ghosts that remember
/// @notice A step begins with a picture of all channels, foretells what its call will do, makes the call and compares.
/// A handler never fails by a judgement of its own: it notes the first thing that was wrong, and the checks, which are
/// about sums and states and know nothing of forecasts, have the first word.
abstract contract Ledger is Rules {
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
    string internal wrong; // the first thing that was not as foretold

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
        bool odd = turn.armed || moody.denies() || moody.skimmed() != address(0) || shrunk != 0;
        turn.foreseen = token != 1 || !odd;
        (turn.exiting, turn.spender) = (NOBODY, NOBODY);
        for (uint256 e; e < PAYEES; ++e) {
            turn.payeeHeld[e] = balance(token, payees[e]);
        }
        if (plan.id != 0) turn.planHeld = planHeld();
    }

    /// @dev Make the call, compare, remember.
    function run(Turn memory turn, address caller, bytes memory data) internal returns (bool success) {
        (bool accepted, uint256 answer) = attempt(caller, data);
        IPaymentChannels.Channel[] memory found = channels.channels(ids);
        if (!accepted) turn.forecast = turn.before;
        if (accepted) rememberExits(turn, found);
        bool fired = turn.armed && address(moody.hook()) == address(0);
        if (fired) ++counts["called back"].successes;
        if (fired) rememberPlan(turn, answer);
        if (accepted) rememberFees(turn, found);
        compare(turn, found, fired);
        if (turn.foreseen) compare(turn, accepted, answer);
        success = accepted && answer != 0;
        if (success) ++counts[turn.name].successes;
        if (success && turn.foreseen && turn.dice.oneIn(4)) repeat(turn, caller, data);
    }

    function note(bool right, string memory otherwise) internal {
        if (!right && bytes(wrong).length == 0) wrong = otherwise;
    }

    function attempt(address caller, bytes memory data) internal returns (bool accepted, uint256 answer) {
        bytes memory returned;
        vm.prank(caller);
        (accepted, returned) = address(channels).call(data);
        if (accepted) answer = abi.decode(returned, (uint256));
    }

    /// @dev The same call once more moves nothing.
    function repeat(Turn memory turn, address caller, bytes memory data) private {
        bytes32 once = keccak256(abi.encode(channels.channels(ids)));
        uint256 held = balance(turn.token, address(channels));
        (, uint256 answer) = attempt(caller, data);
        bool same = once == keccak256(abi.encode(channels.channels(ids)));
        note(same && answer == 0 && held == balance(turn.token, address(channels)), "REPLAY_NOOP: a call acts twice");
        ++counts["repeated"].successes;
    }

    function compare(Turn memory turn, bool accepted, uint256 answer) private {
        string memory name = turn.token == 1 ? "HOSTILE_TOKEN" : "LIVENESS";
        note(accepted || turn.refused, string.concat(name, ": a call was refused against the rules"));
        note(!accepted || !turn.refused, "DOMAIN_FENCE: a call was accepted against the rules");
        note(!accepted || answer == turn.expected, "CONSERVE: a call answers another sum than foretold");
    }

    function compare(Turn memory turn, IPaymentChannels.Channel[] memory found, bool fired) private {
        for (uint256 i; i < CHANNELS; ++i) {
            IPaymentChannels.Channel memory it = found[i];
            IPaymentChannels.Channel memory foretold = turn.forecast[i];
            if (turn.before[i].closesAt == 0 && it.closesAt != 0) tracks[ids[i]].requestedAt = time;
            if (!turn.foreseen && (tokenOf(i) == 1 || (fired && ids[i] == plan.id))) continue;
            note(it.deposit == foretold.deposit, "ROW_ISOLATION: a deposit is not as foretold");
            note(it.claimed == foretold.claimed, "ROW_ISOLATION: a claim is not as foretold");
            note(it.closesAt == foretold.closesAt, "ROW_ISOLATION: a closing time is not as foretold");
        }
    }

    /// @dev What went back to the payer by the step's own call, foretold or not.
    function rememberExits(Turn memory turn, IPaymentChannels.Channel[] memory found) private {
        if (!turn.leaving) return;
        for (uint256 i; i < CHANNELS; ++i) {
            if (turn.foreseen) turn.exits[i] = found[i].claimed - turn.before[i].claimed;
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

    /// @dev What payees did not get of what was claimed for them.
    function rememberFees(Turn memory turn, IPaymentChannels.Channel[] memory found) private {
        for (uint256 e; e < PAYEES; ++e) {
            uint256 due = turn.payeeHeld[e];
            for (uint256 i = turn.token * PAYEES + e; i < CHANNELS; i += TOKENS * PAYEES) {
                due += found[i].claimed - turn.before[i].claimed - turn.exits[i];
                if (ids[i] == plan.id) due -= turn.planGot;
            }
            uint256 held = balance(turn.token, payees[e]);
            if (held >= due) continue;
            uint256 fee = due - held;
            note(fee <= turn.feesAllowed[e], "FEE_BOUND: a fee is above what the payee has signed for");
            note(!turn.foreseen || fee == turn.fees[e], "FEE_BOUND: a fee is not as foretold");
            kept[turn.token][e] += fee;
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
