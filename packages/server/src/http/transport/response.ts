/** Responses as plain values, and the headers that every response carries. */

/** Not `no-referrer`: browsers would send `Origin: null` with form posts and the Origin check would fail (Fetch §3.2). */
export const securityHeaders = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
} as const;

/** A response as a value: the listener writes it without a fetch `Response`. */
export type ProtocolResponse = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

const jsonHeaders = { "content-type": "application/json", "cache-control": "no-store", ...securityHeaders };

/** A JSON response that must not be cached. Status 200 by default. */
export function createJsonResponse(
  body: unknown,
  { status = 200, headers }: { status?: number; headers?: Readonly<Record<string, string>> } = {},
): ProtocolResponse {
  return {
    status,
    headers: headers ? { ...jsonHeaders, ...headers } : jsonHeaders,
    body: JSON.stringify(body),
  };
}

export function toResponse({ status, headers, body }: ProtocolResponse): Response {
  return new Response(body || null, { status, headers });
}

/** A JSON document that may be cached as `cacheControl` says. */
export function createPublicJson(body: unknown, cacheControl: string, status = 200): ProtocolResponse {
  return {
    status,
    headers: { "content-type": "application/json", "cache-control": cacheControl, ...securityHeaders },
    body: JSON.stringify(body),
  };
}

/** A plain text document, revalidated on each use. */
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
