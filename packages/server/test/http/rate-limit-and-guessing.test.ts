/** A hostile caller: everything that is sent gets an answer of the 400s, changes nothing, and is no fault of the server's. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { createVirtualAuthenticator } from "@countersign/testing/browser/virtual-authenticator";
import { fuzzNames, fuzzRoutes, snapshotStore } from "@countersign/testing/fuzz/fuzz-requests";
import {
  issuer,
  readHiddenFields,
  readPasskeyOptions,
  refund,
  toBasicAuth,
  toRequestId,
} from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { invite } from "../../src/usecase/people/enrol.ts";

const deployment = useDeployment({ config: { registration: { enabled: true } } });

describe("fuzzed requests", () => {
  test("changes nothing and causes no fault on any route; protocol errors are JSON (T52)", async () => {
    const before = snapshotStore(deployment.file);
    const wrong: string[] = [];
    const protocol = new Set(
      deployment.server.routes.filter(({ access }) => access === "client").map(({ path }) => path),
    );
    await fuzzRoutes(deployment, (what, response, text, path) => {
      const { status, headers } = response;
      if (status >= 500) wrong.push(`${what}: ${status}`);
      if (headers.get("x-content-type-options") !== "nosniff") wrong.push(`${what}: no nosniff`);
      const location = headers.get("location");
      if (location !== null && !/^\/sign-in(\?next=[%\w.'-]+)?$/.test(location))
        wrong.push(`${what}: leads to ${location}`);
      if (!protocol.has(path)) return;
      if (status < 400 || location !== null) wrong.push(`${what}: ${status}`);
      if (!headers.get("content-type")?.startsWith("application/json")) wrong.push(`${what}: no JSON`);
      else if (text !== "" && typeof JSON.parse(text).error !== "string")
        wrong.push(`${what}: no error code`);
    });
    assert.deepEqual(wrong, []);
    assert.deepEqual(deployment.faultOperations, []);
    assert.deepEqual(snapshotStore(deployment.file), before);
  });

  test("finds no request and no device by invalid ids in a valid session", async () => {
    const before = snapshotStore(deployment.file);
    const { csrf = "" } = readHiddenFields(await (await deployment.ada.get("/devices")).text());
    const headers = { origin: issuer, cookie: deployment.ada.cookie };
    for (const name of fuzzNames) {
      assert.equal((await deployment.ada.get(`/requests/${name}`)).status, 404, name);
      for (const path of [
        `/requests/${name}/decision`,
        `/requests/${name}/pause-agent`,
        `/devices/${name}/remove`,
      ]) {
        const body = new URLSearchParams({
          csrf,
          verdict: "approve",
          card: "x",
          ceremony: "__proto__",
          assertion: "{}",
        });
        const { status, headers: answered } = await deployment.request(path, {
          method: "POST",
          headers,
          body,
        });
        assert.ok(status === 200 || status === 404 || status === 409, `${path.slice(0, 40)}: ${status}`);
        assert.equal(answered.get("location"), null);
      }
    }
    assert.deepEqual(snapshotStore(deployment.file), before);
  });

  test("accepts any unsigned passkey properties without breaking a page", async () => {
    for (const transports of [5, {}, "usb", [5, "\0", "usb", "a".repeat(30_000)]]) {
      const { secret } = await invite(deployment.server, "bob@example.com", "bob");
      const passkey = createVirtualAuthenticator({ rpId: "localhost", origin: issuer });
      const page = await (await deployment.request(`/enrol/${secret}`)).text();
      const made = passkey.createAttestation(readPasskeyOptions(page));
      const attestation = JSON.stringify({ ...made, response: { ...made.response, transports } });
      const enrolled = await deployment.request(`/enrol/${secret}`, {
        method: "POST",
        headers: { origin: issuer },
        body: new URLSearchParams({ ...readHiddenFields(page), attestation, device: "Phone" }),
      });
      assert.equal(enrolled.status, 303);
      const cookie = (enrolled.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
      const details = JSON.stringify([
        { ...refund, type: "signed-refund", order: JSON.stringify(transports).slice(0, 30) },
      ]);
      const asked = await deployment.ask({ authorization_details: details, login_hint: "bob@example.com" });
      const card = await deployment.request(`/requests/${toRequestId(asked.body.auth_req_id)}`, {
        headers: { cookie },
      });
      assert.equal(card.status, 200);
    }
  });
});

describe("POST /oauth/token", () => {
  test("returns one error for 10,000 unknown or foreign auth_req_ids; reads only the client (T45)", async () => {
    const other = await deployment.registerAgent("other");
    const asked = await deployment.ask();
    const reads: string[] = [];
    const { store } = deployment.server;
    const { read, readStatus: status } = store;
    Object.assign(store, {
      read: (kind: "agent", id: string) => {
        reads.push(kind);
        return read(kind, id);
      },
      readStatus: (id: string) => {
        reads.push("standing");
        return status(id);
      },
    });
    try {
      const poll = async (auth_req_id: string) => {
        const form = { grant_type: cibaGrantType, auth_req_id };
        const { status, body, headers } = await deployment.post("/oauth/token", form, toBasicAuth(other));
        return JSON.stringify([status, body, [...headers]]);
      };
      const theirs = await poll(asked.body.auth_req_id);
      const [id, seal = ""] = asked.body.auth_req_id.split(".");
      const answers = new Set<string>([
        theirs,
        await poll(`${id}.${seal.slice(1)}A`),
        await poll("x"),
        await poll("."),
      ]);
      for (let at = 0; at < 10_000; at += 500)
        for (const answer of await Promise.all(
          Array.from({ length: 500 }, (_, more) => poll(`req_${at + more}.${seal}`)),
        ))
          answers.add(answer);
      assert.equal(answers.size, 1);
      assert.deepEqual([JSON.parse(theirs)[0], JSON.parse(theirs)[1].error], [400, "invalid_grant"]);
      assert.deepEqual(new Set(reads), new Set(["agent"]));
    } finally {
      Object.assign(store, { read, readStatus: status });
    }
  });
});
