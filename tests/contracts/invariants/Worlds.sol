// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {ClaimRows} from "./ClaimRows.sol";

/// @title Two worlds that begin alike, take different ways, and are compared where they end
abstract contract Worlds is ClaimRows {
    /// @dev All that matters of a world.
    struct Picture {
        IPaymentChannels.Channel[] channels;
        uint256[] balances;
    }

    uint256 private _start;

    function setUp() public override {}

    /// @dev Fund most channels of a token.
    function fundSome(Turn memory turn) internal {
        for (uint256 j; j < PAYERS * PAYEES; ++j) {
            uint256 i = channelAt(turn.token, j);
            if (turn.dice.oneIn(5)) continue;
            fundChannel(i, uint96(1 + turn.dice.below(100e18)));
            turn.forecast[i].deposit = state(ids[i]).deposit;
        }
    }

    function fundChannel(uint256 i, uint96 target) internal {
        Group memory it = groups[i / PAYEES];
        vm.prank(it.payer);
        channels.fundOne(it.token, keyOf(it.signer, it.period), it.salt, row(payees[i % PAYEES], target));
    }

    function closeChannel(uint256 i) internal {
        Group memory it = groups[i / PAYEES];
        vm.prank(it.payer);
        channels.requestClose(it.signer, it.token, it.period, it.salt, list(payees[i % PAYEES]));
    }

    /// @dev Where both worlds begin.
    function depart() internal {
        _start = vm.snapshotState();
    }

    function goBack() internal {
        require(vm.revertToState(_start), "there is no way back");
        _start = vm.snapshotState();
    }

    function look(uint256 t) internal view returns (Picture memory it) {
        it.channels = channels.channels(ids);
        it.balances = new uint256[](PAYEES + PAYERS + 3);
        for (uint256 e; e < PAYEES; ++e) {
            it.balances[e] = balance(t, payees[e]);
        }
        for (uint256 p; p < PAYERS; ++p) {
            it.balances[PAYEES + p] = balance(t, payers[p]);
        }
        it.balances[PAYEES + PAYERS] = balance(t, relayer);
        it.balances[PAYEES + PAYERS + 1] = balance(t, thief);
        it.balances[PAYEES + PAYERS + 2] = balance(t, address(channels));
    }

    function assertSame(Picture memory one, Picture memory other_, string memory otherwise) internal pure {
        vm.assertEq(keccak256(abi.encode(one)), keccak256(abi.encode(other_)), otherwise);
    }
}
