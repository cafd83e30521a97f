/** Enrolment: the page behind a one-time invitation, where a device makes its passkey. */
import { html } from "hono/html";
import { finger } from "./icon.ts";
import { type Html, page, problemLine } from "./page.ts";

export type EnrolView = {
  readonly approverName: string;
  readonly email: string;
  /** The invitation's secret, as in the link. */
  readonly token: string;
  readonly ceremony: {
    readonly token: string;
    readonly options: PublicKeyCredentialCreationOptionsJSON;
  };
  /** Where a device is added from a session. */
  readonly csrf?: string | undefined;
  readonly problem?: string | undefined;
};

/** `POST /enrol/<token>` with `ceremony`, `attestation`, `device`, and `csrf` where there is one. */
export function enrolPage(view: EnrolView): Html {
  const { ceremony } = view;
  return page({
    title: "Enrol this device",
    scripts: ["passkey.js"],
    main: html`<section class="sheet">
<h1>Hello, <bdi>${view.approverName}</bdi></h1>
<p class="lead">You have been named as someone who decides what AI agents may do. This device will prove that it is you.</p>
<form class="stack" method="post" action="/enrol/${encodeURIComponent(view.token)}" autocomplete="off" data-passkey="create" data-options="${JSON.stringify(ceremony.options)}">
<dl class="rows">
<div><dt>Enrolling</dt><dd><bdi>${view.email}</bdi></dd></div>
</dl>
${view.csrf === undefined ? "" : html`<input type="hidden" name="csrf" value="${view.csrf}">`}
<input type="hidden" name="ceremony" value="${ceremony.token}">
<input type="hidden" name="attestation" value="">
<label for="device">What do you call this device?</label>
<input id="device" name="device" value="My device" required maxlength="60">
${problemLine(view.problem)}
<button class="verdict" disabled>${finger}Create a passkey</button>
<p class="hint" data-ready="Your phone or computer will ask for your fingerprint, your face or its PIN. That stays on the device.">A passkey needs JavaScript. Please allow it for this site.</p>
</form>
<p class="hint">Is it another device that you want to enrol? Open this page’s address on that one instead. It works once.</p>
</section>`,
  });
}
