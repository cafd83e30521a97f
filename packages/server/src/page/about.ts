/** Renders the start page: what this server does, with links to sign in and to the metadata. */
import { html } from "hono/html";
import { type Html, renderPage } from "./layout.ts";

export type AboutView = {
  readonly issuer: string;
  readonly approverName?: string | undefined;
};

export function renderAboutPage({ issuer, approverName }: AboutView): Html {
  return renderPage({
    title: "Human approval for AI agents",
    approverName,
    main: html`<section class="sheet">
<h1>Human approval for AI agents</h1>
<p class="lead">AI agents send a request to this server before they do something that needs approval. A person sees exactly what would happen, and approves or denies it.</p>
<p class="onward"><a class="verdict" href="${approverName === undefined ? "/sign-in" : "/inbox"}">${approverName === undefined ? "Sign in" : "Go to the inbox"}</a></p>
<dl class="rows">
<div><dt>Server</dt><dd><code>${issuer}</code></dd></div>
<div><dt>For agents</dt><dd><a href="/.well-known/openid-configuration">OpenID Connect discovery</a> (CIBA)</dd></div>
<div><dt>Action types</dt><dd><a href="/action-types">Published definitions</a></dd></div>
</dl>
</section>`,
  });
}
