// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {Signatures} from "../../contracts/src/Signatures.sol";
import {AwkwardAccount, WillingAccount} from "./support/Accounts.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";
import {BlocklistToken} from "./support/Tokens.sol";

contract ClaimOneTest is ChannelsTest {
    uint256 internal constant HIGHEST_S = CURVE_ORDER / 2;

    function setUp() public override {
        super.setUp();
        fund(payee, 100);
    }

    function test_GivenTheVoucherIsGood() external {
        vm.expectEmit(address(channels));
        emit IPaymentChannels.Claimed(idOf(payee), 40);
        vm.assertEq(claimOne(signed(payee, 40)), 40);
        vm.assertEq(token.balanceOf(payee), 40);
        assertState(payee, 100, 40, 0);
    }

    function test_GivenTheVoucherIsGood_PaysWhatIsThere() external {
        vm.expectEmit(address(channels));
        emit IPaymentChannels.Claimed(idOf(payee), 100);
        vm.assertEq(claimOne(signed(payee, 250)), 100);
    }

    function test_GivenTheVoucherIsGood_TakesTheCallerForPayeeZero() external {
        IPaymentChannels.Claim memory one = signed(payee, 40);
        one.row = row(address(0), 40);
        vm.prank(payee);
        vm.assertEq(channels.claimOne(address(token), one), 40);
        vm.assertEq(token.balanceOf(payee), 40);
    }

    function test_RevertGiven_TheRowWouldBeSkipped() external {
        IPaymentChannels.Claim memory one = signed(payee, 40);
        claimOne(one);
        expectRefused(idOf(payee), IPaymentChannels.Reason.STALE);
        claimOne(one);

        one = signedBy(OTHER_KEY, payee, 50);
        expectRefused(idOf(payee), IPaymentChannels.Reason.BAD_SIGNATURE);
        claimOne(one);

        one = signed(other, 50);
        expectRefused(idOf(other), IPaymentChannels.Reason.EMPTY);
        claimOne(one);

        one = signed(address(0), 50);
        expectRefused(idOf(relayer), IPaymentChannels.Reason.EMPTY);
        claimOne(one);
    }

    function test_RevertGiven_TheTokenRefusesThePayee() external {
        BlocklistToken strict = new BlocklistToken();
        token = strict;
        enrich(payer);
        fund(payee, 100);
        strict.block_(payee);
        IPaymentChannels.Claim memory one = signed(payee, 40);
        expectRefused(idOf(payee), IPaymentChannels.Reason.TRANSFER_FAILED);
        claimOne(one);
        assertState(payee, 100, 0, 0);
    }

    function testFuzz_ForAnyTotal(uint96 first, uint96 second) external {
        fund(other, 100);
        IPaymentChannels.Claim[2] memory alone = [signed(payee, first), signed(payee, second)];
        for (uint256 i; i < 2; ++i) {
            uint256 before = token.balanceOf(payee);
            vm.prank(relayer);
            try channels.claimOne(address(token), alone[i]) returns (uint256 paid) {
                vm.assertTrue(paid > 0);
                vm.assertEq(token.balanceOf(payee), before + paid);
            } catch {}
        }
        claim(list(signed(other, first), signed(other, second)));
        vm.assertEq(token.balanceOf(other), token.balanceOf(payee));
    }

    // ------------------------------------------------------------------------------------------------------ signatures

    /// The 255 bits of EIP-2098 leave room for very few s of the upper half. Those are refused as well, though a plain
    /// ecrecover takes them.
    function testFuzz_WhenSIsInTheUpperHalf(bytes32 digest, uint256 above, bool odd) external view {
        bytes32 r = signed(payee, 40).r;
        uint256 s = HIGHEST_S + bound(above, 1, type(uint256).max / 2 - HIGHEST_S);
        uint256 parity = odd ? 1 << 255 : 0;
        address malleated = ecrecover(digest, odd ? 28 : 27, r, bytes32(s));
        vm.assertTrue(malleated != address(0));
        vm.assertTrue(!Signatures.byKey(malleated, digest, r, bytes32(s | parity)));

        address last = ecrecover(digest, odd ? 28 : 27, r, bytes32(HIGHEST_S));
        vm.assertTrue(Signatures.byKey(last, digest, r, bytes32(HIGHEST_S | parity)));
    }

    function test_RevertWhen_TheParityIsFlipped() external {
        IPaymentChannels.Claim memory one = signed(payee, 40);
        one.vs ^= bytes32(uint256(1) << 255);
        expectRefused(idOf(payee), IPaymentChannels.Reason.BAD_SIGNATURE);
        claimOne(one);
    }

    function test_RevertWhen_TheSignatureIsZero() external {
        IPaymentChannels.Claim memory one = signed(payee, 40);
        (one.r, one.vs) = (0, 0);
        expectRefused(idOf(payee), IPaymentChannels.Reason.BAD_SIGNATURE);
        claimOne(one);

        IPaymentChannels.Terms memory terms = termsTo(payee);
        terms.signer = address(0);
        one.key = keyOf(address(0), PERIOD);
        expectRefused(channels.channelId(terms), IPaymentChannels.Reason.EMPTY);
        claimOne(one);
    }

    function test_RevertWhen_ItIsOverAnotherChain() external {
        IPaymentChannels.Claim memory one = signed(payee, 40);
        vm.chainId(5);
        expectRefused(idOf(payee), IPaymentChannels.Reason.EMPTY);
        claimOne(one);
        vm.chainId(31_337);
        vm.assertEq(claimOne(one), 40);
    }

    function test_RevertWhen_ItIsOverAnotherContract() external {
        IPaymentChannels.Claim memory one = signed(payee, 40);
        IPaymentChannels twin = IPaymentChannels(vm.deployCode("PaymentChannels.sol:PaymentChannels"));
        vm.prank(payer);
        token.approve(address(twin), 100);
        vm.prank(payer);
        twin.fund(signer, address(token), PERIOD, SALT, list(row(payee, 100)));
        expectRefused(twin.channelId(termsTo(payee)), IPaymentChannels.Reason.BAD_SIGNATURE);
        twin.claimOne(address(token), one);
    }

    function test_WhenTheSignerIsAnAccount_ThatAccepts() external {
        // The account has to know its digest, and the digest its address: place its code where its key would be.
        IPaymentChannels.Claim memory one = signedBy(OTHER_KEY, payee, 40);
        bytes32 digest = channels.voucherDigest(IPaymentChannels.Voucher(idOf(payee), 40, 0));
        WillingAccount account = new WillingAccount(digest, abi.encodePacked(one.r, one.vs));
        vm.etch(signer, address(account).code);
        vm.assertEq(claimOne(one), 40);

        one = signedBy(OTHER_KEY, payee, 41);
        expectRefused(idOf(payee), IPaymentChannels.Reason.BAD_SIGNATURE);
        claimOne(one);
    }

    function test_WhenTheSignerIsAnAccount_ThatHasAKey() external {
        AwkwardAccount account = new AwkwardAccount(AwkwardAccount.Manner.REVERTS);
        vm.etch(signer, address(account).code);
        vm.assertEq(claimOne(signed(payee, 40)), 40);
        // EIP-7702: code that delegates.
        vm.etch(signer, abi.encodePacked(hex"ef0100", address(account)));
        vm.assertEq(claimOne(signed(payee, 60)), 20);
    }

    function test_RevertWhen_TheAccountDoesNotAccept() external {
        IPaymentChannels.Claim memory one = signedBy(OTHER_KEY, payee, 40);
        for (uint256 manner; manner <= uint256(type(AwkwardAccount.Manner).max); ++manner) {
            vm.etch(signer, address(new AwkwardAccount(AwkwardAccount.Manner(manner))).code);
            expectRefused(idOf(payee), IPaymentChannels.Reason.BAD_SIGNATURE);
            claimOne(one);
        }
    }

    function test_WhenAnAccountBurnsOrFloods() external {
        fund(list(row(payee, 100), row(other, 100)));
        IPaymentChannels.Claim[] memory rows = list(signedBy(OTHER_KEY, payee, 40), signedBy(OTHER_KEY, other, 40));
        uint256 plain = gasOf(rows);
        AwkwardAccount.Manner[2] memory manners = [AwkwardAccount.Manner.BURNS, AwkwardAccount.Manner.FLOODS];
        for (uint256 i; i < 2; ++i) {
            vm.etch(signer, address(new AwkwardAccount(manners[i])).code);
            vm.assertLe(gasOf(rows), plain + 2 * 100_000 + 3000);
        }
    }

    function gasOf(IPaymentChannels.Claim[] memory rows) private returns (uint256 used) {
        vm.prank(relayer);
        uint256 before = gasleft();
        uint256 paid = channels.claim(address(token), rows);
        used = before - gasleft();
        vm.assertEq(paid, 0);
    }
}
