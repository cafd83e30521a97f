/** Static assets of the pages: read once at start, with a content hash in their URL. */
import { hash } from "node:crypto";
import { readFileSync } from "node:fs";

const contentTypes = {
  "app.css": "text/css; charset=utf-8",
  "countdown.js": "text/javascript; charset=utf-8",
  "icon.svg": "image/svg+xml",
  "inbox.js": "text/javascript; charset=utf-8",
  "passkey.js": "text/javascript; charset=utf-8",
  "ready.js": "text/javascript; charset=utf-8",
} as const;

export type AssetName = keyof typeof contentTypes;

export type Asset = {
  readonly name: AssetName;
  readonly contentType: string;
  readonly body: string;
  /** The first 96 bits of the body's SHA-256, base64url: the `v` of its URL. */
  readonly hash: string;
  /** A strong entity tag (RFC 9110 §8.8.3), with its quotes. */
  readonly etag: string;
};

const assets: ReadonlyMap<string, Asset> = new Map(
  (Object.keys(contentTypes) as AssetName[]).map((name) => [name, readAsset(name)]),
);

/** Returns the asset served at `/assets/<name>`, or undefined if there is none. */
export function findAsset(name: string): Asset | undefined {
  return assets.get(name);
}

/** Returns the asset's URL. Its `v` parameter is the content hash, so the response can be cached indefinitely. */
export function getAssetUrl(name: AssetName): string {
  return `/assets/${name}?v=${assets.get(name)?.hash}`;
}

function readAsset(name: AssetName): Asset {
  const body = readFileSync(new URL(`asset/${name}`, import.meta.url), "utf8");
  const digest = hash("sha256", body, "base64url").slice(0, 16);
  return { name, contentType: contentTypes[name], body, hash: digest, etag: `"${digest}"` };
}
