/** What is taken away stops at once: also for a form that was on its way, and for a link that was handed out before. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  findForm,
  issuer,
  type Person,
  readHiddenFields,
  refund,
  toRequestId,
} from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { aContact, anEntry } from "../../src/store/contract/fixture.ts";
import { absent } from "../../src/store/store.ts";
import { addAgent, pauseAgent, removeClient } from "../../src/usecase/client/client-lifecycle.ts";
import { inviteSelf } from "../../src/usecase/people/enrol.ts";
import { removeApprover, removeDevice } from "../../src/usecase/people/remove-approver.ts";
import { readSession, signOut } from "../../src/usecase/people/session.ts";

const deployment = useDeployment({ approvers: [] });

let orders = 0;
async function ask(): Promise<string> {
  orders += 1;
  const action = { ...refund, order: `R-${orders}` };
  return toRequestId(
    (await deployment.ask({ authorization_details: JSON.stringify([action]) })).body.auth_req_id,
  );
}

/** A POST whose form arrives only when it is told to. Whatever the server does before that has been done. */
async function slowPost(path: string, { cookie }: Person, form: Record<string, string>) {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({
    start: (own) => {
      controller = own;
    },
  });
  const headers = { origin: issuer, cookie, "content-type": "application/x-www-form-urlencoded" };
  const answer = deployment.request(path, { method: "POST", headers, body, duplex: "half" } as RequestInit);
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
  return (): Promise<Response> => {
    controller.enqueue(new TextEncoder().encode(new URLSearchParams(form).toString()));
    controller.close();
    return answer;
  };
}

async function sessionOf({ cookie }: Person) {
  const found = await readSession(deployment.server, cookie.split("=")[1] ?? "");
  assert.ok(found);
  return found.session;
}

async function deviceOf({ approver }: Person): Promise<string> {
  const [device] = await deployment.server.store.listDevicesOf(approver);
  return device?.id ?? "";
}

describe("removal during a request", () => {
  test("rejects a form of a device that was removed after the form was shown", async () => {
    for (const verdict of ["approve", "deny"] as const) {
      const ada = await deployment.enrol("ada@example.com");
      const id = await ask();
      const card = await (await ada.get(`/requests/${id}`)).text();
      const arrive = await slowPost(`/requests/${id}/decision`, ada, {
        ...readHiddenFields(findForm(card, verdict)),
        verdict,
      });
      assert.equal(await removeDevice(deployment.server.store, await deviceOf(ada)), "removed");
      assert.equal((await arrive()).headers.get("location"), "/sign-in");
      const held = await deployment.server.store.read("request", id);
      assert.equal(held?.record.status.state, "pending");
    }
  });

  test("rejects a decision whose session ends before the commit", async () => {
    const ada = await deployment.enrol("ada@example.com");
    const id = await ask();
    const session = await sessionOf(ada);
    // Both read before either writes, and the end of the session is written first.
    const [decided] = await Promise.all([
      ada.decide(id, "approve"),
      (async () => {
        const { store } = deployment.server;
        const { read } = store;
        await new Promise<void>((resolve) => {
          store.read = ((kind: "agent", of: string) => {
            if (kind === "agent") {
              store.read = read;
              signOut(store, session).then(resolve);
            }
            return read(kind, of);
          }) as typeof read;
        });
      })(),
    ]);
    assert.equal(decided.headers.get("location"), "/sign-in");
    assert.equal((await deployment.server.store.read("request", id))?.record.status.state, "pending");
  });

  test("rejects an enrolment form of an approver who was removed", async () => {
    const bob = await deployment.enrol("bob@example.com");
    const { csrf = "" } = readHiddenFields(await (await bob.get("/devices")).text());
    const arrive = await slowPost("/devices/add", bob, { csrf });
    assert.equal(await removeApprover(deployment.server, "bob@example.com"), "removed");
    assert.equal((await arrive()).headers.get("location"), "/sign-in");
    assert.equal(await deployment.server.store.findApproverByEmail("bob@example.com"), undefined);
  });

  test("deletes the contacts of a removed approver, and names them in the log", async () => {
    const { store } = deployment.server;
    await deployment.enrol("bob@example.com");
    const { id } = (await store.findApproverByEmail("bob@example.com"))!.record;
    const [own, other] = [aContact({ approver: id }), aContact()];
    for (const record of [own, other])
      await store.commit({
        writes: [{ put: "contact", record, ifVersion: absent }],
        entries: [anEntry()],
      });
    await removeApprover(deployment.server, "bob@example.com");
    assert.deepEqual(
      (await store.list("contact")).map(({ record }) => record.id),
      [other.id],
    );
    const entries = (await store.log.newest(9)).map(({ line }) => JSON.parse(line));
    const removed = entries.find(({ event }) => event === "contact.removed");
    assert.deepEqual([removed.approver, removed.facts], [id, { contact: own.id, channel: own.channel }]);
  });
});

describe("device links", () => {
  test("do not enrol a new approver, and require a session", async () => {
    const bob = await deployment.enrol("bob@example.com");
    const session = await sessionOf(bob);
    await removeApprover(deployment.server, "bob@example.com");
    assert.deepEqual(await inviteSelf(deployment.server, session), { refused: "signed_out" });
    assert.equal(await deployment.server.store.findApproverByEmail("bob@example.com"), undefined);
  });

  test("are no longer valid once the device that created them is removed", async () => {
    const bob = await deployment.enrol("bob@example.com");
    const form = { csrf: readHiddenFields(await (await bob.get("/devices")).text()).csrf ?? "" };
    const link = (await (await slowPost("/devices/add", bob, form))()).headers.get("location") ?? "";
    assert.match(link, /^\/enrol\/[^/]+\/elsewhere$/);
    const links = [link, link.replace("/elsewhere", "")];
    for (const one of links) assert.equal((await deployment.request(one)).status, 200);
    assert.equal(await removeDevice(deployment.server.store, await deviceOf(bob)), "removed");
    for (const one of links) assert.equal((await deployment.request(one)).status, 410);
  });
});

describe("removal", () => {
  test("retries after a conflict with a concurrent write to a device, approver or agent", async () => {
    const { store } = deployment.server;
    const ada = await deployment.enrol("ada@example.com");
    const session = await sessionOf(ada);
    const [, device] = await Promise.all([signOut(store, session), removeDevice(store, await deviceOf(ada))]);
    assert.equal(device, "removed");

    const bob = await deployment.enrol("bob@example.com");
    const [, person] = await Promise.all([
      signOut(store, await sessionOf(bob)),
      removeApprover(deployment.server, "bob@example.com"),
    ]);
    assert.equal(person, "removed");

    await addAgent(store, {
      id: "agent-9",
      name: "Nine",
      types: ["refund"],
      credential: { method: "client_secret_post" },
    });
    const [, agent] = await Promise.all([
      pauseAgent(store, "agent-9", true),
      removeClient(store, "agent", "agent-9"),
    ]);
    assert.equal(agent, "done");
  });

  test("reports faults by route, not by a path with an invitation's secret", async () => {
    const { store } = deployment.server;
    const { read } = store;
    store.read = (() => {
      throw new Error("the disk refused to read");
    }) as typeof read;
    const answer = await deployment.request("/enrol/an-invitation-secret");
    store.read = read;
    assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "2"]);
    assert.deepEqual(deployment.faultOperations, ["GET /enrol/:id"]);
    deployment.faults.length = 0;
  });

  test("rejects the redemption if the approver is removed while the token is signed", async () => {
    const bob = await deployment.enrol("bob@example.com");
    orders += 1;
    const details = JSON.stringify([{ ...refund, order: `R-${orders}` }]);
    const { body } = await deployment.ask({ authorization_details: details, login_hint: "bob@example.com" });
    assert.equal((await bob.decide(toRequestId(body.auth_req_id), "approve")).status, 303);
    // Signing is the time between what is read and what is written.
    const { signer } = deployment.server.keyring;
    const { accessToken } = signer;
    let signed = 0;
    signer.accessToken = async (claims) => {
      signed += 1;
      await removeApprover(deployment.server, "bob@example.com");
      return await accessToken(claims);
    };
    const redeemed = await deployment.poll(body.auth_req_id);
    signer.accessToken = accessToken;
    assert.deepEqual([signed, redeemed.status, redeemed.body.error], [1, 400, "access_denied"]);
    assert.equal(
      (await deployment.server.store.readStatus(toRequestId(body.auth_req_id)))?.state,
      "approved",
    );
    assert.equal((await deployment.poll(body.auth_req_id)).body.error, "access_denied");
  });
});
