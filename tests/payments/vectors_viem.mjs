// Checks vectors.json (its path is the only argument) with viem: digest, recovered signer, and the signature that viem
// itself makes. Prints one line for each difference and the number of vectors checked; exits 1 on a difference.

import { readFileSync } from "node:fs";
import {
  compactSignatureToSignature,
  hashTypedData,
  parseCompactSignature,
  parseSignature,
  recoverTypedDataAddress,
  serializeCompactSignature,
  serializeSignature,
  signatureToCompactSignature,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";

const { types, vectors } = JSON.parse(readFileSync(process.argv[2], "utf8"));
let differences = 0;

function compare(index, what, ours, theirs) {
  if (ours.toLowerCase() !== theirs.toLowerCase()) {
    differences += 1;
    console.error(`vector ${index}: ${what} is ${ours}, viem says ${theirs}`);
  }
}

for (const [index, vector] of vectors.entries()) {
  const data = {
    domain: { ...vector.domain, chainId: BigInt(vector.domain.chainId) },
    types: types[vector.primaryType],
    primaryType: vector.primaryType,
    message: vector.message,
  };
  compare(index, "digest", vector.digest, hashTypedData(data));
  const signature = serializeSignature(compactSignatureToSignature(parseCompactSignature(vector.signature)));
  compare(index, "signer", vector.signer, await recoverTypedDataAddress({ ...data, signature }));
  const made = parseSignature(await privateKeyToAccount(vector.secret).signTypedData(data));
  compare(index, "signature", vector.signature, serializeCompactSignature(signatureToCompactSignature(made)));
}

console.log(vectors.length);
process.exit(differences ? 1 : 0);
