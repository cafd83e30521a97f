/** The body of a request, as text: of the one media type that is meant, bounded, and UTF-8 all through. */
import { OAuthError } from "./oauth-error.ts";

/** Bytes. An ask with a large action fits several times over. */
const longestBody = 64 * 1024;

const utf8 = new TextDecoder("utf-8", { fatal: true });

export async function readBody(request: Request, mediaType: string): Promise<string> {
  const [type = ""] = (request.headers.get("content-type") ?? "").split(";", 1);
  if (type.trim().toLowerCase() !== mediaType)
    throw new OAuthError("invalid_request", `the body must be ${mediaType}`);
  const declared = Number(request.headers.get("content-length") ?? "0");
  if (declared > longestBody) throw tooLong();
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

function tooLong(): OAuthError {
  return new OAuthError("invalid_request", `the body is longer than ${longestBody} bytes`, { status: 413 });
}
