/** An approver with a soft passkey who uses the pages as a browser does. */
import { setTimeout as sleep } from "node:timers/promises";
import { minFormAgeMs } from "../../../server/src/http/page/session.ts";
import { createVirtualAuthenticator, type VirtualAuthenticator } from "../browser/virtual-authenticator.ts";

/** A person with a soft passkey and a browser's cookie. */
export type Person = {
  readonly approver: string;
  readonly passkey: VirtualAuthenticator;
  cookie: string;
  /** GETs a page as this person. */
  readonly get: (path: string) => Promise<Response>;
  /** Submits the form of the card, with its hidden fields, as a browser would. */
  readonly decide: (
    requestId: string,
    verdict: "approve" | "deny",
    changed?: Readonly<Record<string, string>>,
  ) => Promise<Response>;
};

/** The server as a browser reaches it. */
export type PersonTarget = {
  readonly origin: string;
  readonly request: (path: string, init?: RequestInit) => Promise<Response>;
};

/** Enrols the invited approver with a new passkey. Rejects if the server refuses the enrolment. */
export async function enrolPerson(
  { origin, request }: PersonTarget,
  { secret, approver }: { readonly secret: string; readonly approver: string },
): Promise<Person> {
  const passkey = createVirtualAuthenticator({ rpId: "localhost", origin });
  const page = await (await request(`/enrol/${secret}`)).text();
  const attestation = passkey.createAttestation(readPasskeyOptions(page));
  const enrolled = await request(`/enrol/${secret}`, {
    method: "POST",
    headers: { origin },
    body: new URLSearchParams({
      ...readHiddenFields(page),
      attestation: JSON.stringify(attestation),
      device: "Phone",
    }),
  });
  if (enrolled.status !== 303)
    throw new Error(`enrolment returned ${enrolled.status}: ${await enrolled.text()}`);
  const person: Person = {
    approver,
    passkey,
    cookie: (enrolled.headers.get("set-cookie") ?? "").split(";")[0] ?? "",
    get: (path) => request(path, { headers: { cookie: person.cookie } }),
    decide: async (requestId, verdict, changed = {}) => {
      const card = await (await person.get(`/requests/${requestId}`)).text();
      const form: Record<string, string> = { ...readHiddenFields(findForm(card, verdict)), verdict };
      if (verdict === "approve" && form.ceremony)
        form.assertion = JSON.stringify(passkey.createAssertion(readPasskeyOptions(findForm(card, verdict))));
      return await request(`/requests/${requestId}/decision`, {
        method: "POST",
        headers: { origin, cookie: person.cookie },
        body: new URLSearchParams({ ...form, ...changed }),
      });
    },
  };
  return person;
}

/**
 * Opens a page with forms and waits until the server accepts them. Returns the page's CSRF token, with which the session
 * submits forms without waiting again.
 */
export async function readCsrfToken(getPage: (path: string) => Promise<string>): Promise<string> {
  const { csrf = "" } = readHiddenFields(await getPage("/devices"));
  await sleep(minFormAgeMs + 50);
  return csrf;
}

/** Unescapes the value of an attribute of a page. */
function unescapeAttribute(text: string): string {
  const entities: Record<string, string> = {
    "&quot;": '"',
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    "&#39;": "'",
  };
  return text.replace(/&(quot|amp|lt|gt|#39);/g, (entity) => entities[entity] ?? entity);
}

export function readPasskeyOptions(html: string): any {
  return JSON.parse(unescapeAttribute(/data-options="([^"]*)"/.exec(html)?.[1] ?? "{}"));
}

export function readHiddenFields(html: string): Record<string, string> {
  const inputs = html.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g);
  return Object.fromEntries([...inputs].map(([, name = "", value = ""]) => [name, unescapeAttribute(value)]));
}

/** The form of a card with this id: `approve` or `deny`. */
export function findForm(html: string, id: string): string {
  return new RegExp(`<form id="${id}"[\\s\\S]*?</form>`).exec(html)?.[0] ?? "";
}
