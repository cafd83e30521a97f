/**
 * A call as it came to the API: a Fetch `Request` is one. The middleware makes one of what its framework has. Where
 * tokens are bearer tokens, the `Authorization` header alone is enough.
 */
export type Call = {
  readonly headers: { get(name: string): string | null };
  readonly method: string;
  /** Absolute, as the caller called it; with `baseUrl` set, only its path is used. */
  readonly url: string;
  /**
   * With which the connection was opened: DER, or text as proxies pass it on. Asked for only if the token is bound to one.
   * Never from a header that the caller could have sent.
   */
  readonly clientCertificate?: () => ClientCertificate | undefined;
};

/** DER, or the text of one: PEM, PEM with percent signs (nginx), or base64 between colons (RFC 9440 §2). */
export type ClientCertificate = Uint8Array | string;

/** A call, an `Authorization` header as it came, or a bare token. */
export type Authorization = string | null | undefined | Call;

/** A token, and how it was brought along. */
export type PresentedToken = {
  readonly token: string;
  readonly scheme: "Bearer" | "DPoP";
  /** Undefined where the API handed on the header alone. */
  readonly call: Call | undefined;
};

const schemes = { bearer: "Bearer", dpop: "DPoP" } as const;

/** Undefined where there is no token, or one under a scheme that is none of ours. */
export function readPresentedToken(authorization: Authorization): PresentedToken | undefined {
  const call = typeof authorization === "object" && authorization !== null ? authorization : undefined;
  const header = call ? call.headers.get("authorization") : (authorization as string | null | undefined);
  if (!header) return undefined;
  const space = header.indexOf(" ");
  if (space < 0) return { token: header, scheme: "Bearer", call };
  const named = header.slice(0, space).toLowerCase();
  if (!Object.hasOwn(schemes, named)) return undefined;
  const scheme = schemes[named as keyof typeof schemes];
  return { token: header.slice(space + 1).trim(), scheme, call };
}
