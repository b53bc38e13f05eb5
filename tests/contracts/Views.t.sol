// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

import {IPaymentChannels} from "../../contracts/src/IPaymentChannels.sol";
import {ChannelsTest} from "./support/ChannelsTest.sol";

contract ViewsTest is ChannelsTest {
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant CHANNEL_TYPE = keccak256(
        "Channel(address payer,address signer,address payee,address token,uint32 challengePeriod,bytes32 salt)"
    );
    bytes32 private constant VOUCHER_TYPE =
        keccak256("Voucher(bytes32 channelId,uint96 cumulativeAmount,bytes32 condition)");

    function test_Channels() external {
        fund(list(row(payee, 5), row(other, 9)));
        claim(signed(other, 4));
        requestClose(other);
        bytes32[] memory ids = new bytes32[](3);
        (ids[0], ids[1], ids[2]) = (idOf(other), keccak256("never funded"), idOf(payee));
        IPaymentChannels.Channel[] memory states = channels.channels(ids);
        vm.assertEq(states.length, 3);
        vm.assertEq(abi.encode(states[0]), abi.encode(IPaymentChannels.Channel(9, 4, uint40(1_750_000_000 + PERIOD))));
        vm.assertEq(abi.encode(states[1]), abi.encode(IPaymentChannels.Channel(0, 0, 0)));
        vm.assertEq(abi.encode(states[2]), abi.encode(IPaymentChannels.Channel(5, 0, 0)));
    }

    function testFuzz_ChannelIdIsTheDigestOfTheTerms(IPaymentChannels.Terms calldata terms) external view {
        bytes32 structHash = keccak256(
            abi.encode(
                CHANNEL_TYPE, terms.payer, terms.signer, terms.payee, terms.token, terms.challengePeriod, terms.salt
            )
        );
        vm.assertEq(channels.channelId(terms), digestOf(structHash));
    }

    /// What the payer's calls and the claims compute row by row is the same id: any funded channel is found by it.
    function testFuzz_EveryCallFindsTheChannelByItsId(address to, uint32 period, bytes32 salt, uint96 total) external {
        vm.assume(uint160(to) > 0xffff && to != address(channels) && to != payer);
        vm.assume(to != address(vm) && token.balanceOf(to) == 0);
        total = uint96(bound(total, 1, RICH));
        IPaymentChannels.Terms memory terms = IPaymentChannels.Terms(payer, signer, to, address(token), period, salt);
        bytes32 id = channels.channelId(terms);
        vm.startPrank(payer);
        channels.fund(signer, address(token), period, salt, list(row(to, total)));
        assertState(id, total, 0, 0);
        channels.claim(address(token), list(sign(SIGNER_KEY, terms, total / 2)));
        assertState(id, total, total / 2, 0);
        channels.push(signer, address(token), period, salt, list(row(to, total / 2 + total / 4)));
        assertState(id, total, total / 2 + total / 4, 0);
        channels.requestClose(signer, address(token), period, salt, list(to));
        vm.assertEq(state(id).closesAt, uint256(1_750_000_000) + period);
        vm.stopPrank();
        uint256 rest = total - total / 2 - total / 4;
        if (rest > 1) {
            vm.assertEq(claimOne(sign(SIGNER_KEY, terms, total - 1)), rest - 1);
        }
        vm.prank(to);
        channels.release(terms);
        assertState(id, total, total, uint256(1_750_000_000) + period);
    }

    function test_ChannelIdDiffersInEveryTerm() external {
        IPaymentChannels.Terms memory terms = termsTo(payee);
        bytes32[9] memory ids;
        ids[0] = channels.channelId(terms);
        terms.payer = other;
        ids[1] = channels.channelId(terms);
        terms = termsTo(payee);
        terms.signer = other;
        ids[2] = channels.channelId(terms);
        ids[3] = idOf(other);
        terms = termsTo(payee);
        terms.token = other;
        ids[4] = channels.channelId(terms);
        terms = termsTo(payee);
        terms.challengePeriod += 1;
        ids[5] = channels.channelId(terms);
        terms = termsTo(payee);
        terms.salt = 0;
        ids[6] = channels.channelId(terms);
        terms = termsTo(payee);
        ids[7] = IPaymentChannels(vm.deployCode("PaymentChannels.sol:PaymentChannels")).channelId(terms);
        vm.chainId(1);
        ids[8] = channels.channelId(terms);
        for (uint256 i; i < ids.length; ++i) {
            for (uint256 j; j < i; ++j) {
                vm.assertTrue(ids[i] != ids[j]);
            }
        }
    }

    function testFuzz_VoucherDigest(IPaymentChannels.Voucher calldata voucher) external view {
        bytes32 structHash =
            keccak256(abi.encode(VOUCHER_TYPE, voucher.channelId, voucher.cumulativeAmount, voucher.condition));
        vm.assertEq(channels.voucherDigest(voucher), digestOf(structHash));
    }

    function test_Eip712Domain() external view {
        (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address contract_,
            bytes32 salt,
            uint256[] memory extensions
        ) = IERC5267(address(channels)).eip712Domain();
        vm.assertEq(bytes32(fields), bytes32(hex"0f"));
        vm.assertEq(name, "Tithebarn");
        vm.assertEq(version, "1");
        vm.assertEq(chainId, block.chainid);
        vm.assertEq(contract_, address(channels));
        vm.assertEq(salt, 0);
        vm.assertEq(extensions.length, 0);
    }

    function digestOf(bytes32 structHash) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN_TYPE, keccak256("Tithebarn"), keccak256("1"), block.chainid, address(channels))
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }
}

contract StorageTokenTest is ChannelsTest {
    function test_GivesTheWholeSupplyToTheFirstHolder() external view {
        vm.assertEq(token.totalSupply(), 1_000_000_000e18);
        vm.assertEq(token.balanceOf(address(this)), token.totalSupply() - RICH);
        vm.assertLe(token.totalSupply(), type(uint96).max);
    }

    function test_TakesAPermit() external {
        IERC20Permit permit = IERC20Permit(address(token));
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                signer,
                address(channels),
                77,
                permit.nonces(signer),
                type(uint256).max
            )
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", permit.DOMAIN_SEPARATOR(), structHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SIGNER_KEY, digest);
        permit.permit(signer, address(channels), 77, type(uint256).max, v, r, s);
        vm.assertEq(token.allowance(signer, address(channels)), 77);
    }
}
