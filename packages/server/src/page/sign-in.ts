/** Signing in: one button, the passkey does the rest. */
import { html } from "hono/html";
import { fingerprintIcon } from "./icon.ts";
import { type Html, renderPage, renderProblemLine } from "./layout.ts";

export type SignInView = {
  /** Without `allowCredentials`: the device offers the passkeys that it holds for this site. */
  readonly ceremony: {
    readonly token: string;
    readonly options: PublicKeyCredentialRequestOptionsJSON;
  };
  /** The path on this server to go to afterwards. */
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
<h1>${isForRequest ? "First, show that it is you" : "Sign in"}</h1>
<p class="lead">${isForRequest ? "Then you see what is asked, and decide." : "To see what waits for you."}</p>
<form class="stack" method="post" action="/sign-in" autocomplete="off" data-passkey="get" data-options="${JSON.stringify(ceremony.options)}">
<input type="hidden" name="ceremony" value="${ceremony.token}">
<input type="hidden" name="assertion" value="">
<input type="hidden" name="next" value="${next}">
${renderProblemLine(problem)}
<button class="verdict" disabled>${fingerprintIcon}Use my passkey</button>
<p class="hint" data-ready="No passkey on this device? Ask your operator for an invitation.">Signing in needs a passkey, and that needs JavaScript. Please allow it for this site.</p>
</form>
</section>`,
  });
}
