// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {Signatures} from "../../contracts/src/Signatures.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";
import {Messages} from "./support/Messages.sol";
import {BlocklistToken} from "./support/Tokens.sol";
import {Vm} from "./support/Vm.sol";

/// @dev What faults put into the contract by rule got past all other tests: see docs/mutation.md.
contract EdgesTest is ChannelsTest {
    /// @dev Half the order of the curve, rounded down.
    uint256 private constant HALF = CURVE_ORDER / 2;
    uint256 private constant ENTRIES = 2; // the slot of the channels' mapping, behind two strings of OpenZeppelin's EIP712
    address private constant NO_CONTRACT = address(0xDEAD);

    // ----------------------------------------------------------------------------------------------- one unit, or none

    function test_MovesASingleUnit() external {
        vm.assertEq(fund(payee, 1), 1);
        vm.assertEq(token.balanceOf(address(channels)), 1);
        requestClose(payee);
        vm.warp(block.timestamp + PERIOD);
        vm.assertEq(withdraw(payee), 1);
        vm.assertEq(token.balanceOf(payer), RICH);
    }

    function test_AsksNoTokenToMoveNothing() external {
        vm.assertEq(channels.fund(signer, NO_CONTRACT, PERIOD, SALT, new bytes32[](0)), 0);
        vm.assertEq(channels.fundOne(NO_CONTRACT, keyOf(signer, PERIOD), SALT, row(payee, 0)), 0);
        vm.assertEq(channels.withdraw(signer, NO_CONTRACT, PERIOD, SALT, new address[](0)), 0);
        IPaymentChannels.Claim[] memory none = new IPaymentChannels.Claim[](0);
        vm.assertEq(channels.relay(NO_CONTRACT, none, new IPaymentChannels.Fee[](0), new bytes[](0)), 0);
    }

    function test_KnowsTheLowestSignerAndPayee() external {
        vm.prank(payer);
        vm.assertEq(channels.fundOne(address(token), keyOf(address(1), PERIOD), SALT, row(address(1), 5)), 5);
    }

    // ------------------------------------------------------------------------------------------------------- all or none

    /// Each of three rows gives back its own step, and nothing else is written.
    function test_TakesBackAWholeRun() external {
        BlocklistToken strict = useStrict();
        fund(payee, 100);
        claim(signed(payee, 1));
        strict.block_(payee);
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](4);
        (rows[0], rows[1], rows[2]) = (signed(payee, 2), signedBy(OTHER_KEY, payee, 9), signed(payee, 10));
        rows[3] = signed(payee, 60);
        vm.recordLogs();
        vm.assertEq(claim(rows), 0);
        vm.assertEq(vm.getRecordedLogs().length, 5, "a Skipped for each row, and ClaimedMany");
        assertState(payee, 100, 1, 0);
        assertNothingAtZero();
    }

    function test_TakesARowWithABadFeeBackOnce() external {
        BlocklistToken strict = useStrict();
        fund(payee, 100);
        claim(signed(payee, 30));
        strict.block_(payee);
        IPaymentChannels.Fee[] memory fees = new IPaymentChannels.Fee[](1);
        fees[0].terms = feeTerms(1, 0);
        relay(list(signed(payee, 50), signed(payee, 60)), fees);
        assertState(payee, 100, 30, 0);
        assertNothingAtZero();
    }

    function test_TakesNothingBackOfARowWithABadProof() external {
        BlocklistToken strict = useStrict();
        fund(list(row(payee, 100), row(other, 100)));
        strict.block_(payee);
        bytes[] memory proofs = new bytes[](1);
        proofs[0] = hex"00";
        vm.recordLogs();
        vm.assertEq(channels.claimProven(address(token), list(signed(payee, 50), signed(payee, 60)), proofs), 0);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 3, "a Skipped for each row, and ClaimedMany");
        assertNothingAtZero();
    }

    // --------------------------------------------------------------------------------------------------------------- fees

    function test_ChargesAFeeOfTheLastUnit() external {
        (uint256 key, address to) = keyed();
        fund(to, 100);
        IPaymentChannels.Fee[] memory fees = new IPaymentChannels.Fee[](1);
        fees[0] = feeOf(key, to, 1, 1);
        vm.assertEq(relay(list(signed(to, 1)), fees), 1);
        vm.assertEq(token.balanceOf(relayer), 1);
        vm.assertEq(token.balanceOf(to), 0);
    }

    function test_ChargesNoFeeOfAVoucherOfNothing() external {
        fund(payee, 100);
        IPaymentChannels.Fee[] memory fees = new IPaymentChannels.Fee[](1);
        fees[0].terms = feeTerms(1, 1);
        vm.recordLogs();
        vm.assertEq(relay(list(signed(payee, 0)), fees), 0);
        vm.assertEq(vm.getRecordedLogs().length, 2, "one Skipped, and Relayed");
        assertNothingAtZero();
    }

    /// Where signer and payee are one key, what ecrecover found for the voucher is not taken for what it found for the fee.
    function test_AsksForTheFeesOwnSignature() external {
        fund(signer, 100);
        IPaymentChannels.Fee[] memory fees = new IPaymentChannels.Fee[](1);
        fees[0].terms = feeTerms(5, 5);
        expectSkipped(idOf(signer), IPaymentChannels.Reason.FEE_UNSIGNED);
        vm.assertEq(relay(list(signed(signer, 40)), fees), 0);
    }

    // --------------------------------------------------------------------------------------------------- proofs and keys

    /// A proof that says nothing is not the absence of one.
    function test_SkipsAnUnconditionalVoucherWithAMalformedProof() external {
        fund(payee, 100);
        bytes[] memory proofs = new bytes[](1);
        proofs[0] = hex"00";
        expectSkipped(idOf(payee), IPaymentChannels.Reason.BAD_PROOF);
        vm.assertEq(channels.claimProven(address(token), list(signed(payee, 50)), proofs), 0);
    }

    function test_SkipsAProofThatIsCutAmongItsIndices() external {
        fund(payee, 100);
        bytes memory head = abi.encodePacked(bytes32("audit"), bytes32("agreement"), type(uint64).max, uint8(3));
        bytes memory proof = abi.encodePacked(head, uint64(0), uint64(1 << 56), uint64(2 << 56));
        bytes[] memory proofs = new bytes[](1);
        for (uint256 length = head.length; length <= proof.length; ++length) {
            proofs[0] = new bytes(length);
            for (uint256 i; i < length; ++i) {
                proofs[0][i] = proof[i];
            }
            expectSkipped(idOf(payee), IPaymentChannels.Reason.BAD_PROOF);
            channels.claimProven(address(token), list(signed(payee, 50)), proofs);
        }
    }

    function test_TakesTheHighestLowS() external view {
        bytes32 r = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798; // x of the curve's generator
        vm.assertTrue(Signatures.byKey(ecrecover("digest", 27, r, bytes32(HALF)), "digest", r, bytes32(HALF)));
        address malleated = ecrecover("digest", 27, r, bytes32(HALF + 1));
        vm.assertTrue(malleated != address(0));
        vm.assertTrue(!Signatures.byKey(malleated, "digest", r, bytes32(HALF + 1)));
    }

    // ------------------------------------------------------------------------------------------------------------- tokens

    /// A token can leave its address on chains where SELFDESTRUCT does what its name says.
    function test_IsNotPaidByATokenThatIsGone() external {
        fund(payee, 100);
        IPaymentChannels.Claim memory one = signed(payee, 40);
        vm.etch(address(token), "");
        expectRefused(idOf(payee), IPaymentChannels.Reason.TRANSFER_FAILED);
        claimOne(one);
    }

    // -------------------------------------------------------------------------------------------------------------- steps

    function useStrict() private returns (BlocklistToken strict) {
        strict = new BlocklistToken();
        token = IERC20(address(strict));
        enrich(payer);
    }

    function keyed() private pure returns (uint256 key, address to) {
        return (OTHER_KEY, vm.addr(OTHER_KEY));
    }

    function relay(IPaymentChannels.Claim[] memory rows, IPaymentChannels.Fee[] memory fees) private returns (uint256) {
        vm.prank(relayer);
        return channels.relay(address(token), rows, fees, new bytes[](0));
    }

    function feeTerms(uint256 amount, uint256 maximum) private pure returns (bytes32) {
        return bytes32(amount << 160 | maximum << 64 | type(uint64).max);
    }

    function feeOf(uint256 key, address to, uint96 total, uint96 amount)
        private
        view
        returns (IPaymentChannels.Fee memory fee)
    {
        IPaymentChannels.RelayFee memory terms =
            IPaymentChannels.RelayFee(relayer, idOf(to), total, amount, type(uint64).max);
        bytes32 digest = Messages.relayFee(Messages.domain(block.chainid, address(channels)), terms);
        fee.terms = feeTerms(amount, amount);
        (fee.r, fee.vs) = signDigest(key, digest);
    }

    /// @dev A refused row has an id of zero among the totals. Nothing may be booked there.
    function assertNothingAtZero() private view {
        bytes32 place = keccak256(abi.encode(bytes32(0), ENTRIES));
        vm.assertEq(uint256(vm.load(address(channels), place)), 0, "something is stored");
    }
}
