/**
 * Layout of the approver's pages. Pages are pure functions from a view to HTML: they read no store, clock or
 * configuration, and the template escapes every value. A page works without JavaScript except for passkeys, and loads only
 * this server's stylesheet and modules; `contentSecurityPolicy` enforces that.
 */
import { html } from "hono/html";
import { type AssetName, getAssetUrl } from "./asset.ts";
import { sealIcon } from "./icon.ts";
import type { Html } from "./markup.ts";

export type { Html };

/**
 * `Content-Security-Policy` of every page: no inline script or style, nothing from other origins, and no DOM sink that
 * turns text into markup (`trusted-types 'none'`).
 */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

export type Layout = {
  /** The document title; ` · Countersign` is appended. */
  readonly title: string;
  readonly main: Html;
  /** The signed-in approver. Without it the page has no navigation. */
  readonly approverName?: string | undefined;
  readonly here?: "inbox" | "devices";
  readonly scripts?: readonly AssetName[];
};

/** Renders the complete document: header with brand and navigation, main, footer. */
export function renderPage({ title, main, approverName, here, scripts = [] }: Layout): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${title} · Countersign</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="theme-color" content="#f5f4f0" media="(prefers-color-scheme: light)">
<meta name="theme-color" content="#0f1213" media="(prefers-color-scheme: dark)">
<meta name="robots" content="noindex">
<link rel="icon" href="${getAssetUrl("icon.svg")}" type="image/svg+xml">
<link rel="stylesheet" href="${getAssetUrl("app.css")}">
<script src="${getAssetUrl("ready.js")}"></script>
${scripts.map((name) => html`<script type="module" src="${getAssetUrl(name)}"></script>\n`)}</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header class="top">
<a class="brand" href="${approverName === undefined ? "/" : "/inbox"}">${sealIcon}Countersign</a>
${approverName === undefined ? "" : renderNavigation(here)}
</header>
<main id="main" tabindex="-1">
${main}
</main>
<footer>
${approverName === undefined ? "" : html`<p>Signed in as <bdi>${approverName}</bdi></p>`}
<p>Opening a page never approves a request.</p>
</footer>
</body>
</html>
`;
}

function renderNavigation(here: Layout["here"]): Html {
  const link = (name: NonNullable<Layout["here"]>, label: string) =>
    html`<li><a href="/${name}"${here === name ? html` aria-current="page"` : ""}>${label}</a></li>`;
  return html`<nav aria-label="Pages"><ul>${link("inbox", "Inbox")}${link("devices", "Devices")}</ul></nav>`;
}

/** Renders an alert; empty until `problem` is set or `passkey.js` fills it. */
export function renderProblemLine(problem: string | undefined): Html {
  return html`<p class="problem" role="alert" data-problem>${problem ?? ""}</p>`;
}
