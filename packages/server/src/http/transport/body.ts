/** The body of a request, as text: of the one media type that is meant, bounded, and UTF-8 all through. */
import { isUtf8 } from "node:buffer";
import { OAuthError } from "../oauth/oauth-error.ts";
import type { ProtocolRequest } from "./protocol-request.ts";

/** Bytes. An ask with a large action fits several times over. */
const longestBody = 64 * 1024;

export async function readBody(call: ProtocolRequest, mediaType: string): Promise<string> {
  const type = call.header("content-type") ?? "";
  if (type !== mediaType && type.split(";", 1)[0]!.trim().toLowerCase() !== mediaType)
    throw new OAuthError("invalid_request", `the body must be ${mediaType}`);
  const bytes = await call.body(longestBody);
  if (!isUtf8(bytes)) throw new OAuthError("invalid_request", "the body is not UTF-8");
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
