/** User codes (CIBA §7.1), over HTTP: who must send one, and how often one can be guessed. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type HttpReply, refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { addAgent } from "../../src/usecase/client/client-lifecycle.ts";
import { attemptWindowMs, setUserCode } from "../../src/usecase/request/user-code.ts";

const code = "314159265";
const deployment = useDeployment({ config: { user_codes: true }, approvers: ["ada", "bob"] });
let coded: { readonly id: string; readonly secret: string };
beforeTests(async () => {
  await setUserCode(deployment.server, "ada@example.com", code);
  const added = await addAgent(deployment.server.store, {
    id: "coded",
    name: "Coded",
    types: ["refund"],
    credential: { method: "client_secret_basic" },
    userCode: true,
  });
  assert.ok("secret" in added);
  coded = { id: "coded", secret: added.secret ?? "" };
});

let order = 0;
const form = (changed: Readonly<Record<string, string>> = {}) => ({
  scope: "openid",
  login_hint: "ada@example.com",
  authorization_details: JSON.stringify([{ ...refund, order: `C-${++order}` }]),
  ...changed,
});
const ask = (changed?: Readonly<Record<string, string>>, headers = {}): Promise<HttpReply> =>
  deployment.post("/bc-authorize", form(changed), { ...toBasicAuth(coded), ...headers });
const outcome = ({ status, body }: HttpReply) => (status === 200 ? "asked" : body.error);
const asked = async () => (await deployment.server.store.listRequests({ limit: 1000 })).length;

describe("user_code", () => {
  test("accepts the right code, and rejects a wrong or missing one", async () => {
    assert.equal(outcome(await ask({ user_code: code })), "asked");
    const before = await asked();
    assert.equal(outcome(await ask()), "missing_user_code");
    assert.equal(outcome(await ask({ user_code: "" })), "missing_user_code");
    const wrong = await ask({ user_code: "314159266" });
    assert.deepEqual([wrong.status, outcome(wrong)], [400, "invalid_user_code"]);
    assert.equal(await asked(), before);
  });

  test("rejects a code for an approver without one; without a code the request is accepted", async () => {
    assert.equal(outcome(await ask({ login_hint: "bob@example.com" })), "asked");
    assert.equal(outcome(await ask({ login_hint: "bob@example.com", user_code: code })), "invalid_user_code");
  });

  test("returns missing_user_code for several people of whom one has a code; rejects a code", async () => {
    for (const login_hint of ["owner", "group:finance"]) {
      assert.equal(outcome(await ask({ login_hint })), "missing_user_code");
      assert.equal(outcome(await ask({ login_hint, user_code: code })), "invalid_request");
    }
  });

  test("requires no code of an agent that is not registered for user codes, and rejects one", async () => {
    const { authorization_details } = form();
    assert.equal(outcome(await deployment.ask({ authorization_details })), "asked");
    assert.equal(outcome(await deployment.ask({ ...form(), user_code: code })), "invalid_request");
  });

  test("appears in no log entry and no record; setting one is logged", async () => {
    await ask({ user_code: "27182818284" });
    await deployment.server.runJobs();
    const entries = await deployment.server.store.log.entries(0, 10_000);
    const text = JSON.stringify([entries, await deployment.server.store.list("approver")]);
    assert.ok(!text.includes(code) && !text.includes("27182818284"));
    const set = entries
      .map(({ line }) => JSON.parse(line))
      .filter(({ event }) => event === "approver.user_code_set");
    assert.deepEqual(
      set.map(({ approver, facts }) => [approver, facts]),
      [[deployment.ada.approver, { set: true }]],
    );
  });

  test("rejects every code of an approver for 15 minutes after five wrong ones (T56)", async () => {
    await setUserCode(deployment.server, "ada@example.com", code);
    for (let at = 0; at < 5; at += 1)
      assert.equal(outcome(await ask({ user_code: `wrong-${at}` })), "invalid_user_code");
    assert.equal(outcome(await ask({ user_code: "wrong" })), "access_denied");
    const right = await ask({ user_code: code });
    assert.deepEqual(
      [right.status, outcome(right)],
      [403, "access_denied"],
      "the right one is not heard either",
    );
    await deployment.restart();
    assert.equal(outcome(await ask({ user_code: code })), "access_denied");
    await deployment.server.runJobs();
    deployment.clock.now += attemptWindowMs - 1;
    assert.equal(outcome(await ask({ user_code: code })), "access_denied");
    deployment.clock.now += 1;
    assert.equal(outcome(await ask({ user_code: code })), "asked");
  });

  test("does not reset the count after a right code (T56)", async () => {
    deployment.clock.now += attemptWindowMs;
    for (let at = 0; at < 4; at += 1) await ask({ user_code: "wrong" });
    assert.equal(outcome(await ask({ user_code: code })), "asked");
    assert.equal(outcome(await ask({ user_code: "wrong" })), "invalid_user_code");
    assert.equal(outcome(await ask({ user_code: code })), "access_denied");
  });

  test("evaluates at most five of concurrent codes, also for a pending action (T56)", async () => {
    deployment.clock.now += attemptWindowMs;
    const waiting = form({ user_code: code });
    assert.equal(outcome(await deployment.post("/bc-authorize", waiting, toBasicAuth(coded))), "asked");
    deployment.clock.now += 1000;
    for (const base of [form(), waiting]) {
      await setUserCode(deployment.server, "ada@example.com", code);
      const guesses = Array.from({ length: 40 }, (_, at) => (at === 35 ? code : `wrong-${at}`));
      const answers = await Promise.all(
        guesses.map((user_code) =>
          deployment.post("/bc-authorize", { ...base, user_code }, toBasicAuth(coded)),
        ),
      );
      const heard = answers.map(outcome).filter((one) => one !== "access_denied");
      assert.equal(heard.filter((one) => one === "invalid_user_code").length, 5);
      assert.ok(heard.length <= 6, JSON.stringify(heard));
    }
  });

  test("counts wrong codes per approver (T56)", async () => {
    await setUserCode(deployment.server, "bob@example.com", code);
    assert.equal(outcome(await ask({ user_code: code })), "access_denied");
    assert.equal(outcome(await ask({ login_hint: "bob@example.com", user_code: code })), "asked");
  });

  test("returns the same request for an Idempotency-Key, whatever the code", async () => {
    const without = form({ login_hint: "bob@example.com" });
    const key = { ...toBasicAuth(coded), "idempotency-key": "code-1" };
    const first = await deployment.post("/bc-authorize", { ...without, user_code: code }, key);
    await deployment.bob.decide(toRequestId(first.body.auth_req_id), "deny");
    const again = await deployment.post("/bc-authorize", without, key);
    assert.equal(again.body.auth_req_id, first.body.auth_req_id);
  });

  test("rejects a code if user codes are off; metadata says which", async () => {
    const supported = async () => {
      const document: any = await (await deployment.request("/.well-known/openid-configuration")).json();
      return document.backchannel_user_code_parameter_supported;
    };
    assert.equal(await supported(), true);
    await deployment.restart({ user_codes: undefined });
    assert.equal(await supported(), false);
    assert.equal(outcome(await ask()), "asked");
    assert.equal(outcome(await ask({ user_code: code })), "invalid_request");
  });
});
