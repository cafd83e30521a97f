/**
 * Reading `application/x-www-form-urlencoded`, strictly: what cannot be decoded is refused rather than repaired, and a
 * parameter that comes twice is refused (RFC 6749 §3.1, §3.2). Empty parameters count as absent, as the same sections say.
 */
import { OAuthError } from "./oauth-error.ts";

/** Bytes. An ask with a large action fits several times over. */
const longestBody = 64 * 1024;

export type Form = ReadonlyMap<string, string>;

const utf8 = new TextDecoder("utf-8", { fatal: true });

export async function readForm(request: Request): Promise<Form> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type))
    throw new OAuthError("invalid_request", "the body must be application/x-www-form-urlencoded");
  const declared = Number(request.headers.get("content-length") ?? "0");
  if (declared > longestBody) throw tooLong();
  return parseForm(await readText(request));
}

async function readText(request: Request): Promise<string> {
  const counted = await readWhole(request);
  try {
    return utf8.decode(counted);
  } catch {
    throw new OAuthError("invalid_request", "the body is not UTF-8");
  }
}

async function readWhole(request: Request): Promise<ArrayBuffer | Uint8Array> {
  try {
    // Node holds a body to its declared length; one without is counted as it arrives.
    return request.headers.has("content-length")
      ? await request.arrayBuffer()
      : await readCounted(request.body);
  } catch (error) {
    // A caller who hangs up is no fault of ours.
    throw error instanceof OAuthError
      ? error
      : new OAuthError("invalid_request", "the body did not arrive whole");
  }
}

async function readCounted(body: ReadableStream<Uint8Array> | null): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.byteLength;
    if (length > longestBody) throw tooLong();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function parseForm(text: string): Form {
  const form = new Map<string, string>();
  if (text === "") return form;
  const seen = new Set<string>();
  for (const pair of text.split("&")) {
    const equals = pair.indexOf("=");
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? "" : decode(pair.slice(equals + 1));
    if (seen.has(name)) throw new OAuthError("invalid_request", "a parameter is given twice");
    seen.add(name);
    if (value !== "") form.set(name, value);
  }
  return form;
}

function decode(text: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text.includes("+") ? text.replaceAll("+", " ") : text);
  } catch {
    throw new OAuthError("invalid_request", "a parameter is not well-formed UTF-8");
  }
  if (decoded.includes("\0")) throw new OAuthError("invalid_request", "a parameter holds a NUL character");
  return decoded;
}

function tooLong(): OAuthError {
  return new OAuthError("invalid_request", `the body is longer than ${longestBody} bytes`, { status: 413 });
}

/** A parameter that must be there. */
export function required(form: Form, name: string): string {
  const value = form.get(name);
  if (value === undefined) throw new OAuthError("invalid_request", `${name} is missing`);
  return value;
}
