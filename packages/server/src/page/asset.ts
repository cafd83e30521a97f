/** The stylesheet, the icon and the modules that pages load: read once at start, addressed by their own content. */
import { hash } from "node:crypto";
import { readFileSync } from "node:fs";

const contentTypes = {
  "app.css": "text/css; charset=utf-8",
  "countdown.js": "text/javascript; charset=utf-8",
  "icon.svg": "image/svg+xml",
  "inbox.js": "text/javascript; charset=utf-8",
  "passkey.js": "text/javascript; charset=utf-8",
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

/** The asset served at `/assets/<name>`, or undefined for any other name. */
export function findAsset(name: string): Asset | undefined {
  return assets.get(name);
}

/** Where a page finds it. A URL with the present `v` never changes what it gives: cache it for ever. */
export function getAssetUrl(name: AssetName): string {
  return `/assets/${name}?v=${assets.get(name)?.hash}`;
}

function readAsset(name: AssetName): Asset {
  const body = readFileSync(new URL(`asset/${name}`, import.meta.url), "utf8");
  const digest = hash("sha256", body, "base64url").slice(0, 16);
  return { name, contentType: contentTypes[name], body, hash: digest, etag: `"${digest}"` };
}
