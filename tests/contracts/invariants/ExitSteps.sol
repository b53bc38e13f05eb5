// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {Ledger} from "./Ledger.sol";

/// @title Steps that pay without vouchers, and that end channels: by those who may, too early, and by strangers
abstract contract ExitSteps is Ledger {
    function pushMany(uint256 seed) external {
        Turn memory turn = begin("push", seed, seed % TOKENS);
        uint256 g = turn.dice.below(PAYERS) * TOKENS + turn.token;
        bool stranger = turn.dice.oneIn(8);
        bytes32[] memory rows = new bytes32[](1 + turn.dice.below(5));
        for (uint256 k; k < rows.length; ++k) {
            uint256 e = turn.dice.below(PAYEES);
            IPaymentChannels.Channel memory it = turn.forecast[g * PAYEES + e];
            uint96 total = uint96(it.claimed + turn.dice.upTo((it.deposit - it.claimed) / 3));
            if (turn.dice.oneIn(8)) total = it.deposit + 1;
            rows[k] = row(payees[e], total);
            if (!stranger) turn.expected += foretellPay(turn, g * PAYEES + e, total);
        }
        Group memory group = groups[g];
        bytes memory data = abi.encodeCall(channels.push, (group.signer, group.token, group.period, group.salt, rows));
        run(turn, stranger ? thief : group.payer, data);
    }

    function closeMany(uint256 seed) external {
        Turn memory turn = begin("requestClose", seed, seed % TOKENS);
        uint256 first = channelAt(turn.token, turn.dice.below(PAYERS * PAYEES));
        (uint256 g, address caller, address[] memory some) = drawPayees(turn, first);
        if (caller != thief) {
            for (uint256 k; k < some.length; ++k) {
                turn.expected += foretellClose(turn, g * PAYEES + indexOf(some[k]));
            }
        }
        Group memory group = groups[g];
        bytes memory data =
            abi.encodeCall(channels.requestClose, (group.signer, group.token, group.period, group.salt, some));
        if (run(turn, caller, data)) counts["closes"].successes += turn.expected;
    }

    /// @dev Too early, in time, or by a payer that has waited.
    function withdrawMany(uint256 seed) external {
        Turn memory turn = begin("withdraw", seed, seed % TOKENS);
        turn.leaving = true;
        uint256 first = channelAt(turn.token, turn.dice.below(PAYERS * PAYEES));
        if (!turn.dice.oneIn(4)) first = firstClosing(turn, first);
        if (!turn.dice.oneIn(4)) waitFor(turn.before[first].closesAt);
        (uint256 g, address caller, address[] memory some) = drawPayees(turn, first);
        if (caller != thief) {
            for (uint256 k; k < some.length; ++k) {
                turn.expected += foretellExit(turn, g * PAYEES + indexOf(some[k]), false);
            }
            if (turn.expected != 0 && isBlocked(turn, caller)) turn.refused = true;
        }
        Group memory group = groups[g];
        bytes memory data =
            abi.encodeCall(channels.withdraw, (group.signer, group.token, group.period, group.salt, some));
        run(turn, caller, data);
    }

    function releaseOne(uint256 seed) external {
        Turn memory turn = begin("release", seed, seed % TOKENS);
        turn.leaving = true;
        uint256 i = channelAt(turn.token, turn.dice.below(PAYERS * PAYEES));
        if (!turn.dice.oneIn(3)) i = firstClosing(turn, i);
        address caller = turn.dice.oneIn(6) ? thief : payees[i % PAYEES];
        if (caller != thief) turn.expected = foretellExit(turn, i, true);
        turn.refused = turn.expected == 0 || isBlocked(turn, payers[payerOf(i)]);
        if (run(turn, caller, abi.encodeCall(channels.release, (tracks[ids[i]].terms)))) {
            tracks[ids[i]].released = true;
        }
    }

    /// @dev The group of channel `first`, who calls, and that channel's payee with up to all others.
    function drawPayees(Turn memory turn, uint256 first)
        private
        view
        returns (uint256 g, address caller, address[] memory some)
    {
        g = first / PAYEES;
        caller = turn.dice.oneIn(8) ? thief : groups[g].payer;
        some = new address[](1 + turn.dice.below(PAYEES));
        for (uint256 k; k < some.length; ++k) {
            some[k] = payees[(first + k) % PAYEES];
        }
    }

    function waitFor(uint256 until) private {
        if (until > time) time = until;
        vm.warp(time);
    }

    function indexOf(address payee_) private view returns (uint256 e) {
        while (payees[e] != payee_) ++e;
    }
}
