// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {MessageHashesHarness} from "./support/MessageHashesHarness.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";
import {Trees} from "./support/Trees.sol";

contract ClaimProvenTest is ChannelsTest {
    using Trees for Trees.Shard;

    bytes32 internal constant AUDIT = keccak256("audit");
    bytes32 internal constant AGREEMENT = keccak256("agreement");
    uint256 internal constant HEAD = 32 + 32 + 8 + 1; // of a proof of one item, before its indices

    MessageHashesHarness internal immutable hashes = new MessageHashesHarness();
    Trees.Shard internal shard = Trees.Shard(keccak256("shard"), 11, 700);

    function setUp() public override {
        super.setUp();
        fund(list(row(payee, 100), row(other, 100)));
    }

    // ------------------------------------------------------------------------------------------------------ good ones

    function test_GivenTheProofIsRight_WhenItIsClaimedAlone() external {
        (IPaymentChannels.Claim memory one, bytes memory proof) = proven(payee, 40, one_(3));
        vm.expectEmit(address(channels));
        emit IPaymentChannels.Claimed(idOf(payee), 40);
        vm.assertEq(claimOneProven(one, proof), 40);
        vm.assertEq(token.balanceOf(payee), 40);
        assertState(payee, 100, 40, 0);
    }

    function test_GivenTheProofIsRight_TakesTheCallerForPayeeZero() external {
        (IPaymentChannels.Claim memory one, bytes memory proof) = proven(payee, 40, one_(3));
        one.row = row(address(0), 40);
        vm.prank(payee);
        vm.assertEq(channels.claimOneProven(address(token), one, proof), 40);
        vm.assertEq(token.balanceOf(payee), 40);
    }

    function test_GivenTheProofIsRight_WhenItIsClaimedAmongOthers() external {
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](3);
        bytes[] memory proofs = new bytes[](2);
        (rows[0], proofs[0]) = proven(payee, 30, one_(3));
        (rows[1], rows[2]) = (signed(payee, 40), signed(other, 7));
        bytes32[] memory words = new bytes32[](6);
        (words[0], words[2], words[4]) = (idOf(payee), idOf(payee), idOf(other));
        (words[1], words[3], words[5]) = (bytes32(uint256(30)), bytes32(uint256(40)), bytes32(uint256(7)));
        expectClaimedMany(words);
        vm.assertEq(channels.claimProven(address(token), rows, proofs), 47);
    }

    /// The condition of one row is not that of the next.
    function test_GivenTheProofIsRight_TakesRowsBeyondTheProofsForUnconditional() external {
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](2);
        bytes[] memory proofs = new bytes[](1);
        (rows[0], proofs[0]) = proven(payee, 30, one_(3));
        (rows[1],) = proven(other, 30, one_(3));
        expectSkipped(idOf(other), IPaymentChannels.Reason.BAD_SIGNATURE);
        vm.assertEq(channels.claimProven(address(token), rows, proofs), 30);
        rows[1] = signed(other, 7);
        vm.assertEq(channels.claimProven(address(token), rows, proofs), 7);
    }

    function test_GivenTheProofIsRight_WhenItHasSeveralItemsAndIndices() external {
        IPaymentChannels.Item[] memory items = new IPaymentChannels.Item[](3);
        items[0] = itemOf(shard, AGREEMENT, four(0, 4, 9, 10));
        items[1] = itemOf(Trees.Shard("b", 1, 1), keccak256("second"), one_(0));
        items[2] = itemOf(Trees.Shard("c", 4, 1024), keccak256("third"), two(2, 3));
        IPaymentChannels.Claim memory one =
            conditional(payee, 40, conditionOf(IPaymentChannels.Challenge(AUDIT, items)));
        vm.assertEq(claimOneProven(one, proofOfThree()), 40);
    }

    function proofOfThree() private view returns (bytes memory) {
        bytes memory first = bytes.concat(AUDIT, shard.item(AGREEMENT, four(0, 4, 9, 10)));
        bytes memory second = Trees.Shard("b", 1, 1).item(keccak256("second"), one_(0));
        bytes memory third = Trees.Shard("c", 4, 1024).item(keccak256("third"), two(2, 3));
        return bytes.concat(first, bytes.concat(second, third));
    }

    function testFuzz_ForAnyTreeAndAnyIndices(uint64 leafCount, uint16 lastSize, uint64[4] calldata picks, uint8 count)
        external
    {
        shard.leafCount = uint64(bound(leafCount, 1, 33));
        shard.lastSize = uint16(bound(lastSize, 1, 1024));
        (IPaymentChannels.Claim memory one, bytes memory proof) = proven(payee, 40, rising(picks, count));
        vm.assertEq(claimOneProven(one, proof), 40);
    }

    function test_GivenTheProofIsEmpty() external {
        vm.assertEq(claimOneProven(signed(payee, 40), ""), 40);
        (IPaymentChannels.Claim memory one,) = proven(payee, 50, one_(3));
        refused(one, "", IPaymentChannels.Reason.BAD_SIGNATURE);
        vm.assertEq(channels.claimProven(address(token), list(one), new bytes[](1)), 0);
    }

    function test_RevertGiven_AnUnconditionalVoucherBringsAProof() external {
        (, bytes memory proof) = proven(payee, 40, one_(3));
        refused(signed(payee, 40), proof, IPaymentChannels.Reason.BAD_SIGNATURE);
    }

    // ----------------------------------------------------------------------------------------------- of something else

    function test_RevertWhen_TheProofIsOfAnotherAuditAgreementIndexOrTreeSize() external {
        (IPaymentChannels.Claim memory one,) = proven(payee, 40, one_(3));
        bytes32 another = keccak256("another");
        refused(one, proofOf(another, AGREEMENT, one_(3)), IPaymentChannels.Reason.BAD_SIGNATURE);
        refused(one, proofOf(AUDIT, another, one_(3)), IPaymentChannels.Reason.BAD_SIGNATURE);
        refused(one, proofOf(AUDIT, AGREEMENT, one_(2)), IPaymentChannels.Reason.BAD_SIGNATURE);
        refused(one, proofOf(AUDIT, AGREEMENT, two(3, 4)), IPaymentChannels.Reason.BAD_SIGNATURE);
        // 9 to 16 leaves: the path of leaf 3 is as long in each of them.
        for (uint8 size = 9; size <= 16; ++size) {
            bytes memory proof = proofOf(AUDIT, AGREEMENT, one_(3));
            proof[32 + 32 + 7] = bytes1(size);
            if (size != 11) refused(one, proof, IPaymentChannels.Reason.BAD_SIGNATURE);
        }
        shard.seed = another;
        refused(one, proofOf(AUDIT, AGREEMENT, one_(3)), IPaymentChannels.Reason.BAD_SIGNATURE);
    }

    function testFuzz_RevertWhen_ABitIsFlipped(uint256 bit, uint64[4] calldata picks, uint8 count) external {
        (IPaymentChannels.Claim memory one, bytes memory proof) = proven(payee, 40, rising(picks, count));
        bit = bound(bit, 0, 8 * proof.length - 1);
        proof[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        neverPays(one, proof);
    }

    function test_RevertWhen_SiblingsAreSwapped() external {
        (IPaymentChannels.Claim memory one, bytes memory proof) = proven(payee, 40, one_(3));
        uint256 path = HEAD + 8 + 1024;
        for (uint256 i; i < 32; ++i) {
            (proof[path + i], proof[path + 32 + i]) = (proof[path + 32 + i], proof[path + i]);
        }
        refused(one, proof, IPaymentChannels.Reason.BAD_SIGNATURE);
    }

    /// An inner node is 64 bytes that hash to a node one level up: a shorter tree's last leaf might pretend to be it.
    function test_RevertWhen_AnInnerNodeIsShownAsALeaf() external {
        shard.leafCount = 2;
        (IPaymentChannels.Claim memory one,) = proven(payee, 40, one_(1));
        bytes32 left = sha256(abi.encodePacked(hex"00", shard.leaf(0)));
        bytes32 right = sha256(abi.encodePacked(hex"00", shard.leaf(1)));
        bytes memory proof = abi.encodePacked(AUDIT, AGREEMENT, uint64(1), uint8(1), uint64(0), uint16(64), left, right);
        refused(one, proof, IPaymentChannels.Reason.BAD_SIGNATURE);
        proof = abi.encodePacked(AUDIT, AGREEMENT, uint64(2), uint8(1), uint64(1), uint16(64), left, right);
        refused(one, proof, IPaymentChannels.Reason.BAD_PROOF);
    }

    function test_RevertWhen_ItemsStandInAnotherOrder() external {
        bytes memory first = shard.item(AGREEMENT, one_(3));
        bytes memory second = shard.item(keccak256("second"), one_(4));
        IPaymentChannels.Item[] memory items = new IPaymentChannels.Item[](2);
        items[0] = itemOf(shard, AGREEMENT, one_(3));
        items[1] = itemOf(shard, keccak256("second"), one_(4));
        IPaymentChannels.Claim memory one =
            conditional(payee, 40, conditionOf(IPaymentChannels.Challenge(AUDIT, items)));
        refused(one, abi.encodePacked(AUDIT, second, first), IPaymentChannels.Reason.BAD_SIGNATURE);
        refused(one, abi.encodePacked(AUDIT, first), IPaymentChannels.Reason.BAD_SIGNATURE);
        vm.assertEq(claimOneProven(one, abi.encodePacked(AUDIT, first, second)), 40);
    }

    // ------------------------------------------------------------------------------------------------------- malformed

    function test_RevertWhen_TheProofIsCutWherever() external {
        (IPaymentChannels.Claim memory one, bytes memory proof) = proven(payee, 40, two(3, 10));
        for (uint256 size = proof.length; size-- > 1;) {
            assembly {
                mstore(proof, size)
            }
            refused(one, proof, IPaymentChannels.Reason.BAD_PROOF);
        }
    }

    function testFuzz_RevertWhen_BytesFollow(bytes calldata more) external {
        (IPaymentChannels.Claim memory one, bytes memory proof) = proven(payee, 40, one_(3));
        vm.assume(more.length != 0);
        proof = abi.encodePacked(proof, more);
        neverPays(one, proof);
        if (more.length < 32 + 8 + 1 + 8) refused(one, proof, IPaymentChannels.Reason.BAD_PROOF);
    }

    function test_RevertWhen_ThereIsNoItemNoIndexOrMoreThanFour() external {
        (IPaymentChannels.Claim memory one,) = proven(payee, 40, one_(3));
        refused(one, abi.encodePacked(AUDIT), IPaymentChannels.Reason.BAD_PROOF);
        refused(one, proofOf(AUDIT, AGREEMENT, new uint64[](0)), IPaymentChannels.Reason.BAD_PROOF);
        uint64[] memory five = new uint64[](5);
        for (uint64 i; i < 5; ++i) {
            five[i] = i;
        }
        (one,) = proven(payee, 40, five);
        refused(one, proofOf(AUDIT, AGREEMENT, five), IPaymentChannels.Reason.BAD_PROOF);
    }

    function test_RevertWhen_IndicesDoNotRiseOrLieBeyondTheTree() external {
        IPaymentChannels.Claim memory one;
        bytes memory proof;
        (one, proof) = proven(payee, 40, two(3, 3));
        refused(one, proof, IPaymentChannels.Reason.BAD_PROOF);
        (one, proof) = proven(payee, 40, two(4, 3));
        refused(one, proof, IPaymentChannels.Reason.BAD_PROOF);
        (one, proof) = proven(payee, 40, one_(3));
        proof[HEAD + 7] = bytes1(uint8(11));
        refused(one, proof, IPaymentChannels.Reason.BAD_PROOF);
        (one, proof) = proven(payee, 40, one_(0));
        proof[HEAD - 2] = 0; // no leaves at all
        refused(one, proof, IPaymentChannels.Reason.BAD_PROOF);
    }

    function test_RevertWhen_TheLastLeafHasNoByteOrMoreThan1024() external {
        shard.lastSize = 0;
        (IPaymentChannels.Claim memory one, bytes memory proof) = proven(payee, 40, one_(10));
        refused(one, proof, IPaymentChannels.Reason.BAD_PROOF);
        // The claimed length is true, and the byte too many is there.
        proof = abi.encodePacked(AUDIT, AGREEMENT, uint64(1), uint8(1), uint64(0), uint16(1025), new bytes(1025));
        refused(one, proof, IPaymentChannels.Reason.BAD_PROOF);
    }

    function test_RevertWhen_TheLeavesOfAnItemLeadToDifferentRoots() external {
        (IPaymentChannels.Claim memory one,) = proven(payee, 40, two(3, 4));
        bytes memory proof = abi.encodePacked(
            AUDIT, AGREEMENT, uint64(11), uint8(2), uint64(3), uint64(4), shard.branch(3), shard.branch(5)
        );
        refused(one, proof, IPaymentChannels.Reason.BAD_PROOF);
    }

    function test_GivenBadProofsAmongGoodRows() external {
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](4);
        bytes[] memory proofs = new bytes[](4);
        (rows[0], proofs[0]) = proven(payee, 10, one_(3));
        proofs[0] = abi.encodePacked(proofs[0], hex"00");
        (rows[1], proofs[1]) = proven(payee, 20, one_(4));
        (rows[2], proofs[2]) = proven(other, 30, one_(5));
        proofs[2] = proofs[1];
        rows[3] = signed(other, 5);
        bytes32[] memory words = new bytes32[](8);
        (words[2], words[3]) = (idOf(payee), bytes32(uint256(20)));
        (words[6], words[7]) = (idOf(other), bytes32(uint256(5)));
        expectSkipped(idOf(payee), IPaymentChannels.Reason.BAD_PROOF);
        expectSkipped(idOf(other), IPaymentChannels.Reason.BAD_SIGNATURE);
        expectClaimedMany(words);
        vm.assertEq(channels.claimProven(address(token), rows, proofs), 25);
    }

    function testFuzz_ForAnyBytesAsAProof(bytes calldata noise) external {
        (IPaymentChannels.Claim memory one,) = proven(payee, 40, one_(3));
        neverPays(one, noise);
    }

    // --------------------------------------------------------------------------------------------------------- helpers

    function claimOneProven(IPaymentChannels.Claim memory one, bytes memory proof) private returns (uint256) {
        vm.prank(relayer);
        return channels.claimOneProven(address(token), one, proof);
    }

    function refused(IPaymentChannels.Claim memory one, bytes memory proof, IPaymentChannels.Reason reason) private {
        expectRefused(idOf(payee), reason);
        channels.claimOneProven(address(token), one, proof);
    }

    /// @dev Alone it reverts; among others it is skipped, and the row after it is paid as far as it is not yet.
    function neverPays(IPaymentChannels.Claim memory one, bytes memory proof) private {
        vm.prank(relayer);
        try channels.claimOneProven(address(token), one, proof) {
            revert("it was paid");
        } catch (bytes memory why) {
            vm.assertEq(bytes32(why), bytes32(IPaymentChannels.Refused.selector) | bytes32(uint256(idOf(payee)) >> 32));
        }
        bytes[] memory proofs = new bytes[](1);
        proofs[0] = proof;
        vm.assertEq(channels.claimProven(address(token), list(one, signed(other, 7)), proofs), 7);
        assertState(payee, 100, 0, 0);
    }

    /// @dev A voucher whose condition is the challenge of one item, and its proof.
    function proven(address to, uint96 total, uint64[] memory indices)
        private
        view
        returns (IPaymentChannels.Claim memory one, bytes memory proof)
    {
        IPaymentChannels.Item[] memory items = new IPaymentChannels.Item[](1);
        items[0] = itemOf(shard, AGREEMENT, indices);
        one = conditional(to, total, conditionOf(IPaymentChannels.Challenge(AUDIT, items)));
        proof = proofOf(AUDIT, AGREEMENT, indices);
    }

    function proofOf(bytes32 audit, bytes32 agreement, uint64[] memory indices) private view returns (bytes memory) {
        return abi.encodePacked(audit, shard.item(agreement, indices));
    }

    function itemOf(Trees.Shard memory of_, bytes32 agreement, uint64[] memory indices)
        private
        pure
        returns (IPaymentChannels.Item memory)
    {
        return IPaymentChannels.Item(agreement, of_.root(), of_.leafCount, indices);
    }

    function conditionOf(IPaymentChannels.Challenge memory challenge) private view returns (bytes32) {
        return hashes.challengeIn(IERC5267(address(channels)), challenge);
    }

    function conditional(address to, uint96 total, bytes32 condition)
        private
        view
        returns (IPaymentChannels.Claim memory one)
    {
        one = signed(to, total);
        bytes32 digest = channels.voucherDigest(IPaymentChannels.Voucher(idOf(to), total, condition));
        (one.r, one.vs) = signDigest(SIGNER_KEY, digest);
    }

    /// @dev One to four different indices of the shard, in order.
    function rising(uint64[4] calldata picks, uint8 count) private view returns (uint64[] memory indices) {
        uint256 most = shard.leafCount < 4 ? shard.leafCount : 4;
        indices = new uint64[](bound(count, 1, most));
        uint64 next;
        for (uint64 i; i < indices.length; ++i) {
            uint64 room = shard.leafCount - next - (uint64(indices.length) - 1 - i);
            indices[i] = next + picks[i] % room;
            next = indices[i] + 1;
        }
    }

    function one_(uint64 a) private pure returns (uint64[] memory all) {
        all = new uint64[](1);
        all[0] = a;
    }

    function two(uint64 a, uint64 b) private pure returns (uint64[] memory all) {
        all = new uint64[](2);
        (all[0], all[1]) = (a, b);
    }

    function four(uint64 a, uint64 b, uint64 c, uint64 d) private pure returns (uint64[] memory all) {
        all = new uint64[](4);
        (all[0], all[1], all[2], all[3]) = (a, b, c, d);
    }
}
