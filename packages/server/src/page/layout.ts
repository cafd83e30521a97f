/**
 * The approver's pages: pure functions from what is to be shown to HTML. They read no store, no clock and no
 * configuration, decide nothing, and never mark text as safe that came from outside: every value goes through the
 * escaping template. A page works without script except for the passkey itself, and opens nothing but this server's
 * own stylesheet and modules; `contentSecurityPolicy` holds the browser to that.
 */
import { html } from "hono/html";
import { type AssetName, getAssetUrl } from "./asset.ts";
import { sealIcon } from "./icon.ts";
import type { Html } from "./markup.ts";

export type { Html };

/**
 * Sent with every page as `Content-Security-Policy`. No inline script, no inline style, nothing from elsewhere, and no
 * place where text could become markup in the browser (`trusted-types 'none'`: not even a policy of our own).
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
  /** What the browser's tab says; ` · Countersign` follows. */
  readonly title: string;
  readonly main: Html;
  /** Who is signed in; without a name there is no navigation. */
  readonly approverName?: string | undefined;
  readonly here?: "inbox" | "devices";
  readonly scripts?: readonly AssetName[];
};

/** The whole document: header with brand and navigation, main, footer. */
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
<p>Looking decides nothing. Only the buttons do.</p>
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

/** A line that must not be missed: something went wrong, and what has not happened because of it. */
export function renderProblemLine(problem: string | undefined): Html {
  return html`<p class="problem" role="alert" data-problem>${problem ?? ""}</p>`;
}
