// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";
import {Vm} from "./support/Vm.sol";

contract ClaimTest is ChannelsTest {
    address internal constant SECOND_PAYER = address(0xBEEF);

    function setUp() public override {
        super.setUp();
        fund(list(row(payee, 100), row(other, 100)));
        enrich(SECOND_PAYER);
        vm.prank(SECOND_PAYER);
        channels.fund(signer, address(token), PERIOD, SALT, list(row(payee, 100)));
    }

    function test_WhenThereAreNoRows() external {
        expectClaimedMany(new bytes32[](0));
        vm.assertEq(claim(new IPaymentChannels.Claim[](0)), 0);
    }

    function test_WhenAnybodyCalls() external {
        claim(signed(payee, 40));
        vm.assertEq(token.balanceOf(payee), 40);
        vm.assertEq(token.balanceOf(relayer), 0);
    }

    function test_GivenTheVoucherIsAbove_WhenTheChannelHoldsEnough() external {
        claim(signed(payee, 40));
        expectClaimedMany(list(idOf(payee), bytes32(uint256(90))));
        vm.assertEq(claim(signed(payee, 90)), 50);
        assertState(payee, 100, 90, 0);
        vm.assertEq(token.balanceOf(payee), 90);
        vm.assertEq(token.balanceOf(address(channels)), 300 - 90);
    }

    function test_GivenTheVoucherIsAbove_WhenTheChannelHoldsLess() external {
        IPaymentChannels.Claim memory tooMuch = signed(payee, 250);
        expectClaimedMany(list(idOf(payee), bytes32(uint256(100))));
        vm.assertEq(claim(tooMuch), 100);
        fund(payee, 220);
        vm.assertEq(claim(tooMuch), 120);
        fund(payee, 300);
        vm.assertEq(claim(tooMuch), 30);
        assertState(payee, 300, 250, 0);
    }

    function test_GivenTheVoucherIsAbove_WhenTheChannelIsClosing() external {
        requestClose(payee);
        vm.assertEq(claim(signed(payee, 30)), 30);
        vm.warp(1_750_000_000 + 2 * PERIOD);
        vm.assertEq(claim(signed(payee, 70)), 40);
        vm.assertEq(withdraw(payee), 30);
    }

    function test_GivenTheVoucherIsNotAbove() external {
        claim(signed(payee, 40));
        expectSkipped(idOf(payee), IPaymentChannels.Reason.STALE);
        expectClaimedMany(list(0, 0));
        vm.assertEq(claim(signed(payee, 40)), 0);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.STALE);
        vm.assertEq(claim(signed(payee, 39)), 0);
        expectSkipped(idOf(other), IPaymentChannels.Reason.STALE);
        vm.assertEq(claim(signed(other, 0)), 0);
    }

    function test_GivenTheChannelIsEmpty() external {
        address stranger = address(0x5151);
        expectSkipped(idOf(stranger), IPaymentChannels.Reason.EMPTY);
        vm.assertEq(claim(signed(stranger, 1)), 0);
        claim(signed(payee, 100));
        expectSkipped(idOf(payee), IPaymentChannels.Reason.EMPTY);
        vm.assertEq(claim(signed(payee, 101)), 0);
    }

    function test_GivenTheChannelIsSpent() external {
        requestClose(payee);
        vm.warp(1_750_000_000 + PERIOD);
        withdraw(payee);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.EMPTY);
        vm.assertEq(claim(signed(payee, 101)), 0);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.STALE);
        vm.assertEq(claim(signed(payee, 100)), 0);
    }

    function test_GivenTheSignatureIsNotTheSigners() external {
        IPaymentChannels.Claim memory forged = signedBy(OTHER_KEY, payee, 40);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.BAD_SIGNATURE);
        vm.assertEq(claim(forged), 0);

        forged = signed(payee, 40);
        forged.row = row(payee, 41);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.BAD_SIGNATURE);
        vm.assertEq(claim(forged), 0);

        forged = signed(payee, 40);
        forged.payer = SECOND_PAYER;
        vm.assertEq(claim(forged), 0);

        forged = signed(payee, 40);
        forged.row = row(other, 40);
        vm.assertEq(claim(forged), 0);
        vm.assertEq(token.balanceOf(address(channels)), 300);
    }

    function test_GivenTheVoucherHasACondition() external {
        IPaymentChannels.Claim memory one = signed(payee, 40);
        bytes32 digest = channels.voucherDigest(IPaymentChannels.Voucher(idOf(payee), 40, keccak256("an audit")));
        (one.r, one.vs) = signDigest(SIGNER_KEY, digest);
        expectSkipped(idOf(payee), IPaymentChannels.Reason.BAD_SIGNATURE);
        vm.assertEq(claim(one), 0);
    }

    function test_GivenManyPayersToOnePayee_WhenTheyFollowWithPayeeZero() external {
        IPaymentChannels.Claim[] memory rows = list(signed(payee, 40), fromSecond(20));
        rows[1].row = row(address(0), 20);
        vm.assertEq(transfersOf(rows), 1);
        vm.assertEq(token.balanceOf(payee), 60);
    }

    function test_GivenManyPayersToOnePayee_WhenTheyNameThePayeeAgain() external {
        vm.assertEq(transfersOf(list(signed(payee, 40), fromSecond(20))), 1);
        vm.assertEq(token.balanceOf(payee), 60);
    }

    function test_GivenRowsOfManyPayees() external {
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](3);
        (rows[0], rows[1], rows[2]) = (signed(payee, 40), signed(other, 7), fromSecond(20));
        vm.assertEq(transfersOf(rows), 3);
        vm.assertEq(token.balanceOf(payee), 60);
        vm.assertEq(token.balanceOf(other), 7);
    }

    function test_GivenTheFirstRowHasPayeeZero_WhenThePayeeCalls() external {
        IPaymentChannels.Claim[] memory rows = list(signed(payee, 40), fromSecond(20));
        (rows[0].row, rows[1].row) = (row(address(0), 40), row(address(0), 20));
        vm.prank(payee);
        vm.assertEq(channels.claim(address(token), rows), 60);
        vm.assertEq(token.balanceOf(payee), 60);
    }

    function test_GivenTheFirstRowHasPayeeZero_WhenAnotherCalls() external {
        IPaymentChannels.Claim[] memory rows = list(signed(payee, 40), signed(other, 7));
        rows[0].row = row(address(0), 40);
        expectSkipped(idOf(relayer), IPaymentChannels.Reason.EMPTY);
        vm.assertEq(claim(rows), 7);
        vm.assertEq(token.balanceOf(payee), 0);
    }

    function test_GivenTheSameVoucherTwice() external {
        expectSkipped(idOf(payee), IPaymentChannels.Reason.STALE);
        expectClaimedMany(list(idOf(payee), bytes32(uint256(40)), 0, 0));
        vm.assertEq(claim(list(signed(payee, 40), signed(payee, 40))), 40);
    }

    function test_GivenTwoVouchersOfOneChannel() external {
        bytes32 id = idOf(payee);
        expectClaimedMany(list(id, bytes32(uint256(40)), id, bytes32(uint256(60))));
        vm.assertEq(claim(list(signed(payee, 40), signed(payee, 60))), 60);
        vm.assertEq(claim(list(signed(other, 60), signed(other, 40))), 60);
        assertState(payee, 100, 60, 0);
        assertState(other, 100, 60, 0);
    }

    /// A payer too wide for its type is hashed as it stands, and that is the id of a channel nobody has funded. What a
    /// key holds between signer and period is overlooked.
    function test_GivenAWordOfARowHoldsMoreThanItsType() external {
        bytes memory good = abi.encodeCall(IPaymentChannels.claim, (address(token), list(signed(payee, 40))));
        bytes memory bad = abi.encodePacked(good);
        bad[4 + 32 * 3] = 0x01;
        (bool success, bytes memory answer) = address(channels).call(bad);
        vm.assertTrue(success);
        vm.assertEq(abi.decode(answer, (uint256)), 0);

        good[4 + 32 * 4 + 20] = 0x01;
        (, answer) = address(channels).call(good);
        vm.assertEq(abi.decode(answer, (uint256)), 40);
    }

    function test_GivenARowWithPayerZero() external {
        IPaymentChannels.Claim[] memory rows = list(signed(payee, 40), signed(other, 7));
        (rows[1].payer, rows[1].key, rows[1].salt) = (address(0), 0, 0);
        vm.assertEq(claim(rows), 47);
        vm.assertEq(token.balanceOf(other), 7);
    }

    function test_GivenTheFirstRowHasPayerZero() external {
        IPaymentChannels.Claim[] memory rows = list(signed(payee, 40), signed(other, 7));
        rows[0].payer = address(0);
        expectSkipped(
            channels.channelId(IPaymentChannels.Terms(address(0), address(0), payee, address(token), 0, 0)),
            IPaymentChannels.Reason.EMPTY
        );
        vm.assertEq(claim(rows), 7);
    }

    function testFuzz_ForAnyRowsGoodAndBad(uint96[16] calldata totals, uint16 forged, uint16 whom) external {
        IPaymentChannels.Claim[] memory rows = new IPaymentChannels.Claim[](16);
        address[2] memory payees = [payee, other];
        uint256[2] memory owed;
        for (uint256 i; i < 16; ++i) {
            uint256 which = (whom >> i) & 1;
            uint256 total = bound(totals[i], 0, 120);
            bool bad = (forged >> i) & 1 == 1;
            rows[i] = signedBy(bad ? OTHER_KEY : SIGNER_KEY, payees[which], uint96(total));
            uint256 worth = total < 100 ? total : 100;
            if (!bad && worth > owed[which]) owed[which] = worth;
        }
        vm.assertEq(claim(rows), owed[0] + owed[1]);
        vm.assertEq(token.balanceOf(payee), owed[0]);
        vm.assertEq(token.balanceOf(other), owed[1]);
        assertState(payee, 100, owed[0], 0);
        assertState(other, 100, owed[1], 0);
    }

    function testFuzz_ForAnySplitOfTheRows(uint96[8] calldata totals, uint256 cut) external {
        cut = bound(cut, 0, 8);
        uint256 highest;
        IPaymentChannels.Claim[] memory before = new IPaymentChannels.Claim[](cut);
        IPaymentChannels.Claim[] memory later = new IPaymentChannels.Claim[](8 - cut);
        for (uint256 i; i < 8; ++i) {
            uint256 total = bound(totals[i], 0, 100);
            if (total > highest) highest = total;
            if (i < cut) before[i] = signed(payee, uint96(total));
            else later[i - cut] = signed(payee, uint96(total));
        }
        vm.assertEq(claim(later) + claim(before), highest);
    }

    function fromSecond(uint96 total) private view returns (IPaymentChannels.Claim memory) {
        IPaymentChannels.Terms memory terms = termsTo(payee);
        terms.payer = SECOND_PAYER;
        return sign(SIGNER_KEY, terms, total);
    }

    /// Claim the rows and count the token's events.
    function transfersOf(IPaymentChannels.Claim[] memory rows) private returns (uint256 count) {
        vm.recordLogs();
        claim(rows);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].emitter == address(token)) ++count;
        }
    }
}
