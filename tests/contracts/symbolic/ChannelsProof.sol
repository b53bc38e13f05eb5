// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../../contracts/src/IPaymentChannels.sol";
import {ChannelRules} from "./ChannelRules.sol";

/// @title SOLVENT, CLAIM_MONO and NO_EARLY_EXIT, one step from any state
/// @notice Every call of the contract, with any arguments, by anybody, at any time, from any state.
///
/// Bounds: one row of any channel with any words; two rows, of one channel or two, for `requestClose` and `withdraw`; two
/// rows of given channels where the name says Two (different ones) or Twice (the same); one of a given channel for `relay`
/// and `claimOneProven`, whose proof is of a last leaf of 32 bytes in a tree of two. The signers of these, and the payee
/// of `relay`, are an account that says anything (a plain key is one that never says yes). By induction it holds after any
/// number of calls. RowsProof has two rows of one claim.
contract ChannelsProof is ChannelRules {
    address private constant FIRST = address(0x1111);
    address private constant SECOND = address(0x2222);

    function setUp() public override {
        super.setUp();
        payer = anybody("payer");
        signer = svm.createAddress("signer");
        vm.assume(signer != address(vm) && signer != address(svm) && signer != address(this));
        period = uint32(svm.createUint(32, "period"));
        salt = svm.createBytes32("salt");
        uint256 time = svm.createUint(40, "time");
        vm.assume(time < 2 ** 39);
        vm.warp(time);
    }

    // -------------------------------------------------------------------------------------------------------- the steps

    function check_fund(bytes32 a) external {
        Before memory before = look(idTo(payeeOf(a)), 0);
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.fund, (signer, address(token), period, salt, list(a))));
        assertFunded(before, done, a, 0);
    }

    function check_fundTwo(uint96 first, uint96 second) external {
        fund(word(FIRST, first), word(SECOND, second));
    }

    /// @custom:halmos --solver-timeout-branching 1s
    function check_fundTwice(uint96 first, uint96 second) external {
        fund(word(FIRST, first), word(FIRST, second));
    }

    function fund(bytes32 a, bytes32 b) private {
        Before memory before = lookAtKnown(a, b);
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.fund, (signer, address(token), period, salt, list(a, b))));
        assertFunded(before, done, a, b);
    }

    function check_fundOne(bytes32 key, bytes32 row) external {
        signer = payeeOf(key);
        vm.assume(signer != address(vm) && signer != address(svm) && signer != address(this));
        period = uint32(uint256(key));
        Before memory before = look(idTo(payeeOf(row)), 0);
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.fundOne, (address(token), key, salt, row)));
        assertFunded(before, done, row, 0);
    }

    function check_fundWithPermit(bytes32 a, IPaymentChannels.Permit calldata permit) external {
        Before memory before = look(idTo(payeeOf(a)), 0);
        vm.prank(payer);
        (bool done,) =
            send(abi.encodeCall(channels.fundWithPermit, (signer, address(token), period, salt, list(a), permit)));
        assertFunded(before, done, a, 0);
    }

    function check_fundWithAuthorization(bytes32 a, IPaymentChannels.Authorization calldata authorization) external {
        Before memory before = look(idTo(payeeOf(a)), 0);
        vm.prank(anybody("carrier"));
        (bool done,) = send(abi.encodeCall(channels.fundWithAuthorization, (fundingOf(a), authorization)));
        assertFunded(before, done, a, 0);
    }

    function check_fundWithPermit2(bytes32 a) external {
        Before memory before = look(idTo(payeeOf(a)), 0);
        IPaymentChannels.WitnessedPermit memory permit = IPaymentChannels.WitnessedPermit(
            svm.createUint256("amount"), svm.createUint256("nonce"), svm.createUint256("deadline"), new bytes(65)
        );
        vm.prank(anybody("carrier"));
        (bool done,) = send(abi.encodeCall(channels.fundWithPermit2, (fundingOf(a), permit)));
        assertFunded(before, done, a, 0);
    }

    function check_push(bytes32 a) external {
        Before memory before = look(idTo(payeeOf(a)), 0);
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.push, (signer, address(token), period, salt, list(a))));
        assertPaid(before, done, a, 0);
    }

    /// @custom:halmos --solver-timeout-branching 1s
    function check_pushTwice(uint96 first, uint96 second) external {
        (bytes32 a, bytes32 b) = (word(FIRST, first), word(FIRST, second));
        Before memory before = lookAtKnown(a, b);
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.push, (signer, address(token), period, salt, list(a, b))));
        assertPaid(before, done, a, b);
    }

    function check_claimOne(IPaymentChannels.Claim memory row) external {
        address caller = anybody("caller");
        Before memory before = look(idOf(row, caller), 0);
        vm.prank(caller);
        (bool done,) = send(abi.encodeCall(channels.claimOne, (address(token), row)));
        assertPaid(before, done, row.row, 0);
    }

    function rowOf(bytes32 row) private returns (IPaymentChannels.Claim memory) {
        return
            IPaymentChannels.Claim(
                payer, word(signer, period), row, salt, svm.createBytes32("r"), svm.createBytes32("vs")
            );
    }

    /// @dev A proof of the last leaf, of 32 bytes, of a tree of two: any words, signed by an account that says anything.
    function check_claimOneProven(uint96 total) external {
        bytes32 a = word(FIRST, total);
        Before memory before = lookAtKnown(a, 0);
        bytes memory names = svm.createBytes(64, "auditId, agreement");
        bytes memory shown = svm.createBytes(64, "leaf, path");
        bytes memory proof = abi.encodePacked(names, uint64(2), uint8(1), uint64(1), uint16(32), shown);
        vm.prank(anybody("caller"));
        (bool done,) = send(abi.encodeCall(channels.claimOneProven, (address(token), rowOf(a), proof)));
        assertPaid(before, done, a, 0);
    }

    /// @dev One channel in both rows, which one transfer pays.
    /// @custom:halmos --solver-timeout-branching 1s
    function check_claimTwice(uint96 first, uint96 second) external {
        (bytes32 a, bytes32 b) = (word(FIRST, first), word(FIRST, second));
        Before memory before = lookAtKnown(a, b);
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](2);
        (rows[0], rows[1]) = (rowOf(a), rowOf(b));
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.claim, (address(token), rows)));
        assertPaid(before, done, a, b);
    }

    /// @dev The payee is the account, too, which says anything to any fee.
    function check_relay(uint96 total, IPaymentChannels.Fee memory fee) external {
        bytes32 a = word(address(account), total);
        Before memory before = lookAtKnown(a, 0);
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](1);
        IPaymentChannels.Fee[] memory fees = new IPaymentChannels.Fee[](1);
        (rows[0], fees[0]) = (rowOf(a), fee);
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.relay, (address(token), rows, fees, new bytes[](0))));
        assertPaid(before, done, a, 0);
    }

    function check_requestClose(address a, address b) external {
        Before memory before = look(idTo(a), idTo(b));
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.requestClose, (signer, address(token), period, salt, list(a, b))));
        assertClosing(before, done);
    }

    function check_withdraw(address a, address b) external {
        Before memory before = look(idTo(a), idTo(b));
        vm.prank(payer);
        (bool done,) = send(abi.encodeCall(channels.withdraw, (signer, address(token), period, salt, list(a, b))));
        assertReturned(before, done, true);
    }

    function check_release(address payee) external {
        Before memory before = look(idTo(payee), 0);
        address caller = anybody("caller");
        vm.prank(caller);
        (bool done,) = send(
            abi.encodeCall(
                channels.release, (IPaymentChannels.Terms(payer, signer, payee, address(token), period, salt))
            )
        );
        assertReturned(before, done, false);
        assert(!done || caller == payee);
    }
}
