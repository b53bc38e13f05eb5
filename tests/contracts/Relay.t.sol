// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {WillingAccount} from "./support/Accounts.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";
import {MessageHashesHarness} from "./support/MessageHashesHarness.sol";
import {BlocklistToken} from "./support/Tokens.sol";
import {Trees} from "./support/Trees.sol";

contract RelayTest is ChannelsTest {
    using Trees for Trees.Shard;

    uint256 internal constant PAYEE_KEY = uint256(keccak256("payee"));
    uint256 internal constant SECOND_KEY = uint256(keccak256("other payee"));

    MessageHashesHarness internal immutable hashes = new MessageHashesHarness();
    uint64 internal deadline;

    function setUp() public override {
        super.setUp();
        (payee, other) = (vm.addr(PAYEE_KEY), vm.addr(SECOND_KEY));
        deadline = uint64(block.timestamp + 1 hours);
        fund(list(row(payee, 100), row(other, 100)));
    }

    function test_WhenThereAreNoRows() external {
        expectRelayed(new bytes32[](0));
        vm.assertEq(relay(new IPaymentChannels.Claim[](0), new IPaymentChannels.Fee[](0)), 0);
    }

    function test_GivenPayeesThatLetTheCallerKeepAFee() external {
        IPaymentChannels.Claim[] memory rows = list(signed(payee, 40), signed(other, 50));
        IPaymentChannels.Fee[] memory fees = list(fee(PAYEE_KEY, payee, 40, 3, 5), fee(SECOND_KEY, other, 50, 4, 4));
        expectRelayed(list(idOf(payee), word(3, 40), idOf(other), word(4, 50)));
        vm.assertEq(relay(rows, fees), 90);
        assertPaid(37, 46, 7);
        assertState(payee, 100, 40, 0);
        assertState(other, 100, 50, 0);
    }

    function test_GivenPayeesThatLetTheCallerKeepAFee_ChargesSeveralRowsOfOnePayee() external {
        IPaymentChannels.Claim[] memory rows = list(signed(payee, 40), signed(payee, 60));
        (rows[1].payer, rows[1].row) = (address(0), row(address(0), 60));
        IPaymentChannels.Fee[] memory fees = list(fee(PAYEE_KEY, payee, 40, 3, 3), fee(PAYEE_KEY, payee, 60, 2, 3));
        vm.assertEq(relay(rows, fees), 60);
        assertPaid(55, 0, 5);
    }

    function test_GivenAFeeOfZeroOrNone() external {
        IPaymentChannels.Fee[] memory fees = new IPaymentChannels.Fee[](1);
        expectRelayed(list(idOf(payee), word(0, 40), idOf(other), word(0, 50)));
        vm.assertEq(relay(list(signed(payee, 40), signed(other, 50)), fees), 90);
        assertPaid(40, 50, 0);
    }

    function test_GivenTheFeeIsAllThatTheRowPays() external {
        claim(signed(payee, 30));
        vm.assertEq(relay(list(signed(payee, 40)), list(fee(PAYEE_KEY, payee, 40, 10, 10))), 10);
        assertPaid(30, 0, 10);
        assertState(payee, 100, 40, 0);
    }

    function test_GivenTheVoucherIsClaimedAgain() external {
        IPaymentChannels.Claim[] memory rows = list(signed(payee, 40));
        IPaymentChannels.Fee[] memory fees = list(fee(PAYEE_KEY, payee, 40, 3, 5));
        relay(rows, fees);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.STALE);
        expectRelayed(list(bytes32(0), 0));
        vm.assertEq(relay(rows, fees), 0);
        vm.assertEq(relay(list(signed(payee, 50)), fees), 0);
        assertPaid(37, 0, 3);
    }

    function test_GivenTheChannelHoldsLess() external {
        IPaymentChannels.Claim[] memory rows = list(signed(payee, 150));
        IPaymentChannels.Fee[] memory fees = list(fee(PAYEE_KEY, payee, 150, 3, 5));
        expectRelayed(list(idOf(payee), word(0, 100)));
        vm.assertEq(relay(rows, fees), 100);
        assertPaid(100, 0, 0);
        fund(payee, 120);
        vm.assertEq(relay(rows, fees), 20);
        assertPaid(120, 0, 0);
        fund(payee, 200);
        vm.assertEq(relay(rows, fees), 30);
        vm.assertEq(relay(rows, fees), 0);
        assertPaid(147, 0, 3);
    }

    function test_GivenARowIsNotWorthAnything() external {
        IPaymentChannels.Claim[] memory rows = list(signedBy(OTHER_KEY, payee, 40), signed(other, 50));
        IPaymentChannels.Fee[] memory fees = list(fee(PAYEE_KEY, payee, 40, 3, 5), fee(SECOND_KEY, other, 50, 4, 4));
        expectSkipped(idOf(payee), IPaymentChannels.Reason.BAD_SIGNATURE);
        vm.assertEq(relay(rows, fees), 50);
        assertPaid(0, 46, 4);
    }

    // ---------------------------------------------------------------------------------------------------- may not keep

    function test_WhenTheFeeIsAboveTheMaximum() external {
        skips(fee(PAYEE_KEY, payee, 40, 6, 5), IPaymentChannels.Reason.FEE_TOO_HIGH);
    }

    function test_WhenTheFeeIsAboveWhatTheRowPays() external {
        claim(signed(payee, 36));
        skips(fee(PAYEE_KEY, payee, 40, 5, 5), IPaymentChannels.Reason.FEE_TOO_HIGH);
    }

    function test_WhenTheDeadlineIsOver() external {
        vm.warp(deadline + 1);
        skips(fee(PAYEE_KEY, payee, 40, 3, 5), IPaymentChannels.Reason.FEE_EXPIRED);
        vm.warp(deadline);
        vm.assertEq(relay(list(signed(payee, 40)), list(fee(PAYEE_KEY, payee, 40, 3, 5))), 40);
    }

    function test_WhenAnotherRelayerCalls() external {
        IPaymentChannels.Fee memory one = fee(PAYEE_KEY, payee, 40, 3, 5);
        relayer = address(0xBAD);
        skips(one, IPaymentChannels.Reason.FEE_UNSIGNED);
    }

    function test_WhenTheFeeIsNotSignedOrOverSomethingElse() external {
        skips(fee(OTHER_KEY, payee, 40, 3, 5), IPaymentChannels.Reason.FEE_UNSIGNED);
        skips(fee(SIGNER_KEY, payee, 40, 3, 5), IPaymentChannels.Reason.FEE_UNSIGNED);
        skips(fee(PAYEE_KEY, other, 40, 3, 5), IPaymentChannels.Reason.FEE_UNSIGNED);
        skips(fee(PAYEE_KEY, payee, 41, 3, 5), IPaymentChannels.Reason.FEE_UNSIGNED);
        IPaymentChannels.Fee memory one = fee(PAYEE_KEY, payee, 40, 3, 5);
        one.terms = terms(3, 6, deadline);
        skips(one, IPaymentChannels.Reason.FEE_UNSIGNED);
        one.terms = terms(3, 5, deadline + 1);
        skips(one, IPaymentChannels.Reason.FEE_UNSIGNED);
        one.terms = terms(2, 5, deadline);
        vm.assertEq(relay(list(signed(payee, 40)), list(one)), 40);
        assertPaid(38, 6, 2);
    }

    function test_WhenTheFeeIsSignedOnAnotherChain() external {
        IPaymentChannels.Fee memory one = fee(PAYEE_KEY, payee, 40, 3, 5);
        vm.chainId(5);
        fund(payee, 100);
        IPaymentChannels.Claim[] memory rows = list(signed(payee, 40));
        expectSkipped(idOf(payee), IPaymentChannels.Reason.FEE_UNSIGNED);
        vm.assertEq(relay(rows, list(one)), 0);
    }

    // ---------------------------------------------------------------------------------------------------------- others

    function test_GivenThePayeeIsAnAccount() external {
        bytes32 digest = feeDigest(payee, 40, 5);
        (bytes32 r, bytes32 vs) = signDigest(OTHER_KEY, digest);
        vm.etch(payee, address(new WillingAccount(digest, abi.encodePacked(r, vs))).code);
        vm.assertEq(relay(list(signed(payee, 40)), list(IPaymentChannels.Fee(terms(3, 5, deadline), r, vs))), 40);
        assertPaid(37, 0, 3);
        claim(signed(payee, 50));
        skips(fee(OTHER_KEY, payee, 60, 3, 5), 60, IPaymentChannels.Reason.FEE_UNSIGNED);
    }

    function test_GivenAProofAndAFee() external {
        Trees.Shard memory shard = Trees.Shard("shard", 3, 5);
        uint64[] memory indices = new uint64[](1);
        IPaymentChannels.Item[] memory items = new IPaymentChannels.Item[](1);
        items[0] = IPaymentChannels.Item("agreement", shard.root(), 3, indices);
        bytes32 condition = hashes.challengeIn(IERC5267(address(channels)), IPaymentChannels.Challenge("audit", items));
        IPaymentChannels.Claim memory one = signed(payee, 40);
        (one.r, one.vs) =
            signDigest(SIGNER_KEY, channels.voucherDigest(IPaymentChannels.Voucher(idOf(payee), 40, condition)));
        bytes[] memory proofs = new bytes[](1);
        proofs[0] = abi.encodePacked(bytes32("audit"), shard.item("agreement", indices));
        IPaymentChannels.Fee[] memory fees = list(fee(PAYEE_KEY, payee, 40, 3, 5));
        vm.prank(relayer);
        channels.relay(address(token), list(one), fees, proofs);
        assertPaid(37, 0, 3);
    }

    function test_GivenTheTokenRefusesAPayee() external {
        BlocklistToken strict = new BlocklistToken();
        token = strict;
        enrich(payer);
        fund(list(row(payee, 100), row(other, 100)));
        IPaymentChannels.Claim[] memory rows = list(signed(payee, 40), signed(other, 50));
        IPaymentChannels.Fee[] memory fees = list(fee(PAYEE_KEY, payee, 40, 3, 5), fee(SECOND_KEY, other, 50, 4, 4));
        strict.block_(payee);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.TRANSFER_FAILED);
        expectRelayed(list(bytes32(0), 0, idOf(other), word(4, 50)));
        vm.assertEq(relay(rows, fees), 50);
        assertPaid(0, 46, 4);
        assertState(payee, 100, 0, 0);
        strict.unblock(payee);
        vm.assertEq(relay(rows, fees), 40);
        assertPaid(37, 46, 7);
    }

    function test_RevertGiven_TheTokenRefusesTheRelayer() external {
        BlocklistToken strict = new BlocklistToken();
        token = strict;
        enrich(payer);
        fund(payee, 100);
        strict.block_(relayer);
        IPaymentChannels.Claim[] memory rows = list(signed(payee, 40));
        IPaymentChannels.Fee[] memory fees = list(fee(PAYEE_KEY, payee, 40, 3, 5));
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.TransferFailed.selector, address(strict), relayer, 3));
        relay(rows, fees);
        assertState(payee, 100, 0, 0);
    }

    function testFuzz_ForAnyRowsGoodAndBad(
        uint96[12] calldata totals,
        uint8[12] calldata fees_,
        uint16 forged,
        uint16 unsigned,
        uint16 whom
    ) external {
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](12);
        IPaymentChannels.Fee[] memory fees = new IPaymentChannels.Fee[](12);
        uint256[2] memory claimed;
        uint256[2] memory net;
        for (uint256 i; i < 12; ++i) {
            uint256 which = (whom >> i) & 1;
            uint96 total = uint96(bound(totals[i], 0, 120));
            uint96 amount = uint96(bound(fees_[i], 0, 12));
            (address to, uint256 key) = which == 0 ? (payee, PAYEE_KEY) : (other, SECOND_KEY);
            rows[i] = signedBy((forged >> i) & 1 == 1 ? OTHER_KEY : SIGNER_KEY, to, total);
            fees[i] = fee((unsigned >> i) & 1 == 1 ? OTHER_KEY : key, to, total, amount, 10);
            uint256 worth = total < 100 ? total : 100;
            if ((forged >> i) & 1 == 1 || worth <= claimed[which]) continue;
            uint256 step = worth - claimed[which];
            if (total > 100) amount = 0;
            if (amount != 0 && (amount > 10 || amount > step || (unsigned >> i) & 1 == 1)) continue;
            claimed[which] = worth;
            net[which] += step - amount;
        }
        vm.assertEq(relay(rows, fees), claimed[0] + claimed[1]);
        assertPaid(net[0], net[1], claimed[0] + claimed[1] - net[0] - net[1]);
        assertState(payee, 100, claimed[0], 0);
        assertState(other, 100, claimed[1], 0);
        vm.assertEq(token.balanceOf(address(channels)), 200 - claimed[0] - claimed[1]);
    }

    // --------------------------------------------------------------------------------------------------------- helpers

    function relay(IPaymentChannels.Claim[] memory rows, IPaymentChannels.Fee[] memory fees)
        private
        returns (uint256 paid)
    {
        vm.prank(relayer);
        return channels.relay(address(token), rows, fees, new bytes[](0));
    }

    /// @dev The payee's row of 40 is skipped and its channel stays as it was; the row after it is paid.
    function skips(IPaymentChannels.Fee memory bad, IPaymentChannels.Reason reason) private {
        skips(bad, 40, reason);
    }

    function skips(IPaymentChannels.Fee memory bad, uint96 total, IPaymentChannels.Reason reason) private {
        IPaymentChannels.Channel memory before = state(payee);
        uint256 next = state(other).claimed + 1;
        expectSkipped(idOf(payee), reason);
        expectRelayed(list(bytes32(0), 0, idOf(other), word(0, next)));
        vm.assertEq(relay(list(signed(payee, total), signed(other, uint96(next))), list(bad)), 1);
        assertState(payee, before.deposit, before.claimed, before.closesAt);
    }

    function fee(uint256 key, address to, uint96 total, uint96 amount, uint96 maximum)
        private
        view
        returns (IPaymentChannels.Fee memory)
    {
        (bytes32 r, bytes32 vs) = signDigest(key, feeDigest(to, total, maximum));
        return IPaymentChannels.Fee(terms(amount, maximum, deadline), r, vs);
    }

    function feeDigest(address to, uint96 total, uint96 maximum) private view returns (bytes32) {
        return hashes.relayFeeIn(
            IERC5267(address(channels)), IPaymentChannels.RelayFee(relayer, idOf(to), total, maximum, deadline)
        );
    }

    function terms(uint96 amount, uint96 maximum, uint64 until) private pure returns (bytes32) {
        return bytes32(abi.encodePacked(amount, maximum, until));
    }

    function word(uint256 amount, uint256 total) private pure returns (bytes32) {
        return bytes32(amount << 96 | total);
    }

    function list(IPaymentChannels.Fee memory a) private pure returns (IPaymentChannels.Fee[] memory all) {
        all = new IPaymentChannels.Fee[](1);
        all[0] = a;
    }

    function list(IPaymentChannels.Fee memory a, IPaymentChannels.Fee memory b)
        private
        pure
        returns (IPaymentChannels.Fee[] memory all)
    {
        all = new IPaymentChannels.Fee[](2);
        (all[0], all[1]) = (a, b);
    }

    function expectRelayed(bytes32[] memory words) private {
        vm.expectEmit(address(channels));
        emit IPaymentChannels.Relayed(address(token), relayer, words);
    }

    function assertPaid(uint256 first, uint256 second, uint256 kept) private view {
        vm.assertEq(token.balanceOf(payee), first, "payee");
        vm.assertEq(token.balanceOf(other), second, "other");
        vm.assertEq(token.balanceOf(relayer), kept, "relayer");
    }
}
