// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";
import {FeeToken} from "./support/Tokens.sol";

contract FundOneTest is ChannelsTest {
    function test_RevertWhen_TheSignerIsZero() external {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.ZeroSigner.selector));
        fundOne(keyOf(address(0), PERIOD), row(payee, 5));
    }

    function test_RevertWhen_ThePayeeIsZero() external {
        expectRefused(idOf(address(0)), IPaymentChannels.Reason.ZERO_PAYEE);
        fundOne(row(address(0), 5));
    }

    function test_WhenTheTargetIsAboveTheDeposit() external {
        expectFundedOne(row(payee, 5));
        vm.assertEq(fundOne(row(payee, 5)), 5);
        assertState(payee, 5, 0, 0);
        claim(signed(payee, 3));
        expectFundedOne(row(payee, 12));
        vm.assertEq(fundOne(row(payee, 12)), 7);
        assertState(payee, 12, 3, 0);
        vm.assertEq(token.balanceOf(address(channels)), 9);
    }

    function test_WhenTheTargetIsNotAboveTheDeposit() external {
        vm.assertEq(fundOne(row(payee, 0)), 0);
        fundOne(row(payee, 5));
        vm.assertEq(fundOne(row(payee, 5)), 0);
        vm.assertEq(fundOne(row(payee, 4)), 0);
        assertState(payee, 5, 0, 0);
        vm.assertEq(token.balanceOf(address(channels)), 5);
    }

    function test_WhenTheKeyHoldsMoreThanSignerAndPeriod() external {
        bytes32 odd = keyOf(signer, PERIOD) | bytes32(uint256(0xff) << 32) | bytes32(uint256(0xff) << 88);
        fundOne(odd, row(payee, 5));
        assertState(payee, 5, 0, 0);
    }

    function test_RevertGiven_TheChannelIsClosing() external {
        fund(payee, 5);
        requestClose(payee);
        expectRefused(idOf(payee), IPaymentChannels.Reason.CLOSING);
        fundOne(row(payee, 50));
    }

    function test_RevertGiven_TheTokenTakesAFee() external {
        token = new FeeToken();
        enrich(payer);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.DepositMismatch.selector, 1000, 990));
        fundOne(row(payee, 1000));
    }

    function test_RevertGiven_ThePayerHasApprovedTooLittle() external {
        vm.prank(payer);
        token.approve(address(channels), 4);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(channels), 4, 5)
        );
        fundOne(row(payee, 5));
        assertState(payee, 0, 0, 0);
    }

    function test_RevertGiven_TheTokenIsNoContract() external {
        token = IERC20(address(0xDEAD));
        vm.expectRevert();
        fundOne(row(payee, 5));
    }

    function testFuzz_ForAnyTargetAndPayee(address to, uint96 first, uint96 second) external {
        vm.assume(to != address(0));
        first = uint96(bound(first, 0, RICH / 4));
        second = uint96(bound(second, 0, RICH / 4));
        bytes32 salt = keccak256("second life");
        vm.prank(payer);
        uint256 batch = channels.fund(signer, address(token), PERIOD, salt, list(row(to, first)));
        vm.assertEq(fundOne(row(to, first)), batch);
        vm.prank(payer);
        batch = channels.fund(signer, address(token), PERIOD, salt, list(row(to, second)));
        vm.assertEq(fundOne(row(to, second)), batch);
        assertState(to, first > second ? first : second, 0, 0);
    }

    function fundOne(bytes32 row_) private returns (uint256) {
        return fundOne(keyOf(signer, PERIOD), row_);
    }

    function fundOne(bytes32 key, bytes32 row_) private returns (uint256) {
        vm.prank(payer);
        return channels.fundOne(address(token), key, SALT, row_);
    }

    function expectFundedOne(bytes32 row_) private {
        vm.expectEmit(address(channels));
        emit IPaymentChannels.FundedOne(payer, address(token), keyOf(signer, PERIOD), SALT, row_);
    }
}
