import { InvalidArgumentError, type MetadataError } from "./error.ts";

/**
 * Requires a URL to be `https:`. `http:` is accepted on the loopback interface, or everywhere with `allowHttp`.
 *
 * @param url - The URL.
 * @param name - What the URL is, for the error message: `the issuer` or the name of a metadata member.
 * @param options - `allowHttp` accepts `http:` URLs of other machines.
 * @param Failure - The error class. Default: `InvalidArgumentError`.
 * @throws {CountersignError} `ERR_INVALID_ARGUMENT` or, with `MetadataError`, `ERR_METADATA`: the text is not a URL, or not
 * a secure one.
 * @example
 * requireSecureUrl(options.issuer, "the issuer", options);
 */
export function requireSecureUrl(
  url: string,
  name: string,
  { allowHttp = false }: { readonly allowHttp?: boolean },
  Failure: typeof InvalidArgumentError | typeof MetadataError = InvalidArgumentError,
): void {
  if (!URL.canParse(url)) throw new Failure(`${name} is not a URL: ${url}`);
  const { protocol, hostname } = new URL(url);
  if (protocol === "https:" || (protocol === "http:" && (isLoopbackHost(hostname) || allowHttp))) return;
  throw new Failure(`${name} must be https: (${url}); http: only on this machine, or with allowHttp`);
}

/**
 * Returns true for `localhost`, its subdomains, 127.0.0.0/8 and `[::1]`.
 *
 * @param host - The `hostname` of a parsed URL, which is in lower case.
 * @example
 * isLoopbackHost(new URL("http://localhost:8080").hostname); // true
 */
export function isLoopbackHost(host: string): boolean {
  return /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(host);
}

/**
 * Returns true if two URLs are equal after normalization: an issuer without a path may end in a slash or not.
 *
 * @param one - A URL. Any other text equals only itself.
 * @param other - A valid URL.
 * @example
 * isSameUrl("https://countersign.example/", "https://countersign.example"); // true
 */
export function isSameUrl(one: string, other: string): boolean {
  return one === other || (URL.canParse(one) && new URL(one).href === new URL(other).href);
}
