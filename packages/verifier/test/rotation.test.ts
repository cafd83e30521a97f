/** The signing key is rotated while two servers and two verifiers run; no token is rejected because of it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, describe, mock, test } from "node:test";
import { issuer, refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { formatConfig } from "@countersign/testing/server/edit-config";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { createVerifier, type Verifier } from "@countersign/verifier";
import { decodeProtectedHeader } from "jose";
import { parseConfig } from "../../server/src/config/config.ts";
import { createServer, type Server } from "../../server/src/server.ts";

const minute = 60_000;
const program = new URL("../../server/src/main.ts", import.meta.url).pathname;
after(async () => {
  mock.timers.reset();
  await other.close();
});
const deployment = useDeployment({ now: Date.now });
let other: Server;
let file: string;

beforeTests(async () => {
  file = join(dirname(deployment.file), "countersign.yaml");
  writeFileSync(file, formatConfig(deployment.config));
  const read = parseConfig(formatConfig(deployment.config), file);
  assert.ok("config" in read);
  other = await createServer({
    config: read.config,
    rootKey: deployment.rootKey,
    onFault: (fault) => deployment.faults.push(fault),
    clock: () => deployment.clock.now,
    jobIntervalMs: 3_600_000,
  });
  // Key caches read the machine's clock.
  mock.timers.enable({ apis: ["Date"], now: deployment.clock.now });
});

function passTime(ms: number): void {
  deployment.clock.now += ms;
  mock.timers.setTime(deployment.clock.now);
}

let orders = 0;
/** Issues a token by this server for a refund with a new order. */
async function issue(server: Server): Promise<{ readonly token: string; readonly order: string }> {
  orders += 1;
  const order = `K-${orders}`;
  const asked = await deployment.ask({ authorization_details: JSON.stringify([{ ...refund, order }]) });
  await deployment.ada.decide(toRequestId(asked.body.auth_req_id), "approve");
  const request = new Request(`${issuer}/oauth/token`, {
    method: "POST",
    headers: toBasicAuth(deployment.agent),
    body: new URLSearchParams({
      grant_type: "urn:openid:params:grant-type:ciba",
      auth_req_id: asked.body.auth_req_id,
    }),
  });
  const body = (await (await server.fetch(request)).json()) as { access_token: string };
  return { token: body.access_token, order };
}
const kidOf = (token: string) => decodeProtectedHeader(token).kid ?? "";
async function published(server: Server): Promise<string[]> {
  const response = await server.fetch(new Request(`${issuer}/jwks`));
  return ((await response.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
}

type Watched = { readonly verifier: Verifier; keyRequests: number };
function newVerifier(server: Server): Watched {
  const watched: Watched = {
    keyRequests: 0,
    verifier: createVerifier({
      issuer,
      audience: "https://refunds.example",
      clientId: deployment.api.id,
      clientSecret: deployment.api.secret,
      clock: { now: () => deployment.clock.now, sleep: async () => {} },
      fetch: async (input, init) => {
        if (String(input).endsWith("/jwks")) watched.keyRequests += 1;
        return await server.fetch(new Request(String(input), init));
      },
    }),
  };
  return watched;
}
async function runs(
  { verifier }: Watched,
  { token, order }: { token: string; order: string },
): Promise<boolean> {
  return (await verifier.spend(token, { ...refund, order }, () => {})).outcome === "done";
}

describe("signing key rotation", () => {
  test("signs with a rotated key after ten minutes, and publishes the old one for ten more", async () => {
    const servers = [deployment.server, other];
    const first = await issue(deployment.server);
    const oldKid = kidOf(first.token);
    const early = newVerifier(other);
    assert.ok(await runs(early, first), "its keys are cached from now on");

    const rotatedAt = deployment.clock.now;
    const rotated = spawnSync(process.execPath, [program, "keys", "rotate", "--config", file], {
      encoding: "utf8",
      env: { ...process.env, COUNTERSIGN_KEY: Buffer.from(deployment.rootKey).toString("base64url") },
    });
    assert.equal(rotated.status, 0, rotated.stderr);
    const newKid = /published key ([^;\s]+)/.exec(rotated.stdout)?.[1] ?? "";
    const key = await deployment.server.store.read("key", newKid);
    const { activeAt } = key!.record;
    // The command uses the machine's clock.
    assert.ok(activeAt >= rotatedAt + 11 * minute && activeAt < rotatedAt + 13 * minute);
    for (const server of servers) {
      await server.runJobs();
      assert.deepEqual(await published(server), [oldKid, newKid]);
    }
    passTime(2 * minute);
    const later = newVerifier(other);
    assert.ok(await runs(later, await issue(other)), "a verifier that fetches now has both keys");

    passTime(activeAt - 1 - deployment.clock.now);
    const last = await issue(deployment.server);
    assert.equal(kidOf(last.token), oldKid, "the last instant of the old key");
    passTime(1);
    const [next, elsewhere] = [await issue(deployment.server), await issue(other)];
    assert.deepEqual([kidOf(next.token), kidOf(elsewhere.token)], [newKid, newKid]);
    assert.ok(await runs(early, last), "signed before the change, spent after it");
    const beforeNew = later.keyRequests;
    assert.ok(await runs(later, next));
    assert.equal(later.keyRequests, beforeNew, "the new key was known before it signed");
    assert.ok(await runs(early, elsewhere), "a verifier that fetched before the rotation fetches again");
    assert.ok(await runs(newVerifier(deployment.server), await issue(other)));

    passTime(activeAt + 10 * minute - 1 - deployment.clock.now);
    for (const server of servers) assert.deepEqual(await published(server), [oldKid, newKid]);
    passTime(1);
    for (const server of servers) assert.deepEqual(await published(server), [newKid]);
  });
});
