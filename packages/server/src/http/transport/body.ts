/** Reads a request body as text: checks media type, size and UTF-8. */
import { isUtf8 } from "node:buffer";
import { OAuthError } from "../oauth/oauth-error.ts";
import type { ProtocolRequest } from "./protocol-request.ts";

/** Maximum bytes; several times the size of a large request. */
const longestBody = 64 * 1024;

export async function readBody(call: ProtocolRequest, mediaType: string): Promise<string> {
  const type = call.header("content-type") ?? "";
  if (type !== mediaType && type.split(";", 1)[0]!.trim().toLowerCase() !== mediaType)
    throw new OAuthError("invalid_request", `the body must be ${mediaType}`);
  const bytes = await call.body(longestBody);
  if (!isUtf8(bytes)) throw new OAuthError("invalid_request", "the body is not UTF-8");
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
