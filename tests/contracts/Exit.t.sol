// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";
import {BlocklistToken} from "./support/Tokens.sol";
import {Vm} from "./support/Vm.sol";

/// @dev Times are written out: the compiler may take block.timestamp for a constant of the whole test.
abstract contract ExitTest is ChannelsTest {
    uint256 internal constant NOW = 1_750_000_000;
    uint256 internal constant END = NOW + PERIOD;

    function setUp() public virtual override {
        super.setUp();
        fund(list(row(payee, 100), row(other, 50)));
    }
}

contract RequestCloseTest is ExitTest {
    function test_WhenThereAreNoPayees() external {
        vm.assertEq(requestClose(new address[](0)), 0);
    }

    function test_GivenTheChannelIsOpen() external {
        vm.expectEmit(address(channels));
        emit IPaymentChannels.CloseRequested(idOf(payee), uint40(END));
        vm.assertEq(requestClose(payee), 1);
        assertState(payee, 100, 0, END);
    }

    function test_GivenTheChannelWasNeverFunded() external {
        address stranger = address(0x5151);
        expectSkipped(idOf(stranger), IPaymentChannels.Reason.EMPTY);
        vm.assertEq(requestClose(stranger), 0);
        assertState(stranger, 0, 0, 0);
        fund(stranger, 10);
        vm.warp(END + 1);
        vm.assertEq(withdraw(stranger), 0);
    }

    function test_GivenEverythingIsClaimed() external {
        claim(signed(payee, 100));
        expectSkipped(idOf(payee), IPaymentChannels.Reason.EMPTY);
        vm.assertEq(requestClose(payee), 0);
    }

    function test_GivenTheChannelIsClosing() external {
        requestClose(payee);
        vm.warp(NOW + 100);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.CLOSING);
        vm.assertEq(requestClose(payee), 0);
        assertState(payee, 100, 0, END);
    }

    function test_GivenTheChannelIsSpent() external {
        requestClose(payee);
        vm.warp(END);
        withdraw(payee);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.CLOSING);
        vm.assertEq(requestClose(payee), 0);
        assertState(payee, 100, 100, END);
    }

    function test_GivenTheCallerIsNotThePayer() external {
        vm.prank(payee);
        vm.assertEq(channels.requestClose(signer, address(token), PERIOD, SALT, list(payee)), 0);
        assertState(payee, 100, 0, 0);
    }

    function test_GivenGoodAndBadChannels() external {
        address[] memory payees = new address[](3);
        (payees[0], payees[1], payees[2]) = (payee, address(0x5151), other);
        vm.assertEq(requestClose(payees), 2);
        assertState(payee, 100, 0, END);
        assertState(other, 50, 0, END);
    }

    function testFuzz_AddsThePeriodToTheTime(uint40 time, uint32 period) external {
        time = uint40(bound(time, 1, type(uint40).max - uint256(period)));
        vm.prank(payer);
        channels.fund(signer, address(token), period, SALT, list(row(address(0x5151), 5)));
        vm.warp(time);
        vm.prank(payer);
        channels.requestClose(signer, address(token), period, SALT, list(address(0x5151)));
        IPaymentChannels.Terms memory terms = termsTo(address(0x5151));
        terms.challengePeriod = period;
        assertState(channels.channelId(terms), 5, 0, uint256(time) + period);
    }
}

contract WithdrawTest is ExitTest {
    function setUp() public override {
        super.setUp();
        requestClose(list(payee, other));
    }

    function test_GivenNoCloseWasRequested() external {
        fund(address(0x5151), 10);
        vm.warp(END);
        expectSkipped(idOf(address(0x5151)), IPaymentChannels.Reason.NOT_CLOSING);
        vm.assertEq(withdraw(address(0x5151)), 0);
    }

    function test_GivenTheChallengePeriodIsNotOver() external {
        vm.warp(END - 1);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.TOO_EARLY);
        vm.assertEq(withdraw(payee), 0);
        assertState(payee, 100, 0, END);
    }

    function test_GivenTheChallengePeriodIsOver() external {
        claim(signed(payee, 30));
        vm.warp(END);
        vm.recordLogs();
        vm.assertEq(withdraw(list(payee, other)), 120);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 3);
        vm.assertEq(logs[0].topics[0], IPaymentChannels.Withdrawn.selector);
        vm.assertEq(logs[0].topics[1], idOf(payee));
        vm.assertEq(abi.decode(logs[0].data, (uint256)), 70);
        vm.assertEq(logs[1].topics[1], idOf(other));
        vm.assertEq(abi.decode(logs[1].data, (uint256)), 50);
        vm.assertEq(logs[2].emitter, address(token));
        vm.assertEq(token.balanceOf(payer), RICH - 30);
        vm.assertEq(token.balanceOf(address(channels)), 0);
        assertState(payee, 100, 100, END);

        expectSkipped(idOf(payee), IPaymentChannels.Reason.EMPTY);
        vm.assertEq(withdraw(payee), 0);
        vm.assertEq(claim(signed(payee, 100)), 0);
    }

    function test_GivenEverythingWasClaimedMeanwhile() external {
        claim(signed(payee, 100));
        vm.warp(END);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.EMPTY);
        vm.assertEq(withdraw(list(payee, other)), 50);
    }

    function test_GivenTheCallerIsNotThePayer() external {
        vm.warp(END);
        vm.prank(payee);
        vm.assertEq(channels.withdraw(signer, address(token), PERIOD, SALT, list(payee)), 0);
        assertState(payee, 100, 0, END);
    }

    function test_RevertGiven_TheTokenRefusesThePayer() external {
        BlocklistToken strict = new BlocklistToken();
        token = strict;
        enrich(payer);
        fund(payee, 100);
        requestClose(payee);
        vm.warp(END);
        strict.block_(payer);
        vm.expectRevert();
        withdraw(payee);
        assertState(payee, 100, 0, END);
        strict.unblock(payer);
        vm.assertEq(withdraw(payee), 100);
    }

    function testFuzz_ForAnyClaimsInBetween(uint96 target, uint96[4] calldata totals, uint32 wait) external {
        address stranger = address(0x5151);
        target = uint96(bound(target, 1, RICH / 2));
        fund(stranger, target);
        requestClose(stranger);
        uint256 highest;
        for (uint256 i; i < totals.length; ++i) {
            uint256 total = bound(totals[i], 0, 2 * uint256(target));
            if (total > highest) highest = total;
            if (i == 2) vm.warp(NOW + bound(wait, 0, 2 * PERIOD));
            claim(signed(stranger, uint96(total)));
        }
        if (highest > target) highest = target;
        vm.warp(END + PERIOD);
        vm.assertEq(withdraw(stranger), target - highest);
        vm.assertEq(token.balanceOf(stranger), highest);
        vm.assertEq(token.balanceOf(payer), RICH - 150 - highest);
        assertState(stranger, target, target, END);
    }
}

contract ReleaseTest is ExitTest {
    function test_RevertWhen_TheCallerIsNotThePayee() external {
        requestClose(payee);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.NotPayee.selector, payee, payer));
        vm.prank(payer);
        channels.release(termsTo(payee));
    }

    function test_RevertGiven_NoCloseWasRequested() external {
        expectRefused(idOf(payee), IPaymentChannels.Reason.NOT_CLOSING);
        release();
    }

    function test_RevertGiven_NothingIsLeft() external {
        requestClose(payee);
        claim(signed(payee, 100));
        expectRefused(idOf(payee), IPaymentChannels.Reason.EMPTY);
        release();
    }

    function test_GivenTheChannelIsClosing() external {
        requestClose(payee);
        claim(signed(payee, 30));
        vm.expectEmit(address(channels));
        emit IPaymentChannels.Withdrawn(idOf(payee), 70);
        vm.assertEq(release(), 70);
        vm.assertEq(token.balanceOf(payer), RICH - 150 + 70);
        assertState(payee, 100, 100, END);
        expectRefused(idOf(payee), IPaymentChannels.Reason.EMPTY);
        release();
        vm.warp(END);
        vm.assertEq(withdraw(payee), 0);
    }

    function test_RevertGiven_TheTokenRefusesThePayer() external {
        BlocklistToken strict = new BlocklistToken();
        token = strict;
        enrich(payer);
        fund(payee, 100);
        requestClose(payee);
        strict.block_(payer);
        vm.expectRevert();
        release();
        assertState(payee, 100, 0, END);
    }

    function release() private returns (uint256 returned) {
        IPaymentChannels.Terms memory terms = termsTo(payee);
        vm.prank(payee);
        return channels.release(terms);
    }
}
