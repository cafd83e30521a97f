/** What a machine is answered: JSON that nobody keeps, with the headers that everything from here has. */

/** Under "no-referrer", browsers send "Origin: null" with a form, and no form would be known as ours (Fetch §3.2). */
export const securityHeaders = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
} as const;

/** Plain, so that whoever brought the request writes it in the cheapest way that there is. */
export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

const jsonHeaders = { "content-type": "application/json", "cache-control": "no-store", ...securityHeaders };

export function answerJson(
  body: unknown,
  { status = 200, headers }: { status?: number; headers?: Readonly<Record<string, string>> } = {},
): Answer {
  return {
    status,
    headers: headers ? { ...jsonHeaders, ...headers } : jsonHeaders,
    body: JSON.stringify(body),
  };
}

export function responseOf({ status, headers, body }: Answer): Response {
  return new Response(body || null, { status, headers });
}
