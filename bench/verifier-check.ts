/**
 * Compares the verifier's local check (signature, claims and recomputed action digest) with a bare signature verification. In turn
 * within the same run: ES256 with node:crypto, with WebCrypto (which jose calls), and jose's jwtVerify.
 */
import { createPublicKey, type JsonWebKey, verify } from "node:crypto";
import { createVerifier } from "@countersign/verifier";
import { importJWK, jwtVerify } from "jose";
import { audience, standIn, testClock } from "../packages/verifier/test/stand-in.ts";

const rounds = Number(process.env.BENCH_CHECKS ?? 400);
const batch = 50;

export async function verifierCheck(): Promise<void> {
  const stand = await standIn();
  const clock = testClock();
  const refund = { type: "refund", order: "A-1001", amount: "10000.00", currency: "USD", customer: "c-7" };
  const token = await stand.issue(refund);
  const authorization = `Bearer ${token}`;
  const verifier = createVerifier({
    issuer: stand.issuer,
    audience,
    clientId: "a",
    clientSecret: "b",
    clock,
  });
  const { keys } = (await (await fetch(`${stand.issuer}/jwks`)).json()) as {
    keys: [JsonWebKey & { kty: string }];
  };
  const key = createPublicKey({ key: keys[0], format: "jwk" });
  const webKey = (await importJWK(keys[0], "ES256")) as CryptoKey;
  const currentDate = new Date(clock.now());
  const [head, payload, signature = ""] = token.split(".");
  const signed = Buffer.from(`${head}.${payload}`);
  const signatureBytes = Buffer.from(signature, "base64url");

  const arms: [string, () => unknown][] = [
    [
      "node:crypto verify",
      () => verify("sha256", signed, { key, dsaEncoding: "ieee-p1363" }, signatureBytes),
    ],
    [
      "WebCrypto verify",
      () => crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, webKey, signatureBytes, signed),
    ],
    ["jose jwtVerify", () => jwtVerify(token, webKey, { currentDate })],
    ["verifier.check", () => verifier.check(authorization, refund)],
  ];
  const checked = await verifier.check(authorization, refund);
  if (checked.outcome !== "checked") throw new Error(checked.reason);

  /** Microseconds per check, sequentially and fifty concurrently. */
  const alone = new Map<string, number[]>();
  const together = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, work] of arms) {
      let start = performance.now();
      for (let at = 0; at < batch; at += 1) await work();
      note(alone, name, start);
      start = performance.now();
      await Promise.all(Array.from({ length: batch }, work));
      note(together, name, start);
    }
  }
  await stand.close();

  const line = (figures: Map<string, number[]>, name: string) => {
    const [own, bare] = [quiet(figures.get(name)), quiet(figures.get("node:crypto verify"))];
    return `${Math.round(1e6 / own)
      .toLocaleString("en-US")
      .padStart(9)}/s${`${((bare / own) * 100).toFixed(0)} %`.padStart(7)}`;
  };
  console.log(
    `${rounds} rounds of ${batch}; Node ${process.version}; the fastest tenth of the rounds; % of node:crypto`,
  );
  console.log(`${"".padEnd(20)}${"one by one".padStart(18)}${"fifty at a time".padStart(20)}`);
  for (const [name] of arms) console.log(`${name.padEnd(20)}${line(alone, name)}  ${line(together, name)}`);
}

function note(figures: Map<string, number[]>, name: string, start: number): void {
  figures.set(name, [...(figures.get(name) ?? []), ((performance.now() - start) * 1000) / batch]);
}
/** Returns the mean of the fastest tenth, which approximates an idle machine. */
const quiet = (list: readonly number[] = []) =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 10)] ?? 0;
