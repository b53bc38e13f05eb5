// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Messages} from "../support/Messages.sol";
import {WorldSteps} from "./WorldSteps.sol";

/// @title The invariants that hold in every state, as Invariants.md words them
/// @dev What a check does itself is undone when it returns: Foundry keeps no state of an invariant.
abstract contract Checks is WorldSteps {
    /// @dev Sums over all channels, those of past lives among them.
    struct Sums {
        uint256[TOKENS] owed; // what they hold
        uint256[PAYEES][TOKENS] earned; // claimed and pushed
        uint256[PAYERS][TOKENS] spent; // put in and not got back
    }

    function check() external {
        IPaymentChannels.Channel[] memory found = channels.channels(ids);
        Sums memory sums = sumUp(found);
        SOLVENT(sums);
        CLAIM_MONO(found);
        NO_EARLY_EXIT(found);
        CONSERVE(sums);
        CLAIM_WINS(found);
        vm.assertTrue(bytes(wrong).length == 0, wrong);
    }

    /// @dev The moody token can take from its own channels only.
    function SOLVENT(Sums memory sums) private view {
        for (uint256 t; t < TOKENS; ++t) {
            uint256 here = balance(t, address(channels)) + (t == 1 ? shrunk : 0);
            vm.assertGe(here, sums.owed[t], "SOLVENT: channels hold more than there is");
        }
    }

    function CONSERVE(Sums memory sums) private view {
        for (uint256 t; t < TOKENS; ++t) {
            uint256 here = balance(t, address(channels)) + (t == 1 ? shrunk : 0);
            vm.assertEq(here, sums.owed[t] + donated[t], "CONSERVE: the contract has not what came less what went");
            uint256 all = here + balance(t, address(this)) + balance(t, relayer);
            uint256 fees;
            for (uint256 e; e < PAYEES; ++e) {
                uint256 held = balance(t, payees[e]);
                all += held;
                fees += kept[t][e];
                vm.assertEq(held + kept[t][e], sums.earned[t][e], "CONSERVE: a payee has not what was claimed for it");
            }
            for (uint256 p; p < PAYERS; ++p) {
                uint256 held = balance(t, payers[p]);
                all += held;
                vm.assertEq(WEALTH - held, sums.spent[t][p], "CONSERVE: a payer has not its rest");
            }
            vm.assertEq(all, supply, "CONSERVE: somebody else has tokens");
            vm.assertEq(balance(t, relayer), fees, "FEE_BOUND: a relayer has more than the fees");
        }
    }

    function CLAIM_MONO(IPaymentChannels.Channel[] memory found) private view {
        for (uint256 i; i < CHANNELS; ++i) {
            IPaymentChannels.Channel memory was = before[ids[i]];
            vm.assertLe(was.deposit, found[i].deposit, "CLAIM_MONO: a deposit fell");
            vm.assertLe(was.claimed, found[i].claimed, "CLAIM_MONO: a claim was undone");
            vm.assertLe(found[i].claimed, found[i].deposit, "CLAIM_MONO: more claimed than deposited");
            if (was.closesAt == 0) continue;
            vm.assertEq(was.closesAt, found[i].closesAt, "CLAIM_MONO: a closing time changed");
            vm.assertEq(was.deposit, found[i].deposit, "CLAIM_MONO: a closing channel was funded");
        }
    }

    function NO_EARLY_EXIT(IPaymentChannels.Channel[] memory found) private view {
        for (uint256 i; i < CHANNELS; ++i) {
            Track storage it = tracks[ids[i]];
            if (found[i].closesAt != 0) {
                uint256 soonest = it.requestedAt + it.terms.challengePeriod;
                vm.assertEq(found[i].closesAt, soonest, "NO_EARLY_EXIT: a challenge period has another length");
            }
            if (it.returned == 0 || it.released) continue;
            vm.assertTrue(it.requestedAt != 0, "NO_EARLY_EXIT: a payer got money back without a request");
            uint256 waited = it.exitedAt - it.requestedAt;
            vm.assertGe(waited, it.terms.challengePeriod, "NO_EARLY_EXIT: a payer got money back too early");
        }
    }

    /// @dev And SHORT_KEEPS. Tries the next channel of the good token with an unpaid voucher and something to pay it from,
    /// or open to it.
    function CLAIM_WINS(IPaymentChannels.Channel[] memory found) private {
        uint256 j = steps;
        uint256 i;
        do {
            if (++j == steps + PAYERS * PAYEES) return;
            i = channelAt(0, j % (PAYERS * PAYEES));
        } while (tracks[ids[i]].promised <= found[i].claimed || isSpent(found[i]));
        IPaymentChannels.Channel memory it = found[i];
        uint96 promised = tracks[ids[i]].promised;
        vm.warp(time);
        uint256 due = promised < it.deposit ? promised : it.deposit;
        pays(i, due - it.claimed, "CLAIM_WINS: a valid voucher was not paid in full");
        if (it.closesAt != 0 || promised <= it.deposit) return;
        Group memory group = groups[i / PAYEES];
        vm.prank(group.payer);
        channels.fund(group.signer, group.token, group.period, group.salt, list(row(payees[i % PAYEES], promised)));
        pays(i, promised - due, "SHORT_KEEPS: the rest of a voucher was not paid after a top-up");
    }

    /// @dev Present the newest voucher of a channel.
    function pays(uint256 i, uint256 due, string memory otherwise) internal {
        address payee_ = payees[i % PAYEES];
        uint256 held = balance(tokenOf(i), payee_);
        attempt(thief, claimData(i));
        vm.assertEq(balance(tokenOf(i), payee_) - held, due, otherwise);
    }

    function sumUp(IPaymentChannels.Channel[] memory found) internal view returns (Sums memory sums) {
        (sums.earned, sums.spent) = (pastEarned, pastSpent);
        for (uint256 i; i < CHANNELS; ++i) {
            (uint256 t, uint256 returned) = (tokenOf(i), tracks[ids[i]].returned);
            sums.owed[t] += found[i].deposit - found[i].claimed;
            sums.earned[t][i % PAYEES] += found[i].claimed - returned;
            sums.spent[t][payerOf(i)] += found[i].deposit - returned;
        }
    }
}
