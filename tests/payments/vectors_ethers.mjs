// Checks vectors.json (its path is the only argument) with ethers.js: digest, recovered signer, and the signature that
// ethers itself makes. Prints one line for each difference and the number of vectors checked; exits 1 on a difference.

import { readFileSync } from "node:fs";
import { Signature, SigningKey, TypedDataEncoder, recoverAddress } from "ethers";

const { types, vectors } = JSON.parse(readFileSync(process.argv[2], "utf8"));
let differences = 0;

function compare(index, what, ours, theirs) {
  if (ours.toLowerCase() !== theirs.toLowerCase()) {
    differences += 1;
    console.error(`vector ${index}: ${what} is ${ours}, ethers.js says ${theirs}`);
  }
}

vectors.forEach((vector, index) => {
  const digest = TypedDataEncoder.hash(vector.domain, types[vector.primaryType], vector.message);
  compare(index, "separator", vector.separator, TypedDataEncoder.hashDomain(vector.domain));
  compare(index, "digest", vector.digest, digest);
  compare(index, "signer", vector.signer, recoverAddress(digest, Signature.from(vector.signature)));
  compare(index, "signature", vector.signature, new SigningKey(vector.secret).sign(digest).compactSerialized);
});

console.log(vectors.length);
process.exit(differences ? 1 : 0);
