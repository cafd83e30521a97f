/** Renders the step before a page that another site opened. A click that was timed by that site lands here and changes nothing. */
import { html } from "hono/html";
import { type Html, renderPage } from "./layout.ts";

export type ContinueView = {
  /** Path of the requested page on this server. */
  readonly href: string;
  readonly approverName: string;
};

export function renderContinuePage({ href, approverName }: ContinueView): Html {
  const isRequest = href.startsWith("/requests/");
  return renderPage({
    title: isRequest ? "Continue to the request" : "Continue",
    approverName,
    main: html`<section class="sheet message">
<h1>${isRequest ? "A request is waiting for you" : "Continue to Countersign"}</h1>
<p class="lead">Another site opened this page, for example your mail in the browser. ${isRequest ? "Open the request to read and decide it." : ""}</p>
<p class="onward"><a class="verdict" href="${href}">${isRequest ? "Continue to the request" : "Continue"}</a></p>
</section>`,
  });
}
