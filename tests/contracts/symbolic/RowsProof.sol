// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {MessageHashes} from "../../../contracts/src/MessageHashes.sol";
import {Symbolic} from "./Symbolic.sol";

/// @title ROW_ISOLATION, and SOLVENT with it, for any two rows of one call
/// @notice What becomes of a row is a function of that row and its own channel: the other row, whatever it is, and
/// whatever becomes of it, is not in it. The function is written down here a second time, from the design and not from
/// the contract, and asked of both rows, so that each is the first and the second. SOLVENT: what the token was told to
/// send, or has brought, is what both channels have grown by together, and no third channel has changed.
///
/// Bounds: two rows of two known channels, named in full, with any totals, signatures and states: what differs between
/// channels goes into hashes only. Payees differ, or are one that one transfer pays. Their signer is an account that says
/// anything (a plain key is one that never says yes). The proof of a row is none; or any 80 bytes, too few for a proof; or
/// of the last leaf, 32 unknown bytes, of a tree of two. Assumed besides what Symbolic assumes: whether the token pays
/// depends on the payee alone, and it has what it is told to send, which SOLVENT shows. SHA-256 is any function.
/// @custom:halmos --solver-timeout-branching 1s
contract RowsProof is Symbolic {
    struct Row {
        IPaymentChannels.Claim claim;
        bytes proof;
        bool answers; // the proof is none, or well-formed
        bytes32 condition;
        bytes32 id;
        IPaymentChannels.Channel was;
    }

    uint256 private constant HIGHEST_S = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    address private constant PAYER = address(0x3333);
    address private constant FIRST = address(0x1111);
    address private constant SECOND = address(0x2222);
    uint32 private constant PERIOD = 1 days;
    bytes32 private constant SALT = "salt";

    // ----------------------------------------------------------------------------------------------------------- claims

    function check_claimOfTwoPayees(uint96 a, uint96 b) external {
        claim(rowOf(FIRST, SALT, a), rowOf(SECOND, SALT, b));
    }

    function check_claimOfOnePayee(uint96 a, uint96 b) external {
        claim(rowOf(FIRST, SALT, a), rowOf(FIRST, "another salt", b));
    }

    function check_claimProvenBeforeNone(uint96 a, uint96 b) external {
        claimProven(proven(rowOf(FIRST, SALT, a)), rowOf(SECOND, SALT, b));
    }

    function check_claimProvenBehindNone(uint96 a, uint96 b) external {
        claimProven(rowOf(FIRST, SALT, a), proven(rowOf(SECOND, SALT, b)));
    }

    function check_claimProvenBeforeMalformed(uint96 a, uint96 b) external {
        claimProven(proven(rowOf(FIRST, SALT, a)), malformed(rowOf(SECOND, SALT, b)));
    }

    function check_claimProvenBehindMalformed(uint96 a, uint96 b) external {
        claimProven(malformed(rowOf(FIRST, SALT, a)), proven(rowOf(SECOND, SALT, b)));
    }

    function claim(Row memory a, Row memory b) private {
        (bytes32 other, IPaymentChannels.Channel memory third) = begin(a, b);
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](2);
        (rows[0], rows[1]) = (a.claim, b.claim);
        (bool done,) = address(channels).call(abi.encodeCall(channels.claim, (address(token), rows)));
        assert(both(done, isSame(third, state(other))));
        assertClaimed(a, b);
    }

    function claimProven(Row memory a, Row memory b) private {
        (bytes32 other, IPaymentChannels.Channel memory third) = begin(a, b);
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](2);
        bytes[] memory proofs = new bytes[](2);
        (rows[0], rows[1], proofs[0], proofs[1]) = (a.claim, b.claim, a.proof, b.proof);
        (bool done,) = address(channels).call(abi.encodeCall(channels.claimProven, (address(token), rows, proofs)));
        assert(both(done, isSame(third, state(other))));
        assertClaimed(a, b);
    }

    function assertClaimed(Row memory a, Row memory b) private view {
        (IPaymentChannels.Channel memory one, IPaymentChannels.Channel memory two) = (state(a.id), state(b.id));
        assert(both(isPaid(a, one, isSigned(a)), isPaid(b, two, isSigned(b))));
        assertSolvent(a, one, b, two);
    }

    // -------------------------------------------------------------------------------------------------- push and funding

    function check_pushOfTwo(uint96 a, uint96 b) external {
        (Row memory one, Row memory two) = (rowOf(FIRST, SALT, a), rowOf(SECOND, SALT, b));
        (bytes32 other, IPaymentChannels.Channel memory third) = begin(one, two);
        vm.prank(PAYER);
        (bool done,) = address(channels)
            .call(abi.encodeCall(channels.push, (address(account), address(token), PERIOD, SALT, list(one, two))));
        assert(both(done, isSame(third, state(other))));
        (IPaymentChannels.Channel memory first, IPaymentChannels.Channel memory second) = (state(one.id), state(two.id));
        assert(both(isPaid(one, first, true), isPaid(two, second, true)));
        assertSolvent(one, first, two, second);
    }

    /// @dev A call fails as a whole where the money does not arrive, whatever its rows are.
    function check_fundOfTwo(uint96 a, uint96 b) external {
        (Row memory one, Row memory two) = (rowOf(FIRST, SALT, a), rowOf(SECOND, SALT, b));
        (bytes32 other, IPaymentChannels.Channel memory third) = begin(one, two);
        vm.prank(PAYER);
        (bool done,) = address(channels)
            .call(abi.encodeCall(channels.fund, (address(account), address(token), PERIOD, SALT, list(one, two))));
        assert(isSame(third, state(other)));
        (IPaymentChannels.Channel memory first, IPaymentChannels.Channel memory second) = (state(one.id), state(two.id));
        assert(both(isFunded(one, first, done), isFunded(two, second, done)));
        assertSolvent(one, first, two, second);
    }

    // -------------------------------------------------------------------------------------------------- what a row is worth

    /// @dev A good row pays, up to its total, what its channel holds, if the token pays its payee.
    function isPaid(Row memory row, IPaymentChannels.Channel memory isNow, bool good) private view returns (bool) {
        uint96 total = totalOf(row);
        bool worth = both(both(total > row.was.claimed, row.was.deposit > row.was.claimed), good);
        bool paid = both(worth, !token.refuses(payeeOf(row)));
        bool allOfIt = both(total <= row.was.deposit, isNow.claimed == total);
        bool whatIsThere = both(total > row.was.deposit, isNow.claimed == row.was.deposit);
        bool right = either(both(paid, either(allOfIt, whatIsThere)), both(!paid, isNow.claimed == row.was.claimed));
        return both(right, both(isNow.deposit == row.was.deposit, isNow.closesAt == row.was.closesAt));
    }

    /// @dev A deposit rises to its target unless the channel is closing.
    function isFunded(Row memory row, IPaymentChannels.Channel memory isNow, bool done) private pure returns (bool) {
        bool raised = both(done, both(totalOf(row) > row.was.deposit, row.was.closesAt == 0));
        uint96 deposit = isNow.deposit;
        bool right = either(both(raised, deposit == totalOf(row)), both(!raised, deposit == row.was.deposit));
        return both(right, both(isNow.claimed == row.was.claimed, isNow.closesAt == row.was.closesAt));
    }

    function isSigned(Row memory row) private view returns (bool) {
        bytes32 digest = channels.voucherDigest(IPaymentChannels.Voucher(row.id, totalOf(row), row.condition));
        bytes32 s = row.claim.vs & bytes32(uint256(2 ** 255 - 1));
        address by = ecrecover(digest, uint8(27 + (uint256(row.claim.vs) >> 255)), row.claim.r, s);
        bool byKey = both(by == address(account), uint256(s) <= HIGHEST_S);
        return both(row.answers, either(byKey, account.accepts(digest)));
    }

    function assertSolvent(
        Row memory a,
        IPaymentChannels.Channel memory one,
        Row memory b,
        IPaymentChannels.Channel memory two
    ) private view {
        unchecked {
            uint256 gone = uint256(one.claimed) - a.was.claimed + two.claimed - b.was.claimed;
            uint256 come = uint256(one.deposit) - a.was.deposit + two.deposit - b.was.deposit;
            assert(both(both(token.gone() == gone, token.come() == come), token.bits() < 2 ** 128));
        }
    }

    // ------------------------------------------------------------------------------------------------------------ rows

    function rowOf(address payee, bytes32 salt, uint96 total) private returns (Row memory row) {
        bytes32 key = word(address(account), PERIOD);
        (bytes32 r, bytes32 vs) = (svm.createBytes32("r"), svm.createBytes32("vs"));
        row.claim = IPaymentChannels.Claim(PAYER, key, word(payee, total), salt, r, vs);
        row.answers = true;
        row.id =
            channels.channelId(IPaymentChannels.Terms(PAYER, address(account), payee, address(token), PERIOD, salt));
        row.was = soundState(row.id);
    }

    function malformed(Row memory row) private returns (Row memory) {
        (row.proof, row.answers) = (svm.createBytes(80, "no proof"), false);
        return row;
    }

    /// @dev Leaf 1 of a tree of two. Its hashes are computed here a second time.
    function proven(Row memory row) private returns (Row memory) {
        (bytes32 audit, bytes32 agreement) = (svm.createBytes32("audit"), svm.createBytes32("agreement"));
        (bytes32 leaf, bytes32 left) = (svm.createBytes32("leaf"), svm.createBytes32("left"));
        row.proof = abi.encodePacked(audit, agreement, uint64(2), uint8(1), uint64(1), uint16(32), leaf, left);
        bytes32 right = keccak256(abi.encodePacked(uint8(0), leaf));
        bytes32 root = keccak256(abi.encodePacked(uint8(1), left, right));
        bytes32 item = MessageHashes.item(agreement, root, 2, keccak256(abi.encode(uint256(1))));
        row.condition = typed(MessageHashes.challenge(audit, keccak256(abi.encode(item))));
        return row;
    }

    function typed(bytes32 structHash) private view returns (bytes32) {
        bytes32 kind = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        bytes memory domain = abi.encode(kind, keccak256("Tithebarn"), keccak256("1"), block.chainid, address(channels));
        return keccak256(abi.encodePacked(hex"1901", keccak256(domain), structHash));
    }

    /// @dev Any channel but those of the two rows, and its state.
    function begin(Row memory a, Row memory b) private returns (bytes32 other, IPaymentChannels.Channel memory third) {
        other = svm.createBytes32("other");
        vm.assume(other != a.id && other != b.id);
        third = state(other);
        token.begin();
    }

    function list(Row memory a, Row memory b) private pure returns (bytes32[] memory all) {
        all = new bytes32[](2);
        (all[0], all[1]) = (a.claim.row, b.claim.row);
    }

    function totalOf(Row memory row) private pure returns (uint96) {
        return uint96(uint256(row.claim.row));
    }

    function payeeOf(Row memory row) private pure returns (address) {
        return address(uint160(uint256(row.claim.row) >> 96));
    }
}
