/**
 * The token by which a callback is believed (CIBA §7.1 `client_notification_token`, §10.2). It is made from the ask's
 * idempotency key and a secret of the agent's, and says by itself which ask it is for: every process that knows the secret can
 * check it, also after a restart, and nothing has to be kept.
 */
import { canonicalize } from "@countersign/protocol";
import { base64url } from "jose";

export type NotificationTokens = {
  readonly make: (idempotencyKey: string) => Promise<string>;
  /** The idempotency key that a token was made for; undefined for whatever was not made here. */
  readonly read: (token: string) => Promise<string | undefined>;
};

const utf8 = new TextEncoder();
const hmac = { name: "HMAC", hash: "SHA-256" } as const;
const maxTokenLength = 1024;

export function createNotificationTokens(
  secret: string,
  { issuer, clientId }: { readonly issuer: string; readonly clientId: string },
): NotificationTokens {
  let ready: Promise<CryptoKey> | undefined;
  const keyOf = () => {
    ready ??= crypto.subtle.importKey("raw", utf8.encode(secret), hmac, false, ["sign", "verify"]);
    return ready;
  };
  const stamped = (idempotencyKey: string) =>
    utf8.encode(canonicalize(["countersign-callback-v1", issuer, clientId, idempotencyKey]));
  return {
    async make(idempotencyKey) {
      const mac = await crypto.subtle.sign("HMAC", await keyOf(), stamped(idempotencyKey));
      return `${base64url.encode(idempotencyKey)}.${base64url.encode(new Uint8Array(mac))}`;
    },
    async read(token) {
      const [, name = "", stamp = ""] = /^([\w-]+)\.([\w-]{43})$/.exec(token) ?? [];
      if (name === "" || token.length > maxTokenLength) return undefined;
      const idempotencyKey = new TextDecoder().decode(base64url.decode(name));
      const mac = new Uint8Array(base64url.decode(stamp));
      // Web Crypto compares in constant time.
      const made = await crypto.subtle.verify("HMAC", await keyOf(), mac, stamped(idempotencyKey));
      return made ? idempotencyKey : undefined;
    },
  };
}
