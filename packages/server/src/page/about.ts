/** The front page: what this server is for, for people who come upon it and for clients that look for a page. */
import { html } from "hono/html";
import { type Html, renderPage } from "./layout.ts";

export type AboutView = {
  readonly issuer: string;
  readonly approverName?: string | undefined;
};

export function renderAboutPage({ issuer, approverName }: AboutView): Html {
  return renderPage({
    title: "A person's yes",
    approverName,
    main: html`<section class="sheet">
<h1>A person’s yes, for one action, once</h1>
<p class="lead">AI agents ask this server before they do what they may not do alone. A person sees exactly what would happen, and approves or denies it.</p>
<p class="onward"><a class="verdict" href="${approverName === undefined ? "/sign-in" : "/inbox"}">${approverName === undefined ? "Sign in" : "To the inbox"}</a></p>
<dl class="rows">
<div><dt>Server</dt><dd><code>${issuer}</code></dd></div>
<div><dt>For agents</dt><dd><a href="/.well-known/openid-configuration">OpenID Connect discovery</a> (CIBA)</dd></div>
<div><dt>What can be asked</dt><dd><a href="/action-types">Action types</a></dd></div>
</dl>
</section>`,
  });
}
