import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  deploy,
  findForm,
  issuer,
  type Person,
  readHiddenFields,
  readPasskeyOptions,
  refund,
  toRequestId,
} from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { computeDecideBy } from "../../src/domain/request/request.ts";
import { minFormAgeMs } from "../../src/http/page/session.ts";

const deployment = useDeployment({ approvers: ["ada", "bob"] });

let orders = 0;
async function ask(
  type = "refund",
  changed: Record<string, string> = {},
): Promise<{ authReqId: string; id: string }> {
  orders += 1;
  const action = { ...refund, type, order: `D-${orders}` };
  const answer = await deployment.ask({ authorization_details: JSON.stringify([action]), ...changed });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return { authReqId: answer.body.auth_req_id, id: toRequestId(answer.body.auth_req_id) };
}

async function stateOf(id: string) {
  return (await deployment.server.store.read("request", id))?.record.status.state;
}

/** A POST as a browser sends it, from the page with this origin. */
function post(path: string, form: Record<string, string>, headers: Record<string, string>) {
  return deployment.request(path, { method: "POST", headers, body: new URLSearchParams(form) });
}

describe("GET of every link", () => {
  test("changes nothing, also as HEAD, with and without a session (T4)", async () => {
    const { id } = await ask("signed-refund");
    for (const headers of [undefined, { cookie: deployment.ada.cookie }])
      for (const method of ["GET", "HEAD"])
        for (const path of [
          `/requests/${id}`,
          `/requests/${id}/decision`,
          `/requests/${id}/pause-agent`,
          "/inbox",
        ])
          await deployment.request(path, { method, headers });
    assert.equal(await stateOf(id), "pending");
    assert.equal((await deployment.server.store.read("agent", deployment.agent.id))?.record.paused, false);
  });

  test("redirects to sign-in without a session, and shows no card or list (T2)", async () => {
    const { id } = await ask();
    for (const path of ["/inbox", `/requests/${id}`, "/devices", "/inbox/events"]) {
      const answer = await deployment.request(path);
      assert.deepEqual([answer.status, (await answer.text()).includes("10,000")], [303, false]);
      assert.match(answer.headers.get("location") ?? "", /^\/sign-in\?next=/);
    }
  });
});

describe("POST /requests/:id/decision", () => {
  test("records the approver of the session, whatever the form contains (T1)", async () => {
    const { id } = await ask("refund", { login_hint: "ada@example.com" });
    const made = await deployment.ada.decide(id, "approve", {
      approver: deployment.bob.approver,
      approved_by: "eve",
    });
    assert.equal(made.status, 303);
    const held = await deployment.server.store.read("request", id);
    assert.equal(
      held?.record.status.state === "approved" && held.record.status.decision.approver,
      deployment.ada.approver,
    );
  });

  test("returns 404 to an approver who is not a candidate, as does the card (T1)", async () => {
    const { id } = await ask("refund", { login_hint: "ada@example.com" });
    assert.equal((await deployment.bob.get(`/requests/${id}`)).status, 404);
    const csrf = readHiddenFields(await (await deployment.bob.get("/devices")).text()).csrf ?? "";
    const card = (await deployment.server.store.read("request", id))?.record.cardHash ?? "";
    const tried = await post(
      `/requests/${id}/decision`,
      { csrf, card, verdict: "approve" },
      { origin: issuer, cookie: deployment.bob.cookie },
    );
    assert.equal(tried.status, 404);
    assert.equal(await stateOf(id), "pending");
  });

  test("requires the server's origin and the session's CSRF token", async () => {
    const { id } = await ask();
    const form: Record<string, string> = {
      ...readHiddenFields(findForm(await (await deployment.ada.get(`/requests/${id}`)).text(), "approve")),
      verdict: "approve",
    };
    const { csrf: _, ...unstamped } = form;
    const bobs = readHiddenFields(await (await deployment.bob.get("/devices")).text()).csrf ?? "";
    const attempts: readonly (readonly [Record<string, string>, Record<string, string>])[] = [
      [form, { cookie: deployment.ada.cookie }],
      [form, { cookie: deployment.ada.cookie, origin: "https://evil.example" }],
      [form, { cookie: deployment.ada.cookie, origin: "null" }],
      [unstamped, { cookie: deployment.ada.cookie, origin: issuer }],
      [
        { ...form, csrf: bobs },
        { cookie: deployment.ada.cookie, origin: issuer },
      ],
      [
        { ...form, csrf: `${form.csrf}x` },
        { cookie: deployment.ada.cookie, origin: issuer },
      ],
    ];
    for (const [body, headers] of attempts)
      assert.equal((await post(`/requests/${id}/decision`, body, headers)).status, 403);
    assert.equal(await stateOf(id), "pending");
  });

  test("refuses a form that arrives within 700 ms after its page, and shows the page again (T65)", async () => {
    const slow = await deploy({ minFormAgeMs });
    try {
      const ada = await slow.enrol("ada@example.com");
      const asked = await slow.ask();
      const id = toRequestId(asked.body.auth_req_id);
      const page = await (await ada.get(`/requests/${id}`)).text();
      const headers = { origin: issuer, cookie: ada.cookie };
      const submit = (path: string, form: Record<string, string>) =>
        slow.request(path, { method: "POST", headers, body: new URLSearchParams(form) });
      const { csrf = "", ...fields } = readHiddenFields(findForm(page, "approve"));
      const device = (await slow.server.store.listDevicesOf(ada.approver))[0]?.id ?? "";
      const forms: readonly (readonly [string, Record<string, string>])[] = [
        [`/requests/${id}/decision`, { ...fields, csrf, verdict: "approve" }],
        [`/requests/${id}/decision`, { ...fields, csrf, verdict: "deny" }],
        [`/requests/${id}/pause-agent`, { csrf }],
        ["/devices/add", { csrf }],
        [`/devices/${device}/remove`, { csrf }],
        ["/sign-out", { csrf }],
      ];
      slow.clock.now += minFormAgeMs - 1;
      for (const [path, form] of forms) {
        const refused = await submit(path, form);
        const text = await refused.text();
        assert.match(text, /pressed before this page could be read/, path);
        assert.match(text, path.startsWith("/requests/") ? /id="approve"/ : /Your devices/, path);
        assert.equal(refused.status, 409, path);
      }
      const { store } = slow.server;
      assert.equal((await store.read("request", id))?.record.status.state, "pending");
      assert.equal((await store.read("agent", slow.agent.id))?.record.paused, false);
      // The time of rendering is authenticated, and belongs to the session.
      const mac = csrf.slice(csrf.indexOf("."));
      const older = await submit(forms[0]![0], { ...forms[0]![1], csrf: `${slow.clock.now - 10_000}${mac}` });
      assert.equal(older.status, 403);
      // A node whose clock is behind the one that rendered the page.
      slow.clock.now -= minFormAgeMs;
      assert.equal((await submit("/devices/add", { csrf })).status, 303);
      slow.clock.now += minFormAgeMs + 1;
      assert.equal((await submit(...forms[0]!)).status, 303);
      assert.equal((await store.read("request", id))?.record.status.state, "approved");
    } finally {
      await slow.close();
    }
  });

  test("a page that another site opens is one link away, with or without scripts (T65)", async () => {
    const { id } = await ask();
    const get = (path: string, site?: string) =>
      deployment
        .request(path, {
          headers: { cookie: deployment.ada.cookie, ...(site !== undefined && { "sec-fetch-site": site }) },
        })
        .then((answer) => answer.text());
    for (const site of ["cross-site", "same-site"])
      for (const path of [`/requests/${id}`, `/requests/${id}?via=mail`, "/devices", "/inbox"]) {
        const page = await get(path, site);
        assert.ok(page.includes(`<a class="verdict" href="${path}">`), path);
        assert.doesNotMatch(page, /<form|<button|10,000/, path);
      }
    for (const site of [undefined, "none", "same-origin"])
      assert.match(await get(`/requests/${id}`, site), /id="approve"/, site);
  });

  test("rejects the form of another card (T9, T10)", async () => {
    const [one, other] = [await ask(), await ask()];
    const form = {
      ...readHiddenFields(
        findForm(await (await deployment.ada.get(`/requests/${other.id}`)).text(), "approve"),
      ),
      verdict: "approve",
    };
    const answer = await post(`/requests/${one.id}/decision`, form, {
      origin: issuer,
      cookie: deployment.ada.cookie,
    });
    assert.equal(answer.status, 409);
    assert.equal(await stateOf(one.id), "pending");
  });

  test("accepts one assertion of this approver for this card at level passkey-signed", async () => {
    const [one, other] = [
      await ask("signed-refund", { login_hint: "owner" }),
      await ask("signed-refund", { login_hint: "owner" }),
    ];
    const page = findForm(await (await deployment.ada.get(`/requests/${one.id}`)).text(), "approve");
    const form = readHiddenFields(page);
    const attempts = {
      "no assertion": { assertion: "" },
      "an assertion that is no JSON": { assertion: "{" },
      "an assertion of another challenge": {
        assertion: JSON.stringify(
          deployment.ada.passkey.createAssertion(
            readPasskeyOptions(
              findForm(await (await deployment.ada.get(`/requests/${other.id}`)).text(), "approve"),
            ),
          ),
        ),
      },
      "another approver's passkey": {
        assertion: JSON.stringify(deployment.bob.passkey.createAssertion(readPasskeyOptions(page))),
      },
      "a ceremony that nobody opened": {
        ceremony: "x".repeat(43),
        assertion: JSON.stringify(deployment.ada.passkey.createAssertion(readPasskeyOptions(page))),
      },
    };
    for (const [name, changed] of Object.entries(attempts)) {
      const answer = await post(
        `/requests/${one.id}/decision`,
        { ...form, verdict: "approve", ...changed },
        { origin: issuer, cookie: deployment.ada.cookie },
      );
      assert.equal(answer.status, 409, name);
      assert.equal(await stateOf(one.id), "pending", name);
    }
    const assertion = JSON.stringify(deployment.ada.passkey.createAssertion(readPasskeyOptions(page)));
    const good = { ...form, verdict: "approve", assertion };
    const headers = { origin: issuer, cookie: deployment.ada.cookie };
    assert.equal((await post(`/requests/${one.id}/decision`, good, headers)).status, 303);
    assert.equal((await post(`/requests/${one.id}/decision`, good, headers)).status, 409, "used once");
    assert.equal(
      (await post(`/requests/${other.id}/decision`, good, headers)).status,
      409,
      "and for nothing else",
    );
    assert.equal(await stateOf(other.id), "pending");
  });

  test("accepts a denial with a session at every level, and returns its reason to the agent", async () => {
    for (const type of ["refund", "fresh-refund", "signed-refund"]) {
      const { id, authReqId } = await ask(type);
      const reason = "Erst prüfen — „zu viel“";
      assert.equal((await deployment.ada.decide(id, "deny", { reason })).status, 303);
      const polled = await deployment.poll(authReqId);
      assert.deepEqual([polled.status, polled.body.error], [400, "access_denied"]);
      assert.equal(polled.body.denial_reason, reason, "T44");
      assert.match(polled.body.error_description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
    }
  });

  test("rejects a denial reason that cannot be shown, and accepts the denial without it", async () => {
    const { id, authReqId } = await ask("refund");
    const refused = await deployment.ada.decide(id, "deny", { reason: "no \u2764\ufe0f" });
    assert.equal(refused.status, 409);
    const card = await refused.text();
    assert.match(
      card,
      /The reason is longer than 300 characters, or it contains characters that cannot be shown/,
    );
    assert.match(card, /<form id="deny"/);
    assert.equal((await deployment.poll(authReqId)).body.error, "authorization_pending");
    assert.equal((await deployment.ada.decide(id, "deny")).status, 303);
    assert.equal((await deployment.poll(authReqId)).body.error, "access_denied");
  });

  test("requires a new assertion in an old session at level passkey, but not for a denial", async () => {
    const { id } = await ask("fresh-refund", { requested_expiry: "600" });
    const old = await deployment.enrol("ada@example.com");
    deployment.clock.now += 5 * 60_000;
    const form = { csrf: "", card: "" };
    const page = await (await old.get(`/requests/${id}`)).text();
    assert.match(page, /href="\/sign-in\?next=/);
    Object.assign(form, readHiddenFields(page));
    const answer = await post(
      `/requests/${id}/decision`,
      { ...form, verdict: "approve" },
      { origin: issuer, cookie: old.cookie },
    );
    assert.equal(answer.status, 409);
    const signIn = await (await deployment.request("/sign-in")).text();
    const back = await post(
      "/sign-in",
      {
        ...readHiddenFields(signIn),
        assertion: JSON.stringify(old.passkey.createAssertion(readPasskeyOptions(signIn))),
        next: `/requests/${id}`,
      },
      { origin: issuer },
    );
    assert.equal(back.headers.get("location"), `/requests/${id}`);
    old.cookie = (back.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
    assert.equal((await old.decide(id, "approve")).status, 303);
  });

  test("rejects a decision shortly before expiry; an earlier approval stays redeemable (T11)", async () => {
    const late = await ask();
    const inTime = await ask();
    const { createdAt, expiresAt } = (await deployment.server.store.read("request", late.id))!.record;
    const closes = computeDecideBy(createdAt, expiresAt);
    const form = {
      ...readHiddenFields(
        findForm(await (await deployment.ada.get(`/requests/${late.id}`)).text(), "approve"),
      ),
      verdict: "approve",
    };
    deployment.clock.now = closes - 1;
    assert.equal((await deployment.ada.decide(inTime.id, "approve")).status, 303);
    deployment.clock.now = closes;
    assert.equal(
      (await post(`/requests/${late.id}/decision`, form, { origin: issuer, cookie: deployment.ada.cookie }))
        .status,
      409,
    );
    assert.equal((await deployment.poll(inTime.authReqId)).status, 200);
    deployment.clock.now = expiresAt;
    assert.equal((await deployment.poll(late.authReqId)).body.error, "expired_token");
  });

  test("keeps expired, lapsed, denied and cancelled apart in response and log (T19, T22, T26)", async () => {
    const { cancelRequest } = await import("../../src/usecase/request/cancel.ts");
    const [expired, lapsed, denied, cancelled] = [await ask(), await ask(), await ask(), await ask()];
    await deployment.ada.decide(lapsed.id, "approve");
    await deployment.ada.decide(denied.id, "deny");
    await cancelRequest(deployment.server.store, cancelled.id);
    deployment.clock.now += 600_000;
    const errors = async () =>
      Promise.all(
        [expired, lapsed, denied, cancelled].map(
          async ({ authReqId }) => (await deployment.poll(authReqId)).body.error,
        ),
      );
    const wanted = ["expired_token", "expired_token", "access_denied", "access_denied"];
    assert.deepEqual(await errors(), wanted, "before the sweeper has seen them");
    await deployment.server.runJobs();
    assert.deepEqual(await errors(), wanted, "and after");
    deployment.clock.now += 30 * 24 * 3_600_000;
    await deployment.server.runJobs();
    assert.deepEqual(await errors(), wanted, "and long after");
    const events = async (id: string) =>
      JSON.parse((await deployment.server.store.log.newest(1, id))[0]?.line ?? "{}").event;
    assert.deepEqual(await Promise.all([expired, lapsed, denied, cancelled].map(({ id }) => events(id))), [
      "request.expired",
      "request.lapsed",
      "request.denied",
      "request.cancelled",
    ]);
  });

  test("rejects an approver who was removed from the group, and applies a stricter level", async (t) => {
    const stricter = await deploy();
    t.after(() => stricter.close());
    const bobThere = await stricter.enrol("bob@example.com");
    const answer = await stricter.ask({ login_hint: "bob@example.com" });
    const id = toRequestId(answer.body.auth_req_id);
    await stricter.restart({ groups: { finance: ["ada@example.com"] } });
    assert.equal((await bobThere.decide(id, "approve")).status, 409);
    await stricter.restart({ actions: { refund: { level: "passkey-signed" } } });
    const page = await (await bobThere.get(`/requests/${id}`)).text();
    assert.match(findForm(page, "approve"), /name="assertion"/, "the stricter level is asked for");
    assert.equal((await bobThere.decide(id, "approve")).status, 303);
  });
});

describe("POST /requests/:id/pause-agent", () => {
  test("pauses the agent and logs the approver", async () => {
    deployment.ada.cookie = (await deployment.enrol("ada@example.com")).cookie;
    const { id, authReqId } = await ask();
    const other = await ask();
    const csrf = readHiddenFields(await (await deployment.ada.get(`/requests/${id}`)).text()).csrf ?? "";
    const answer = await post(
      `/requests/${id}/pause-agent`,
      { csrf },
      { origin: issuer, cookie: deployment.ada.cookie },
    );
    assert.equal(answer.status, 200);
    assert.equal((await deployment.ada.decide(other.id, "approve")).status, 409, "nothing of it is approved");
    assert.equal((await deployment.poll(authReqId)).body.error, "authorization_pending");
    const [entry] = await deployment.server.store.log.newest(1);
    const { event, agent, approver, actor } = JSON.parse(entry?.line ?? "{}");
    assert.deepEqual(
      { event, agent, approver },
      { event: "agent.paused", agent: deployment.agent.id, approver: deployment.ada.approver },
    );
    assert.deepEqual(actor, { type: "approver", id: deployment.ada.approver, via: "page" });
    const { pauseAgent } = await import("../../src/usecase/client/client-lifecycle.ts");
    await pauseAgent(deployment.server.store, deployment.agent.id, false);
  });
});

describe("POST /enrol/:secret", () => {
  test("enrols once; a used or unknown invitation returns 410", async () => {
    const { invite } = await import("../../src/usecase/people/enrol.ts");
    const { createVirtualAuthenticator: createSoftPasskey } = await import(
      "@countersign/testing/browser/virtual-authenticator"
    );
    const { secret } = await invite(deployment.server, "carol@example.com", "Carol");
    assert.equal((await deployment.request(`/enrol/${secret}`)).status, 200);
    assert.equal((await deployment.request(`/enrol/${secret}`)).status, 200, "opening it uses nothing up");
    const passkey = createSoftPasskey({ rpId: "localhost", origin: issuer });
    const page = await (await deployment.request(`/enrol/${secret}`)).text();
    const form = {
      ...readHiddenFields(page),
      attestation: JSON.stringify(passkey.createAttestation(readPasskeyOptions(page))),
      device: "Phone",
    };
    const [first, second] = await Promise.all([
      post(`/enrol/${secret}`, form, { origin: issuer }),
      post(`/enrol/${secret}`, form, { origin: issuer }),
    ]);
    assert.deepEqual([first.status, second.status].sort(), [303, 410]);
    assert.equal((await deployment.request(`/enrol/${secret}`)).status, 410);
    assert.equal((await deployment.request(`/enrol/${"x".repeat(43)}`)).status, 410);
  });

  test("rejects a passkey of another site or without user verification", async () => {
    const { invite } = await import("../../src/usecase/people/enrol.ts");
    const { createVirtualAuthenticator: createSoftPasskey } = await import(
      "@countersign/testing/browser/virtual-authenticator"
    );
    const { secret } = await invite(deployment.server, "dan@example.com", "Dan");
    for (const party of [
      { rpId: "localhost", origin: "https://evil.example" },
      { rpId: "evil.example", origin: issuer },
    ]) {
      const page = await (await deployment.request(`/enrol/${secret}`)).text();
      const attestation = JSON.stringify(
        createSoftPasskey(party).createAttestation(readPasskeyOptions(page)),
      );
      const answer = await post(
        `/enrol/${secret}`,
        { ...readHiddenFields(page), attestation, device: "Phone" },
        { origin: issuer },
      );
      assert.equal(answer.status, 409);
    }
    assert.equal(
      (await deployment.request(`/enrol/${secret}`)).status,
      200,
      "and the invitation is still good",
    );
  });
});

describe("POST /devices/:id/remove", () => {
  test("keeps the last device; removing a device ends its sessions", async () => {
    const eve = await deployment.enrol("eve@example.com");
    const remove = async (person: Person, device: string) => {
      const csrf = readHiddenFields(await (await person.get("/devices")).text()).csrf ?? "";
      return post(`/devices/${device}/remove`, { csrf }, { origin: issuer, cookie: person.cookie });
    };
    await remove(eve, eve.passkey.id);
    assert.equal((await deployment.server.store.listDevicesOf(eve.approver)).length, 1);
    const second = await deployment.enrol("eve@example.com");
    await remove(second, eve.passkey.id);
    assert.deepEqual(
      (await deployment.server.store.listDevicesOf(eve.approver)).map(({ id }) => id),
      [second.passkey.id],
    );
    assert.equal((await eve.get("/inbox")).status, 303, "signed out with its device");
    assert.equal((await second.get("/inbox")).status, 200);
    await remove(deployment.ada, second.passkey.id);
    assert.equal(
      (await deployment.server.store.listDevicesOf(eve.approver)).length,
      1,
      "somebody else's device is not mine to remove",
    );
  });
});

describe("sign-in", () => {
  test("keeps the channel of the link through sign-in, and records it with the decision", async () => {
    const id = toRequestId((await deployment.ask()).body.auth_req_id);
    const link = `/requests/${id}?via=mail`;
    const redirected = await deployment.request(link, { redirect: "manual" });
    const signIn = redirected.headers.get("location") ?? "";
    assert.equal(readHiddenFields(await (await deployment.request(signIn)).text()).next, link);
    // Only a channel that is configured here is one: this deployment has none.
    assert.doesNotMatch(await (await deployment.ada.get(link)).text(), /name="via"/);
    const odd = await deployment.request(`/requests/${id}?via=/../x`, { redirect: "manual" });
    assert.equal(
      readHiddenFields(await (await deployment.request(odd.headers.get("location") ?? "")).text()).next,
      `/requests/${id}`,
    );
  });

  test("redirects only to pages of this server", async () => {
    for (const next of [
      "https://evil.example",
      "//evil.example",
      "/\\evil.example",
      "/requests/../x",
      "javascript:alert(1)",
    ]) {
      const page = await (await deployment.request(`/sign-in?next=${encodeURIComponent(next)}`)).text();
      assert.equal(readHiddenFields(page).next, "/inbox");
    }
  });
});
