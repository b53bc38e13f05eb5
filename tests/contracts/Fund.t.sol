// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";

contract FundTest is ChannelsTest {
    function test_RevertWhen_TheSignerIsZero() external {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.ZeroSigner.selector));
        vm.prank(payer);
        channels.fund(address(0), address(token), PERIOD, SALT, list(row(payee, 5)));
    }

    function test_WhenThereAreNoRows() external {
        expectFunded(new bytes32[](0));
        vm.assertEq(fund(new bytes32[](0)), 0);
    }

    function test_WhenThePayeeIsZero() external {
        expectSkipped(idOf(address(0)), IPaymentChannels.Reason.ZERO_PAYEE);
        expectFunded(list(row(address(0), 0), row(payee, 7)));
        vm.assertEq(fund(list(row(address(0), 5), row(payee, 7))), 7);
        assertState(address(0), 0, 0, 0);
        assertState(payee, 7, 0, 0);
    }

    function test_GivenTheChannelIsNew_WhenTheTargetIsZero() external {
        expectFunded(list(row(payee, 0)));
        vm.assertEq(fund(payee, 0), 0);
        assertState(payee, 0, 0, 0);
    }

    function test_GivenTheChannelIsNew_WhenTheTargetIsAboveZero() external {
        expectFunded(list(row(payee, 5e18), row(other, 1)));
        vm.assertEq(fund(list(row(payee, 5e18), row(other, 1))), 5e18 + 1);
        assertState(payee, 5e18, 0, 0);
        assertState(other, 1, 0, 0);
        vm.assertEq(token.balanceOf(address(channels)), 5e18 + 1);
        vm.assertEq(token.balanceOf(payer), RICH - 5e18 - 1);
    }

    function test_GivenTheChannelIsOpen_WhenTheTargetIsAboveTheDeposit() external {
        fund(payee, 5);
        expectFunded(list(row(payee, 12)));
        vm.assertEq(fund(payee, 12), 7);
        assertState(payee, 12, 0, 0);
    }

    function test_GivenTheChannelIsOpen_WhenTheTargetIsTheDeposit() external {
        fund(payee, 5);
        expectFunded(list(row(payee, 5)));
        vm.assertEq(fund(payee, 5), 0);
        vm.assertEq(token.balanceOf(address(channels)), 5);
    }

    function test_GivenTheChannelIsOpen_WhenTheTargetIsBelowTheDeposit() external {
        fund(payee, 5);
        expectFunded(list(row(payee, 5), row(other, 2)));
        vm.assertEq(fund(list(row(payee, 4), row(other, 2))), 2);
        assertState(payee, 5, 0, 0);
    }

    function test_GivenTheChannelIsOpen_WhenTheSamePayeeStandsInTwoRows() external {
        fund(payee, 1);
        expectFunded(list(row(payee, 9), row(payee, 9)));
        vm.assertEq(fund(list(row(payee, 9), row(payee, 4))), 8);
        assertState(payee, 9, 0, 0);
    }

    function test_GivenTheChannelIsOpen_KeepsWhatWasClaimed() external {
        fund(payee, 5);
        claim(signed(payee, 3));
        fund(payee, 12);
        assertState(payee, 12, 3, 0);
    }

    function test_GivenTheChannelIsClosing() external {
        fund(payee, 5);
        requestClose(payee);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.CLOSING);
        expectFunded(list(row(payee, 5), row(other, 3)));
        vm.assertEq(fund(list(row(payee, 50), row(other, 3))), 3);
        assertState(payee, 5, 0, block.timestamp + PERIOD);
        assertState(other, 3, 0, 0);
    }

    function test_GivenTheChannelIsSpent() external {
        fund(payee, 5);
        requestClose(payee);
        vm.warp(block.timestamp + PERIOD);
        withdraw(payee);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.CLOSING);
        vm.assertEq(fund(payee, 50), 0);

        vm.prank(payer);
        vm.assertEq(channels.fund(signer, address(token), PERIOD, keccak256("second life"), list(row(payee, 50))), 50);
    }

    function test_RevertGiven_ThePayerOwnsTooLittle() external {
        vm.expectRevert();
        fund(payee, RICH + 1);
        assertState(payee, 0, 0, 0);
    }

    function test_RevertGiven_ThePayerHasApprovedTooLittle() external {
        vm.prank(payer);
        token.approve(address(channels), 4);
        vm.expectRevert();
        fund(payee, 5);
        assertState(payee, 0, 0, 0);
    }

    function test_RevertGiven_TheTokenIsNoContract() external {
        vm.expectRevert();
        vm.prank(payer);
        channels.fund(signer, address(0xdead), PERIOD, SALT, list(row(payee, 5)));
    }

    function testFuzz_ForAnyTargetsInAnyOrder(uint96[24] calldata targets, uint256 whom) external {
        uint256[2] memory highest;
        address[2] memory payees = [payee, other];
        for (uint256 i; i < targets.length; i += 3) {
            bytes32[] memory rows = new bytes32[](3);
            for (uint256 j; j < 3; ++j) {
                uint256 which = (whom >> (i + j)) & 1;
                uint256 target = bound(targets[i + j], 0, RICH / 2);
                rows[j] = row(payees[which], target);
                if (target > highest[which]) highest[which] = target;
            }
            fund(rows);
        }
        assertState(payee, highest[0], 0, 0);
        assertState(other, highest[1], 0, 0);
        vm.assertEq(token.balanceOf(address(channels)), highest[0] + highest[1]);
    }

    /// The two ends of uint96 in one row beside an ordinary one: a carry would spoil the claimed total.
    function test_HoldsTheLargestDeposit() external {
        vm.prank(payer);
        token.approve(address(channels), 0);
        BottomlessToken bottomless = new BottomlessToken();
        bytes32[] memory rows = list(row(payee, type(uint96).max), row(other, type(uint96).max));
        vm.prank(payer);
        channels.fund(signer, address(bottomless), PERIOD, SALT, rows);
        IPaymentChannels.Terms memory terms = termsTo(payee);
        terms.token = address(bottomless);
        assertState(channels.channelId(terms), type(uint96).max, 0, 0);
        vm.prank(payer);
        channels.push(signer, address(bottomless), PERIOD, SALT, rows);
        assertState(channels.channelId(terms), type(uint96).max, type(uint96).max, 0);
    }
}

/// @dev Moves what it is asked to move.
contract BottomlessToken {
    mapping(address => uint256) public balanceOf;

    function transferFrom(address, address to, uint256 amount) external returns (bool) {
        balanceOf[to] += amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}
