/** Reads a request body as text: checks media type, size and UTF-8. */
import { isUtf8 } from "node:buffer";
import { OAuthError } from "../oauth/oauth-error.ts";
import type { ProtocolRequest } from "./protocol-request.ts";

/** Several times the size of a large request. */
export const maxBodyBytes = 64 * 1024;

/** Returns the body. Rejects with `OAuthError` `invalid_request` if the media type differs, it exceeds 64 KiB or is not UTF-8. */
export async function readBody(request: ProtocolRequest, mediaType: string): Promise<string> {
  const type = request.header("content-type") ?? "";
  if (type !== mediaType && type.split(";", 1)[0]!.trim().toLowerCase() !== mediaType)
    throw new OAuthError("invalid_request", `the body must be ${mediaType}`);
  const bytes = await request.body(maxBodyBytes);
  if (!isUtf8(bytes)) throw new OAuthError("invalid_request", "the body is not UTF-8");
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
