/** What a machine is answered: JSON that nobody keeps, with the headers that everything from here has. */

/** Under "no-referrer", browsers send "Origin: null" with a form, and no form would be known as ours (Fetch §3.2). */
export const everyAnswer = { "x-content-type-options": "nosniff", "referrer-policy": "same-origin" } as const;

/** The headers are a plain object, which the listener writes as it is: a `Headers` costs more than the rest of a poll's answer. */
export function answerJson(
  body: unknown,
  { status = 200, headers = {} }: { status?: number; headers?: Readonly<Record<string, string>> } = {},
): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store", ...everyAnswer, ...headers },
  });
}
