// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {IHook} from "../support/Tokens.sol";
import {Console} from "../support/Console.sol";
import {Checks} from "./Checks.sol";
import {ClaimSteps} from "./ClaimSteps.sol";
import {ExitSteps} from "./ExitSteps.sol";
import {FundingSteps} from "./FundingSteps.sol";

/// @title Every step that a run can take, and how a run ends
contract Handler is FundingSteps, ClaimSteps, ExitSteps, Checks {
    /// @dev Kinds of steps; steps of one kind, and of all kinds, from which on chance is no excuse; and steps of a whole run,
    /// which has enough of every kind. Foundry shortens runs that fail.
    uint256 private constant KINDS = 18;
    uint256 private constant ENOUGH = 40;
    uint256 private constant LONG = 300;
    uint256 private constant WHOLE = 1_400;

    /// @dev LIVENESS, from whatever state the run has left: all newest vouchers are paid, then every payer asks, waits
    /// and gets its rest. In the moody token that holds for those whom it does not block, once it is calm otherwise.
    function finish() external {
        vm.warp(time);
        moody.give(address(channels), shrunk);
        shrunk = 0;
        moody.arm(IHook(address(0)), false);
        for (uint256 i; i < CHANNELS; ++i) {
            endClaim(i);
        }
        for (uint256 g; g < GROUPS; ++g) {
            leave(g);
        }
        vm.assertEq(balance(0, address(channels)), donated[0], "LIVENESS: the good token has leftovers");
        uint256 kept_ = sumUp(channels.channels(ids)).owed[1]; // by those whom the token blocks
        vm.assertEq(balance(1, address(channels)), kept_ + donated[1], "LIVENESS: the moody token has other leftovers");
        IPaymentChannels.Channel[] memory past = channels.channels(retired);
        for (uint256 i; i < past.length; ++i) {
            vm.assertEq(past[i].deposit, past[i].claimed, "LIVENESS: a channel of a past life holds something");
        }
    }

    function endClaim(uint256 i) private {
        IPaymentChannels.Channel memory it = channels.channels(ids)[i];
        uint256 promised = tracks[ids[i]].promised;
        uint256 due = promised < it.deposit ? promised : it.deposit;
        bool kind = tokenOf(i) == 0 || !moody.blocked(payees[i % PAYEES]);
        pays(i, kind && due > it.claimed ? due - it.claimed : 0, "LIVENESS: a payee cannot get its due");
    }

    /// @dev A payer's way out of all channels of a group.
    function leave(uint256 g) private {
        Group memory it = groups[g];
        uint256 t = g % TOKENS;
        address[] memory all = new address[](PAYEES);
        for (uint256 e; e < PAYEES; ++e) {
            all[e] = payees[e];
        }
        uint256 due = ownRest(g);
        uint256 held = balance(t, it.payer);
        vm.startPrank(it.payer);
        channels.requestClose(it.signer, it.token, it.period, it.salt, all);
        vm.warp(block.timestamp + it.period);
        bool kind = t == 0 || !moody.blocked(it.payer);
        try channels.withdraw(it.signer, it.token, it.period, it.salt, all) returns (uint256 returned) {
            vm.assertEq(returned, due, "LIVENESS: a payer got another rest");
        } catch {
            vm.assertTrue(!kind, "LIVENESS: a payer cannot get its rest");
        }
        vm.stopPrank();
        vm.assertEq(balance(t, it.payer) - held, kind ? due : 0, "LIVENESS: a payer has not got its rest");
        vm.assertEq(ownRest(g), kind ? 0 : due, "LIVENESS: a channel is not spent");
    }

    function ownRest(uint256 g) private view returns (uint256 sum) {
        IPaymentChannels.Channel[] memory found = channels.channels(ids);
        for (uint256 i = g * PAYEES; i < (g + 1) * PAYEES; ++i) {
            sum += found[i].deposit - found[i].claimed;
        }
    }

    // ----------------------------------------------------------------------------------------------------- the summary

    /// @dev What a run has come to, shown by `forge test -vv`. A kind of step that hardly ever succeeds, or a run without
    /// the things that matter, has tested nothing.
    function report() external view {
        for (uint256 k; k < names.length; ++k) {
            Count memory it = counts[names[k]];
            Console.say(string.concat("step: ", text(names[k])), it.successes, it.calls);
            bool judged = it.calls >= ENOUGH;
            vm.assertTrue(judged || steps < WHOLE, string.concat("hardly ever tried: ", text(names[k])));
            bool enough = !judged || it.successes * 20 >= it.calls;
            vm.assertTrue(enough, string.concat("fewer than 5 % succeeded: ", text(names[k])));
        }
        vm.assertTrue(names.length == KINDS || steps < WHOLE, "a kind of step was never tried");
        bytes32[8] memory rare = [
            bytes32("closes"),
            "exits",
            "short payments",
            "conditional claims",
            "claims while closing",
            "fees",
            "bad rows",
            "repeated"
        ];
        for (uint256 k; k < rare.length; ++k) {
            Console.say(string.concat("happened: ", text(rare[k])), counts[rare[k]].successes, steps);
            bool happened = steps < LONG || counts[rare[k]].successes != 0;
            vm.assertTrue(happened, string.concat("never happened: ", text(rare[k])));
        }
        Console.say(
            "happened: exits from within", counts["exits from within"].successes, counts["called back"].successes
        );
        Console.say("happened: lives", counts["lives"].successes, steps);
    }

    function text(bytes32 word) private pure returns (string memory) {
        uint256 length;
        while (length < 32 && word[length] != 0) ++length;
        bytes memory letters = new bytes(length);
        for (uint256 k; k < length; ++k) {
            letters[k] = word[k];
        }
        return string(letters);
    }
}
