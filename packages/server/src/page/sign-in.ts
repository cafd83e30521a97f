/** The sign-in page: one form for each sign-in method. */
import { html } from "hono/html";
import type { AssetName } from "./asset.ts";
import { type Html, renderPage, renderProblemLine } from "./layout.ts";

/** The form of one sign-in method. */
export type SignInForm = {
  /** `data-` attributes of the form, for its scripts. */
  readonly data?: Readonly<Record<string, string>>;
  /** Hidden fields. */
  readonly hidden: Readonly<Record<string, string>>;
  /** Visible fields, button and hint. */
  readonly controls: Html;
  readonly scripts?: readonly AssetName[];
};

export type SignInView = {
  /** Posted as `method`, except by the form of the default method, which has no name. */
  readonly forms: readonly (SignInForm & {
    readonly method: string | undefined;
    readonly problem?: string | undefined;
  })[];
  /** The path on this server to go to afterwards. */
  readonly next: string;
};

/** Each form posts its own fields and `next` to `/sign-in`. */
export function renderSignInPage({ forms, next }: SignInView): Html {
  const isForRequest = next.startsWith("/requests/");
  return renderPage({
    title: "Sign in",
    scripts: [...new Set(forms.flatMap(({ scripts = [] }) => scripts))],
    main: html`<section class="sheet">
<h1>${isForRequest ? "Sign in to review the request" : "Sign in"}</h1>
<p class="lead">${isForRequest ? "Then you can approve or deny it." : "Then you see the requests that are waiting for you."}</p>
${forms.map((form) => renderForm(form, next))}</section>`,
  });
}

function renderForm(
  { data = {}, hidden, method, problem, controls }: SignInView["forms"][number],
  next: string,
): Html {
  const fields = { ...hidden, ...(method !== undefined && { method }), next };
  return html`<form class="stack" method="post" action="/sign-in" autocomplete="off"${Object.entries(data).map(([name, value]) => html` data-${name}="${value}"`)}>
${Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">\n`)}${renderProblemLine(problem)}
${controls}
</form>
`;
}
