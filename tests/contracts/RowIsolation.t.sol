// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {AwkwardAccount} from "./support/Accounts.sol";
import {Worlds} from "./invariants/Worlds.sol";

contract RowIsolationTest is Worlds {
    uint256 private constant GOOD = 6;
    uint256 private constant MANNERS = 9; // of an AwkwardAccount

    AwkwardAccount[MANNERS] private _accounts;

    constructor() {
        for (uint256 k; k < MANNERS; ++k) {
            _accounts[k] = new AwkwardAccount(AwkwardAccount.Manner(k));
            vm.prank(payers[0]);
            channels.fundOne(tokens[1], keyOf(address(_accounts[k]), PERIOD), SALT, row(payees[0], 50));
        }
    }

    /// ROW_ISOLATION: honest rows, fees and all, are worth the same alone and among every kind of bad row.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_ForAnyBadRowsAmongGoodOnes(uint256 seed) external {
        Turn memory turn = begin("isolation", seed, 1);
        fundSome(turn);
        moody.setBlocked(payees[2], true);
        if (turn.dice.oneIn(2)) moody.setPolite(true);
        // Bad from the beginning, and so at any time: what is stale only behind the good rows would, before them, take the fee
        // of a lower voucher. What is dishonest only in its proof may still be right; that is no bad row.
        Batch memory bad = drawBatch(turn, GOOD, true, true, 1);
        vm.assume(turn.expected == 0);
        Batch memory good = drawBatch(turn, GOOD, true, true, 0);
        uint256 expected = turn.expected;
        depart();
        vm.assertEq(present(good), expected, "ROW_ISOLATION: a payee that is blocked changes what others are paid");
        Picture memory alone = look(1);
        goBack();
        Batch memory mixed = mix(turn, good, bad);
        vm.assertEq(present(mixed), expected, "ROW_ISOLATION: bad rows change what is paid");
        assertSame(alone, look(1), "ROW_ISOLATION: bad rows harm good ones");
    }

    function present(Batch memory it) private returns (uint256 paid) {
        vm.prank(relayer);
        return channels.relay(tokens[1], it.rows, it.fees, it.proofs);
    }

    /// @dev The good rows in their order, with bad ones before, between and after.
    function mix(Turn memory turn, Batch memory good, Batch memory bad) private view returns (Batch memory all) {
        uint256 count = 3 * GOOD;
        all.rows = new IPaymentChannels.Claim[](count);
        all.proofs = new bytes[](count);
        all.fees = new IPaymentChannels.Fee[](count);
        uint256[3] memory used;
        for (uint256 k; k < count; ++k) {
            uint256 kind = turn.dice.below(3);
            while (used[kind] == GOOD) kind = (kind + 1) % 3;
            uint256 place = used[kind]++;
            if (kind == 2) {
                all.rows[k] = awkward(turn);
                continue;
            }
            Batch memory from = kind == 0 ? good : bad;
            (all.rows[k], all.proofs[k], all.fees[k]) = (from.rows[place], from.proofs[place], from.fees[place]);
        }
        lean(turn, all.rows);
    }

    /// @dev A row of a funded channel whose signer is an account that answers in a manner that does not count, or a row
    /// of nonsense.
    function awkward(Turn memory turn) private view returns (IPaymentChannels.Claim memory it) {
        bytes32 noise = bytes32(turn.dice.below(type(uint256).max));
        if (turn.dice.oneIn(4)) {
            return IPaymentChannels.Claim(address(bytes20(noise)), noise, row(payees[1], 40), noise, noise, noise);
        }
        address signer_ = address(_accounts[turn.dice.below(MANNERS)]);
        return IPaymentChannels.Claim(payers[0], keyOf(signer_, PERIOD), row(payees[0], 40), SALT, noise, noise);
    }
}
