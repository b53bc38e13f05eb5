// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";
import {BlocklistToken} from "./support/Tokens.sol";

contract PushTest is ChannelsTest {
    function setUp() public override {
        super.setUp();
        fund(list(row(payee, 100), row(other, 100)));
    }

    function test_WhenThereAreNoRows() external {
        expectPushed(new bytes32[](0));
        vm.assertEq(push(new bytes32[](0)), 0);
    }

    function test_GivenTheTotalIsAbove_WhenTheChannelHoldsEnough() external {
        push(list(row(payee, 30)));
        expectPushed(list(row(payee, 50), row(other, 7)));
        vm.assertEq(push(list(row(payee, 50), row(other, 7))), 27);
        vm.assertEq(token.balanceOf(payee), 50);
        vm.assertEq(token.balanceOf(other), 7);
        assertState(payee, 100, 50, 0);
    }

    function test_GivenTheTotalIsAbove_WhenTheChannelHoldsLess() external {
        expectPushed(list(row(payee, 100)));
        vm.assertEq(push(list(row(payee, 150))), 100);
        assertState(payee, 100, 100, 0);
    }

    function test_GivenTheTotalIsNotAbove() external {
        push(list(row(payee, 30)));
        expectSkipped(idOf(payee), IPaymentChannels.Reason.STALE);
        expectPushed(list(row(payee, 30), row(other, 1)));
        vm.assertEq(push(list(row(payee, 20), row(other, 1))), 1);
    }

    function test_GivenTheChannelIsEmpty() external {
        push(list(row(payee, 100)));
        expectSkipped(idOf(payee), IPaymentChannels.Reason.EMPTY);
        expectPushed(list(row(payee, 100)));
        vm.assertEq(push(list(row(payee, 101))), 0);

        expectSkipped(idOf(address(0x5151)), IPaymentChannels.Reason.EMPTY);
        expectPushed(list(row(address(0x5151), 0)));
        vm.assertEq(push(list(row(address(0x5151), 5))), 0);
    }

    function test_GivenThePayeeIsZero() external {
        expectSkipped(idOf(address(0)), IPaymentChannels.Reason.ZERO_PAYEE);
        vm.assertEq(push(list(row(address(0), 5))), 0);
    }

    function test_GivenTheChannelIsClosing() external {
        requestClose(payee);
        vm.warp(1_750_000_000 + 2 * PERIOD);
        vm.assertEq(push(list(row(payee, 60))), 60);
        vm.assertEq(withdraw(payee), 40);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.EMPTY);
        vm.assertEq(push(list(row(payee, 101))), 0);
    }

    function test_GivenTheCallerIsNotThePayer() external {
        vm.prank(relayer);
        vm.assertEq(channels.push(signer, address(token), PERIOD, SALT, list(row(payee, 60))), 0);
        assertState(payee, 100, 0, 0);
    }

    function test_GivenTheTokenRefusesAPayee() external {
        BlocklistToken strict = new BlocklistToken();
        token = strict;
        enrich(payer);
        fund(list(row(payee, 100), row(other, 100)));
        push(list(row(payee, 10)));
        strict.block_(payee);
        for (uint256 i; i < 2; ++i) {
            expectSkipped(idOf(payee), IPaymentChannels.Reason.TRANSFER_FAILED);
            expectPushed(list(row(payee, 10), row(other, 20 + i)));
            vm.assertEq(push(list(row(payee, 50), row(other, 20 + i))), i == 0 ? 20 : 1);
            strict.bePolite();
        }
        assertState(payee, 100, 10, 0);
        strict.unblock(payee);
        vm.assertEq(push(list(row(payee, 50))), 40);
    }

    function test_GivenTheSamePayeeStandsInTwoRows() external {
        expectPushed(list(row(payee, 30), row(payee, 30)));
        vm.assertEq(push(list(row(payee, 30), row(payee, 10))), 30);
    }

    function test_GivenAVoucherWasClaimedBeforeOrAfter() external {
        claim(signed(payee, 30));
        vm.assertEq(push(list(row(payee, 50))), 20);
        vm.assertEq(claim(signed(payee, 40)), 0);
        vm.assertEq(claim(signed(payee, 60)), 10);
    }

    function testFuzz_ForAnyTotals(uint96 deposit, uint96[6] calldata totals) external {
        address third = address(0x3333);
        deposit = uint96(bound(deposit, 1, RICH / 2));
        fund(third, deposit);
        uint256 highest;
        for (uint256 i; i < totals.length; ++i) {
            uint256 total = bound(totals[i], 0, RICH);
            if (total > highest) highest = total;
            push(list(row(third, total)));
        }
        uint256 expected = highest < deposit ? highest : deposit;
        vm.assertEq(token.balanceOf(third), expected);
        assertState(third, deposit, expected, 0);
    }
}
