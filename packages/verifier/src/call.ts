/**
 * A call as the API received it. A Fetch `Request` is one; the middleware builds it from its framework's request. For
 * bearer tokens the `Authorization` header is sufficient.
 */
export type Call = {
  readonly headers: { get(name: string): string | null };
  readonly method: string;
  /** The absolute URL that the caller used. With `baseUrl` only its path is used. */
  readonly url: string;
  /**
   * Returns the client certificate of the connection: DER, or text as proxies forward it. Called only if the token is
   * bound to a certificate. Never read it from a header that the caller can set.
   */
  readonly clientCertificate?: () => ClientCertificate | undefined;
};

/** A certificate as DER, or as text: PEM, PEM with percent signs (nginx), or base64 between colons (RFC 9440 §2). */
export type ClientCertificate = Uint8Array | string;

/** A call, the value of its `Authorization` header, or a token without a scheme. */
export type Authorization = string | null | undefined | Call;

/** A token and the scheme under which it was presented. */
export type PresentedToken = {
  readonly token: string;
  readonly scheme: "Bearer" | "DPoP";
  /** Undefined if the API passed only the header or the token. */
  readonly call: Call | undefined;
};

const schemes = { bearer: "Bearer", dpop: "DPoP" } as const;

/** Returns the token, or undefined if it is missing or its scheme is neither Bearer nor DPoP. */
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
