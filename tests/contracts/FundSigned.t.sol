// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

import {IPermit2, PERMIT2} from "../../contracts/src/Authorizers.sol";
import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {MessageHashes} from "../../contracts/src/MessageHashes.sol";
import {WillingAccount} from "./support/Accounts.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";
import {MessageHashesHarness} from "./support/MessageHashesHarness.sol";
import {Permit2Code} from "./support/Permit2Code.sol";
import {AuthorizedToken, BlocklistToken, FallbackToken} from "./support/Tokens.sol";

abstract contract FundSignedTest is ChannelsTest {
    uint256 internal constant PAYER_KEY = uint256(keccak256("payer"));

    MessageHashesHarness internal immutable hashes = new MessageHashesHarness();

    function setUp() public virtual override {
        payer = vm.addr(PAYER_KEY);
        super.setUp();
    }

    function funding(bytes32[] memory rows) internal view returns (IPaymentChannels.Funding memory) {
        return IPaymentChannels.Funding(payer, signer, address(token), PERIOD, SALT, rows);
    }

    function funding() internal view returns (IPaymentChannels.Funding memory) {
        return funding(list(row(payee, 100), row(other, 50)));
    }

    /// @dev Fundings that differ from the one above in one place each, and which ask for as much.
    function others() internal view returns (IPaymentChannels.Funding[7] memory all) {
        for (uint256 i; i < 7; ++i) {
            all[i] = funding();
        }
        all[0].payer = relayer;
        all[1].signer = relayer;
        all[2].challengePeriod = 1;
        all[3].salt = keccak256("second life");
        all[4].rows[0] = row(relayer, 100);
        (all[5].rows[0], all[5].rows[1]) = (row(payee, 50), row(other, 100));
        all[6].rows = list(row(payee, 100), row(other, 50), row(relayer, 0), row(relayer, 0));
    }

    function assertFunded() internal view {
        assertState(payee, 100, 0, 0);
        assertState(other, 50, 0, 0);
        vm.assertEq(token.balanceOf(address(channels)), 150);
        vm.assertEq(token.balanceOf(payer), RICH - 150);
    }

    function assertUntouched() internal view {
        vm.assertEq(token.balanceOf(address(channels)), 0);
        vm.assertEq(token.balanceOf(payer), RICH);
    }
}

contract FundWithPermitTest is FundSignedTest {
    bytes32 private constant PERMIT_TYPE =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    function setUp() public override {
        super.setUp();
        vm.prank(payer);
        token.approve(address(channels), 0);
    }

    function test_FundsByThePermitsAllowance() external {
        expectFunded(list(row(payee, 100), row(other, 50)));
        vm.assertEq(fundWithPermit(payer, permit(150)), 150);
        assertFunded();
    }

    function test_GivenSomebodyHasPresentedThePermit() external {
        IPaymentChannels.Permit memory signed_ = permit(150);
        present(signed_);
        vm.assertEq(fundWithPermit(payer, signed_), 150);
        assertFunded();
    }

    function test_GivenThePermitIsBadAndTheAllowanceSuffices() external {
        vm.prank(payer);
        token.approve(address(channels), 150);
        IPaymentChannels.Permit memory bad = permit(150);
        bad.deadline += 1;
        vm.assertEq(fundWithPermit(payer, bad), 150);
        assertFunded();
    }

    function test_RevertGiven_ThePermitIsBadAndTheAllowanceDoesNotSuffice() external {
        IPaymentChannels.Permit memory bad = permit(149);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(channels), 149, 150)
        );
        fundWithPermit(payer, bad);
        assertUntouched();
    }

    function test_GivenTheTokenKnowsNoPermit() external {
        token = new BlocklistToken();
        enrich(payer);
        vm.assertEq(fundWithPermit(payer, IPaymentChannels.Permit(150, 0, 27, 0, 0)), 150);
        assertFunded();
    }

    function test_GivenNothingIsToBeMoved() external {
        fundWithPermit(payer, permit(150));
        IPaymentChannels.Permit memory next = permit(1000);
        vm.assertEq(fundWithPermit(payer, next), 0);
        present(next); // still good
    }

    function test_RevertWhen_AnotherPresentsThePayersPermit() external {
        IPaymentChannels.Permit memory theirs = permit(150);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(channels), 0, 150)
        );
        fundWithPermit(relayer, theirs);
        assertUntouched();
    }

    function fundWithPermit(address caller, IPaymentChannels.Permit memory signed_) private returns (uint256) {
        vm.prank(caller);
        return
            channels.fundWithPermit(
                signer, address(token), PERIOD, SALT, list(row(payee, 100), row(other, 50)), signed_
            );
    }

    function present(IPaymentChannels.Permit memory it) private {
        IERC20Permit(address(token)).permit(payer, address(channels), it.value, it.deadline, it.v, it.r, it.s);
    }

    function permit(uint256 value) private view returns (IPaymentChannels.Permit memory it) {
        IERC20Permit named = IERC20Permit(address(token));
        (it.value, it.deadline) = (value, block.timestamp);
        bytes32 structHash =
            keccak256(abi.encode(PERMIT_TYPE, payer, address(channels), value, named.nonces(payer), it.deadline));
        (it.v, it.r, it.s) =
            vm.sign(PAYER_KEY, keccak256(abi.encodePacked(hex"1901", named.DOMAIN_SEPARATOR(), structHash)));
    }
}

contract FundWithAuthorizationTest is FundSignedTest {
    AuthorizedToken private authorized;

    function setUp() public override {
        super.setUp();
        authorized = new AuthorizedToken();
        token = authorized;
        require(token.transfer(payer, RICH), "no money");
    }

    function test_FundsABatchWhoeverCalls() external {
        IPaymentChannels.Authorization memory signed_ = authorize(funding(), 150);
        expectFunded(funding().rows);
        vm.assertEq(present(funding(), signed_), 150);
        assertFunded();
    }

    function test_RevertGiven_ItWasUsed() external {
        IPaymentChannels.Authorization memory signed_ = authorize(funding(), 150);
        present(funding(), signed_);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.NothingToFund.selector));
        present(funding(), signed_);
        assertFunded();
    }

    function test_GivenSomeTargetsAreReached() external {
        present(funding(list(row(other, 50))), authorize(funding(list(row(other, 50))), 50));
        vm.assertEq(present(funding(), authorize(funding(), 100)), 100);
        assertFunded();
    }

    function test_RevertWhen_ItIsNotYetOrNoLongerValid() external {
        IPaymentChannels.Authorization memory signed_ = authorize(funding(), 150);
        vm.warp(signed_.validAfter);
        vm.expectRevert("authorization is not yet valid");
        present(funding(), signed_);
        vm.warp(signed_.validBefore);
        vm.expectRevert("authorization is expired");
        present(funding(), signed_);
        assertUntouched();
    }

    function test_RevertWhen_ItIsNotWhatWasSigned() external {
        IPaymentChannels.Authorization memory signed_ = authorize(funding(), 150);
        IPaymentChannels.Funding[7] memory all = others();
        for (uint256 i; i < 7; ++i) {
            vm.expectRevert("invalid signature");
            present(all[i], signed_);
        }
        assertUntouched();
    }

    function testFuzz_ForAnyRowsThatAreNotThoseSigned(bytes32[] calldata rows) external {
        IPaymentChannels.Authorization memory signed_ = authorize(funding(), 150);
        vm.assume(keccak256(abi.encodePacked(rows)) != keccak256(abi.encodePacked(funding().rows)));
        vm.expectRevert();
        present(funding(rows), signed_);
        assertUntouched();
    }

    function test_RevertWhen_TheSumIsNotTheOneSigned() external {
        IPaymentChannels.Authorization memory more = authorize(funding(), 151);
        vm.expectRevert("invalid signature");
        present(funding(), more);
        assertUntouched();
    }

    function test_RevertWhen_ItIsPresentedToTheTokenByAnother() external {
        IPaymentChannels.Authorization memory it = authorize(funding(), 150);
        bytes32 nonce = hashes.fundingIn(IERC5267(address(channels)), funding());
        vm.expectRevert("caller must be the payee");
        authorized.receiveWithAuthorization(
            payer, address(channels), 150, it.validAfter, it.validBefore, nonce, it.v, it.r, it.s
        );
    }

    function test_RevertWhen_NothingIsToBeMoved() external {
        IPaymentChannels.Funding memory none = funding(new bytes32[](0));
        IPaymentChannels.Authorization memory signed_ = authorize(none, 0);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.NothingToFund.selector));
        present(none, signed_);
        none = funding(list(row(payee, 0)));
        signed_ = authorize(none, 0);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.NothingToFund.selector));
        present(none, signed_);
    }

    function test_RevertWhen_TheSignerIsZero() external {
        IPaymentChannels.Funding memory it = funding();
        it.signer = address(0);
        IPaymentChannels.Authorization memory signed_ = authorize(it, 150);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.ZeroSigner.selector));
        present(it, signed_);
    }

    /// Wrapped ether takes any call for a deposit of nothing.
    function test_RevertGiven_ATokenThatKnowsNoAuthorizationYetAnswers() external {
        FallbackToken answering = new FallbackToken();
        token = answering;
        enrich(payer);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.DepositMismatch.selector, 150, 0));
        present(funding(), IPaymentChannels.Authorization(0, type(uint256).max, 27, 0, 0));
        assertUntouched();
    }

    function present(IPaymentChannels.Funding memory it, IPaymentChannels.Authorization memory signed_)
        private
        returns (uint256)
    {
        vm.prank(relayer);
        return channels.fundWithAuthorization(it, signed_);
    }

    function authorize(IPaymentChannels.Funding memory what, uint256 sum)
        private
        view
        returns (IPaymentChannels.Authorization memory it)
    {
        (it.validAfter, it.validBefore) = (block.timestamp - 1, block.timestamp + 1);
        bytes32 nonce = hashes.fundingIn(IERC5267(address(channels)), what);
        (it.v, it.r, it.s) = vm.sign(
            PAYER_KEY,
            authorized.authorizationDigest(payer, address(channels), sum, it.validAfter, it.validBefore, nonce)
        );
    }
}

contract FundWithPermit2Test is FundSignedTest {
    bytes32 private constant TOKEN_TYPE = keccak256("TokenPermissions(address token,uint256 amount)");
    bytes32 private constant TRANSFER_TYPE = keccak256(
        "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,"
        "Funding witness)"
        "Funding(address payer,address signer,address token,uint32 challengePeriod,bytes32 salt,bytes32[] rows)"
        "TokenPermissions(address token,uint256 amount)"
    );

    function setUp() public override {
        super.setUp();
        vm.etch(address(PERMIT2), new Permit2Code().runtime());
        vm.prank(payer);
        token.approve(address(PERMIT2), type(uint256).max);
        // Nobody may use this one by a signature that is not its owner's.
        vm.prank(relayer);
        token.approve(address(PERMIT2), type(uint256).max);
    }

    function test_FundsABatchWhoeverCalls() external {
        IPaymentChannels.WitnessedPermit memory signed_ = permit(funding(), 150);
        expectFunded(funding().rows);
        vm.assertEq(present(funding(), signed_), 150);
        assertFunded();
    }

    function test_FundsLessThanTheAmountSigned() external {
        fund(other, 50);
        vm.assertEq(present(funding(), permit(funding(), 150)), 100);
        assertFunded();
    }

    function test_GivenThePayerIsAnAccount() external {
        bytes32 digest = digestOf(address(channels), funding(), 150, 7, block.timestamp);
        bytes memory signature = "whatever the account likes";
        vm.etch(payer, address(new WillingAccount(digest, signature)).code);
        vm.assertEq(present(funding(), IPaymentChannels.WitnessedPermit(150, 7, block.timestamp, signature)), 150);
        assertFunded();
    }

    function test_RevertGiven_ItWasUsed() external {
        IPaymentChannels.Funding memory it = funding(list(row(payee, 100)));
        IPaymentChannels.WitnessedPermit memory signed_ = permit(it, 150);
        present(it, signed_);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.NothingToFund.selector));
        present(it, signed_);
        // Nor for the next life of the same rows, on a contract that has forgotten the first.
        channels = IPaymentChannels(vm.deployCode("PaymentChannels.sol:PaymentChannels"));
        vm.expectRevert();
        present(it, signed_);
    }

    function test_RevertWhen_ItIsExpired() external {
        IPaymentChannels.WitnessedPermit memory signed_ = permit(funding(), 150);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSignature("SignatureExpired(uint256)", block.timestamp - 1));
        present(funding(), signed_);
    }

    function test_RevertWhen_ItIsNotWhatWasSigned() external {
        require(token.transfer(relayer, 1000), "no money");
        IPaymentChannels.WitnessedPermit memory signed_ = permit(funding(), 150);
        IPaymentChannels.Funding[7] memory all = others();
        for (uint256 i; i < 7; ++i) {
            vm.expectRevert(abi.encodeWithSignature("InvalidSigner()"));
            present(all[i], signed_);
        }
        signed_.amount += 1;
        vm.expectRevert(abi.encodeWithSignature("InvalidSigner()"));
        present(funding(), signed_);
        assertUntouched();
        vm.assertEq(token.balanceOf(relayer), 1000);
    }

    function test_RevertWhen_ItIsForAnotherToken() external {
        IPaymentChannels.WitnessedPermit memory signed_ = permit(funding(), 150);
        token = new BlocklistToken();
        require(token.transfer(payer, RICH), "no money");
        vm.prank(payer);
        token.approve(address(PERMIT2), type(uint256).max);
        vm.expectRevert(abi.encodeWithSignature("InvalidSigner()"));
        present(funding(), signed_);
        assertUntouched();
    }

    function testFuzz_ForAnyRowsThatAreNotThoseSigned(bytes32[] calldata rows) external {
        IPaymentChannels.WitnessedPermit memory signed_ = permit(funding(), RICH);
        vm.assume(keccak256(abi.encodePacked(rows)) != keccak256(abi.encodePacked(funding().rows)));
        vm.expectRevert();
        present(funding(rows), signed_);
        assertUntouched();
    }

    function test_RevertWhen_TheSumIsAboveTheAmountSigned() external {
        IPaymentChannels.WitnessedPermit memory signed_ = permit(funding(), 149);
        vm.expectRevert(abi.encodeWithSignature("InvalidAmount(uint256)", 149));
        present(funding(), signed_);
        assertUntouched();
    }

    function test_RevertWhen_AnotherContractPresentsIt() external {
        IPaymentChannels.WitnessedPermit memory it = permit(funding(), 150);
        bytes32 witness = structHashOf(funding());
        vm.expectRevert(abi.encodeWithSignature("InvalidSigner()"));
        PERMIT2.permitWitnessTransferFrom(
            IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(address(token), 150), it.nonce, it.deadline),
            IPermit2.SignatureTransferDetails(address(this), 150),
            payer,
            witness,
            "Funding witness)Funding(address payer,address signer,address token,uint32 challengePeriod,bytes32 salt,"
            "bytes32[] rows)TokenPermissions(address token,uint256 amount)",
            it.signature
        );
    }

    function test_RevertWhen_NothingIsToBeMoved() external {
        IPaymentChannels.Funding memory none = funding(list(row(payee, 0)));
        IPaymentChannels.WitnessedPermit memory signed_ = permit(none, 150);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.NothingToFund.selector));
        present(none, signed_);
    }

    function present(IPaymentChannels.Funding memory it, IPaymentChannels.WitnessedPermit memory signed_)
        private
        returns (uint256)
    {
        vm.prank(relayer);
        return channels.fundWithPermit2(it, signed_);
    }

    function permit(IPaymentChannels.Funding memory what, uint256 amount)
        private
        view
        returns (IPaymentChannels.WitnessedPermit memory it)
    {
        (it.amount, it.nonce, it.deadline) = (amount, 7, block.timestamp);
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(PAYER_KEY, digestOf(address(channels), what, amount, it.nonce, it.deadline));
        it.signature = abi.encodePacked(r, s, v);
    }

    function digestOf(
        address spender,
        IPaymentChannels.Funding memory what,
        uint256 amount,
        uint256 nonce,
        uint256 deadline
    ) private view returns (bytes32) {
        bytes32 permitted = keccak256(abi.encode(TOKEN_TYPE, address(token), amount));
        bytes32 structHash =
            keccak256(abi.encode(TRANSFER_TYPE, permitted, spender, nonce, deadline, structHashOf(what)));
        bytes32 domain = IERC20Permit(address(PERMIT2)).DOMAIN_SEPARATOR();
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function structHashOf(IPaymentChannels.Funding memory it) private pure returns (bytes32) {
        return keccak256(
            abi.encode(
                MessageHashes.FUNDING_TYPE,
                it.payer,
                it.signer,
                it.token,
                it.challengePeriod,
                it.salt,
                keccak256(abi.encodePacked(it.rows))
            )
        );
    }
}
