/**
 * Creates and verifies the `client_notification_token` of a request (CIBA §7.1, §10.2): its idempotency key and an HMAC of it
 * under the agent's secret. Every process that has the secret can verify it, also after a restart; nothing is stored.
 */
import { canonicalize } from "@countersign/protocol";
import { base64url } from "jose";

export type NotificationTokens = {
  /** Returns the token for an idempotency key. */
  readonly make: (idempotencyKey: string) => Promise<string>;
  /** Returns the idempotency key of a valid token, otherwise undefined. */
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
  const importSecret = () => {
    ready ??= crypto.subtle.importKey("raw", utf8.encode(secret), hmac, false, ["sign", "verify"]);
    return ready;
  };
  const encodeMacInput = (idempotencyKey: string) =>
    utf8.encode(canonicalize(["countersign-callback-v1", issuer, clientId, idempotencyKey]));
  return {
    async make(idempotencyKey) {
      const mac = await crypto.subtle.sign("HMAC", await importSecret(), encodeMacInput(idempotencyKey));
      return `${base64url.encode(idempotencyKey)}.${base64url.encode(new Uint8Array(mac))}`;
    },
    async read(token) {
      const [, name = "", tag = ""] = /^([\w-]+)\.([\w-]{43})$/.exec(token) ?? [];
      if (name === "" || token.length > maxTokenLength) return undefined;
      const idempotencyKey = new TextDecoder().decode(base64url.decode(name));
      const mac = new Uint8Array(base64url.decode(tag));
      // Web Crypto compares in constant time.
      const isValid = await crypto.subtle.verify(
        "HMAC",
        await importSecret(),
        mac,
        encodeMacInput(idempotencyKey),
      );
      return isValid ? idempotencyKey : undefined;
    },
  };
}
