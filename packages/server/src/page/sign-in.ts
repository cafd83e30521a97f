/** Renders the sign-in page: one button that asks for a passkey. */
import { html } from "hono/html";
import { fingerprintIcon } from "./icon.ts";
import { type Html, renderPage, renderProblemLine } from "./layout.ts";

export type SignInView = {
  /** Without `allowCredentials`: the device offers all passkeys that it has for this site. */
  readonly ceremony: {
    readonly token: string;
    readonly options: PublicKeyCredentialRequestOptionsJSON;
  };
  /** The path on this server to redirect to after sign-in. */
  readonly next: string;
  readonly problem?: string | undefined;
};

/** `POST /sign-in` with `ceremony`, `assertion`, `next`. */
export function renderSignInPage(view: SignInView): Html {
  const { ceremony, next, problem } = view;
  const isForRequest = next.startsWith("/requests/");
  return renderPage({
    title: "Sign in",
    scripts: ["passkey.js"],
    main: html`<section class="sheet">
<h1>${isForRequest ? "Sign in to review the request" : "Sign in"}</h1>
<p class="lead">${isForRequest ? "Then you can approve or deny it." : "Then you see the requests that are waiting for you."}</p>
<form class="stack" method="post" action="/sign-in" autocomplete="off" data-passkey="get" data-options="${JSON.stringify(ceremony.options)}">
<input type="hidden" name="ceremony" value="${ceremony.token}">
<input type="hidden" name="assertion" value="">
<input type="hidden" name="next" value="${next}">
${renderProblemLine(problem)}
<button class="verdict" disabled>${fingerprintIcon}Use my passkey</button>
<p class="hint" data-ready="No passkey on this device? Ask your operator for an invitation.">Passkeys need JavaScript. Please allow it for this site.</p>
</form>
</section>`,
  });
}
