const maxRetryAfterMs = 3_600_000;

/**
 * Parses a `Retry-After` header: seconds or a date (RFC 9110 §10.2.3).
 *
 * @param header - The value of the header, or null if the response has none.
 * @param now - The current time, in milliseconds since the epoch.
 * @returns The time to wait, in milliseconds: 0 to one hour. Undefined if the header is missing or malformed.
 * @example
 * parseRetryAfter(response.headers.get("retry-after"), Date.now()) ?? 1_000;
 */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const milliseconds = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  if (Number.isNaN(milliseconds)) return undefined;
  return Math.min(Math.max(milliseconds, 0), maxRetryAfterMs);
}

/**
 * Encodes client credentials as the value of an `Authorization` header (`client_secret_basic`). Both parts are
 * form-encoded before they are joined (RFC 6749 §2.3.1).
 *
 * @param clientId - The client id.
 * @param clientSecret - The client secret.
 * @returns `Basic ` and the credentials in base64.
 * @example
 * fetch(url, { headers: { authorization: encodeBasicAuthorization(clientId, clientSecret) } });
 */
export function encodeBasicAuthorization(clientId: string, clientSecret: string): string {
  return `Basic ${btoa(`${formEncode(clientId)}:${formEncode(clientSecret)}`)}`;
}

function formEncode(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1);
}
