/** A second sign-in method needs no change of the page, the endpoint, the sessions or a use case. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  issuer,
  readHiddenFields,
  readPasskeyOptions,
  refund,
  toRequestId,
} from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { html } from "hono/html";
import type { SignInMethod } from "../../src/signin/sign-in-method.ts";
import { absent } from "../../src/store/store.ts";
import { readSession } from "../../src/usecase/people/session.ts";

/** A badge that is shown once: its number names the approver. */
const badge: SignInMethod = {
  name: "badge",
  begin: async () => ({ hidden: {}, controls: html`<input name="number"><button>Use my badge</button>` }),
  finish: async (fields) => {
    const { store, directory } = deployment.server;
    const [email = "", serial = ""] = (fields.get("number") ?? "").split("#");
    const entry = await directory.findByEmail(email);
    if (!entry?.active) return { refused: "rejected" };
    const record = { id: `badge:${serial}`, expiresAt: store.now() + 60_000 };
    return {
      authentication: {
        method: "badge",
        approver: entry.record,
        amr: ["hwk"],
        acr: "urn:example:badge",
        authenticatedAt: store.now(),
      },
      writes: [{ put: "replay", record, ifVersion: absent }],
      facts: { method: "badge" },
    };
  },
  failureText: "This badge was not accepted.",
};

const deployment = useDeployment({ signInMethods: [badge] });

const signIn = (form: Readonly<Record<string, string>>) =>
  deployment.request("/sign-in", {
    method: "POST",
    headers: { origin: issuer },
    body: new URLSearchParams(form),
  });
const cookieOf = (response: Response) => (response.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
const sessionOf = async (cookie: string) =>
  (await readSession(deployment.server, cookie.split("=")[1] ?? ""))?.session;

describe("sign-in methods", () => {
  test("shows one form per method: the default method first, without a method field", async () => {
    const page = await (await deployment.request("/sign-in?next=/devices")).text();
    const [passkeyForm = "", badgeForm = ""] = page.split("<form").slice(1);
    assert.deepEqual(Object.keys(readHiddenFields(passkeyForm)), ["ceremony", "assertion", "next"]);
    assert.match(passkeyForm, /data-passkey="get"/);
    assert.deepEqual(readHiddenFields(badgeForm), { method: "badge", next: "/devices" });
    assert.match(badgeForm, /Use my badge/);
  });

  test("starts a session of the method that the form names, and records the method", async () => {
    const response = await signIn({ method: "badge", number: "ada@example.com#1", next: "/devices" });
    assert.equal(response.headers.get("location"), "/devices");
    const session = await sessionOf(cookieOf(response));
    assert.equal(session?.approver, deployment.ada.approver);
    assert.deepEqual(
      { method: session.method, amr: session.amr, acr: session.acr, device: session.device },
      { method: "badge", amr: ["hwk"], acr: "urn:example:badge", device: undefined },
    );
    assert.equal(session.authenticatedAt, deployment.clock.now);
  });

  test("calls the default method for a form without a method", async () => {
    const page = await (await deployment.request("/sign-in")).text();
    const assertion = JSON.stringify(deployment.ada.passkey.createAssertion(readPasskeyOptions(page)));
    const response = await signIn({ ...readHiddenFields(page.split("</form>")[0] ?? ""), assertion });
    const session = await sessionOf(cookieOf(response));
    assert.deepEqual(
      { method: session?.method, amr: session?.amr, acr: session?.acr, device: session?.device },
      {
        method: "passkey",
        amr: ["pop", "user", "mfa"],
        acr: "urn:countersign:acr:passkey",
        device: deployment.ada.passkey.id,
      },
    );
  });

  test("shows the failure text in the form of a rejected method; rejects an unknown method", async () => {
    assert.equal((await signIn({ method: "badge", number: "ada@example.com#2" })).status, 303);
    for (const number of ["ada@example.com#2", "mallory@example.com#3"]) {
      const response = await signIn({ method: "badge", number });
      assert.equal(response.status, 409);
      assert.equal(response.headers.get("set-cookie"), null);
      const [passkeyForm = "", badgeForm = ""] = (await response.text()).split("<form").slice(1);
      assert.match(badgeForm, /This badge was not accepted/);
      assert.doesNotMatch(passkeyForm, /not accepted|could not be verified/);
    }
    assert.equal((await signIn({ method: "other", number: "ada@example.com#4" })).status, 400);
  });

  test("permits decisions at level session only in a session without a passkey, with its amr", async () => {
    const cookie = cookieOf(await signIn({ method: "badge", number: "ada@example.com#5" }));
    const decide = async (type: string) => {
      const details = JSON.stringify([{ ...refund, type, order: `B-${type}` }]);
      const { body } = await deployment.ask({ authorization_details: details });
      const id = toRequestId(body.auth_req_id);
      const card = await (await get(`/requests/${id}`, cookie)).text();
      const form = { ...readHiddenFields(card), verdict: "approve" };
      const decided = await deployment.request(`/requests/${id}/decision`, {
        method: "POST",
        headers: { origin: issuer, cookie },
        body: new URLSearchParams(form),
      });
      return { decided, request: (await deployment.server.store.read("request", id))?.record };
    };
    const { decided, request } = await decide("refund");
    assert.equal(decided.status, 303);
    assert.deepEqual(request?.status.state === "approved" && request.status.decision.amr, ["hwk"]);
    const fresh = await decide("fresh-refund");
    assert.equal(fresh.decided.status, 409);
    assert.equal(fresh.request?.status.state, "pending");
    assert.match(await fresh.decided.text(), /needs your passkey again/);
  });

  test("rejects adding a device in a session without a passkey", async () => {
    const cookie = cookieOf(await signIn({ method: "badge", number: "ada@example.com#6" }));
    const { csrf = "" } = readHiddenFields(await (await get("/devices", cookie)).text());
    const response = await deployment.request("/devices/add", {
      method: "POST",
      headers: { origin: issuer, cookie },
      body: new URLSearchParams({ csrf }),
    });
    assert.equal(response.headers.get("location"), "/sign-in?next=/devices");
  });
});

function get(path: string, cookie: string): Promise<Response> {
  return deployment.request(path, { headers: { cookie } });
}
