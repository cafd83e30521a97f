/** Malformed requests for every route, and snapshots of a store to compare. */
import { DatabaseSync } from "node:sqlite";
import { type Deployment, issuer } from "../server/deployment.ts";

/** Path parameters with a meaning to JavaScript, to SQL or to a file system. */
export const fuzzNames = [
  "__proto__",
  "constructor",
  "toString",
  "%00",
  "a%00b",
  "%ff",
  "%E0%A4%A",
  "%ED%A0%80",
  "%0d%0aset-cookie:x=1",
  "..%2f..%2fetc%2fpasswd",
  "%",
  "'%20or%20'1'='1",
  "a".repeat(4000),
];

const form = "application/x-www-form-urlencoded";
const json = "application/json";
const unknownClient = `${encodeURIComponent("a\0b")}:x`;
const base64 = (text: string) => Buffer.from(text).toString("base64");
const jwt = (header: unknown, payload: unknown) =>
  [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");

type FuzzRequest = {
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
};

/** Malformed requests by their defect. */
export const fuzzRequests: Readonly<Record<string, FuzzRequest>> = {
  "nothing at all": { headers: {} },
  "no form": { headers: { "content-type": "text/html" }, body: "<form>" },
  "a type with no name": { headers: { "content-type": ";;;" }, body: "a=b" },
  "many parts": { headers: { "content-type": "multipart/form-data; boundary=x" }, body: "--x--" },
  "invalid UTF-8": { headers: { "content-type": form }, body: new Uint8Array([0x61, 0x3d, 0xff, 0xfe]) },
  "invalid UTF-8, encoded": { headers: { "content-type": form }, body: "token=%ff%fe" },
  "a cut escape": { headers: { "content-type": form }, body: "token=%E0%A4%A" },
  "a NUL": { headers: { "content-type": form }, body: "token=a%00b&client_id=a%00b&client_secret=%00" },
  "a NUL in the name of a client": {
    headers: { "content-type": form, authorization: `Basic ${base64(unknownClient)}` },
    body: "token=x",
  },
  "a NUL in the name of a client, as it is": {
    headers: { "content-type": form, authorization: `Basic ${base64("a\0b:x\0")}` },
    body: "token=x",
  },
  "bytes that are no text for a client": {
    headers: {
      "content-type": form,
      authorization: `Basic ${Buffer.from([255, 254, 58, 0]).toString("base64")}`,
    },
    body: "token=x",
  },
  "an escape that is none, for a client": {
    headers: { "content-type": form, authorization: `Basic ${base64("%E0%A4%A:%")}` },
    body: "token=x",
  },
  "an assertion by a NUL": {
    headers: { "content-type": form },
    body: new URLSearchParams({
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: `${jwt({ alg: "none" }, { iss: "a\0b", sub: "a\0b" })}.`,
    }).toString(),
  },
  "an assertion by half a character": {
    headers: { "content-type": form },
    body: `client_assertion_type=${encodeURIComponent("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")}&client_assertion=${jwt({ alg: 5, typ: [] }, { iss: "\ud800" })}.x`,
  },
  "a parameter twice": { headers: { "content-type": form }, body: "token=a&token=b&csrf=a&csrf=a" },
  "the language's own names": {
    headers: { "content-type": form },
    body: "__proto__=1&constructor=2&toString=3&hasOwnProperty=4&verdict=constructor&client_id=__proto__&client_secret=x",
  },
  "a body that is too long": { headers: { "content-type": form }, body: `token=${"a".repeat(66_000)}` },
  "very many parameters": {
    headers: { "content-type": form },
    body: Array.from({ length: 8000 }, (_, at) => `a${at}=1`).join("&"),
  },
  JSON: { headers: { "content-type": json }, body: '{"__proto__":{"a":1},"constructor":{}}' },
  "JSON that is too deep": { headers: { "content-type": json }, body: "[".repeat(20_000) },
  "JSON that says things twice": { headers: { "content-type": json }, body: '{"jwks":1,"jwks":2}' },
  "a token of none": {
    headers: { "content-type": json, authorization: `Bearer ${"a".repeat(600)}` },
    body: "{}",
  },
  "two ways of authentication": {
    headers: { "content-type": form, authorization: `Basic ${base64("a:b")}` },
    body: "client_id=a&client_secret=b",
  },
  "a passkey's answer that is none": {
    headers: { "content-type": form },
    body: new URLSearchParams({
      ceremony: "a.b.c",
      assertion: JSON.stringify({ id: "a\0b", response: { clientDataJSON: 5 } }),
      attestation: JSON.stringify({ id: {}, response: null }),
      next: "//evil.example",
    }).toString(),
  },
  "every header that means something": {
    headers: {
      "content-type": form,
      "content-length": "0",
      "idempotency-key": "\t",
      dpop: "a.b.c, d.e.f",
      prefer: "wait=99999999999999999999, wait=-1, wait",
      cookie: `countersign=${"a".repeat(43)}; countersign=;;; __proto__=1`,
      "client-cert": ":AAAA:",
      forwarded: "host=evil.example",
      "x-forwarded-host": "evil.example",
      "x-http-method-override": "DELETE",
      "if-none-match": "*",
      range: "bytes=0-0",
    },
    body: "",
  },
};

/** Sends every malformed request to every route with every method, and reports each response. */
export async function fuzzRoutes(
  deployment: Deployment,
  onResponse: (what: string, response: Response, text: string, path: string) => void,
): Promise<void> {
  const accept = "text/html";
  const paths = new Map<string, Set<string>>();
  for (const { method, path } of deployment.server.routes)
    paths.set(path, (paths.get(path) ?? new Set()).add(method));
  for (const [path, methods] of paths) {
    const filled = path.replace(/:\w+/, "nobody");
    for (const [name, { headers, body }] of Object.entries(fuzzRequests))
      for (const method of new Set([...methods, "POST"])) {
        // With the origin of the server, so that the CSRF check does not hide the rest.
        const init = { method, headers: { accept, origin: issuer, ...headers } };
        const response = await deployment.request(
          filled,
          method === "GET" ? init : { ...init, body: body ?? null },
        );
        onResponse(`${method} ${path}, ${name}`, response, await readText(response), path);
      }
    for (const method of ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "PROPFIND"]) {
      if (methods.has(method)) continue;
      const response = await deployment.request(filled, { method, headers: { accept } });
      onResponse(`${method} ${path}`, response, await readText(response), path);
    }
    if (filled === path) continue;
    for (const name of fuzzNames)
      for (const method of methods) {
        const headers = { accept, origin: issuer, authorization: "Bearer nobody", "content-type": json };
        const response = await deployment.request(path.replace(/:\w+/, name), { method, headers });
        onResponse(`${method} ${path} of ${name.slice(0, 30)}`, response, await readText(response), path);
      }
  }
}

/** Reads the body; an event stream does not end and is cancelled. */
async function readText(response: Response): Promise<string> {
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return await response.text();
  await response.body?.cancel();
  return "";
}

/** Reads all tables of a database except the replay cache and `exceptTables`. */
export function snapshotStore(file: string, exceptTables: readonly string[] = []): Record<string, unknown[]> {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const tables = database
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
      .all() as { name: string }[];
    return Object.fromEntries(
      tables
        .filter(({ name }) => !["replay", ...exceptTables].includes(name))
        .map(({ name }) => [name, database.prepare(`SELECT * FROM "${name}"`).all()]),
    );
  } finally {
    database.close();
  }
}
