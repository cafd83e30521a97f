/** Response values, and the headers of every response. */

/** Not `no-referrer`: browsers would send `Origin: null` with form posts and the Origin check would fail (Fetch §3.2). */
export const securityHeaders = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
} as const;

/** A response as a value; the listener writes it without a fetch `Response`. */
export type ProtocolResponse = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

const jsonHeaders = { "content-type": "application/json", "cache-control": "no-store", ...securityHeaders };

/** Returns a JSON response with `no-store`. Status 200 by default. An undefined body is empty. */
export function createJsonResponse(
  body: unknown,
  { status = 200, headers }: { status?: number; headers?: Readonly<Record<string, string>> } = {},
): ProtocolResponse {
  return {
    status,
    headers: headers ? { ...jsonHeaders, ...headers } : jsonHeaders,
    body: body === undefined ? "" : JSON.stringify(body),
  };
}

export function toResponse({ status, headers, body }: ProtocolResponse): Response {
  return new Response(body || null, { status, headers });
}

/** Returns a JSON document with the given `Cache-Control`. */
export function createPublicJson(body: unknown, cacheControl: string, status = 200): ProtocolResponse {
  return {
    status,
    headers: { "content-type": "application/json", "cache-control": cacheControl, ...securityHeaders },
    body: JSON.stringify(body),
  };
}

/** Returns a plain text document that caches must revalidate. */
export function createTextResponse(
  body: string,
  { status = 200, headers }: { status?: number; headers?: Readonly<Record<string, string>> } = {},
): ProtocolResponse {
  return {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-cache",
      ...securityHeaders,
      ...headers,
    },
    body,
  };
}
