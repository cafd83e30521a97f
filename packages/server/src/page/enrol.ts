/** Enrolment: the page behind a one-time invitation, where a device makes its passkey. */
import { html } from "hono/html";
import { fingerprintIcon } from "./icon.ts";
import { renderPage, renderProblemLine } from "./layout.ts";
import type { Html } from "./markup.ts";

export type EnrolView = {
  readonly approverName: string;
  readonly email: string;
  /** The invitation's secret, as in the link. */
  readonly token: string;
  readonly ceremony: {
    readonly token: string;
    readonly options: PublicKeyCredentialCreationOptionsJSON;
  };
  readonly otherDevice: OtherDeviceLink;
  readonly problem?: string | undefined;
};

/** The invitation's own address, for the device that has not got it yet. */
export type OtherDeviceLink = { readonly address: string; readonly qrCode: Html };

/** `POST /enrol/<token>` with `ceremony`, `attestation` and `device`. */
export function renderEnrolPage(view: EnrolView): Html {
  const { ceremony } = view;
  return renderPage({
    title: "Enrol this device",
    scripts: ["passkey.js"],
    main: html`<section class="sheet">
<h1>Hello, <bdi>${view.approverName}</bdi></h1>
<p class="lead">You have been named as someone who decides what AI agents may do. This device will prove that it is you.</p>
<form class="stack" method="post" action="/enrol/${encodeURIComponent(view.token)}" autocomplete="off" data-passkey="create" data-options="${JSON.stringify(ceremony.options)}">
<dl class="rows">
<div><dt>Enrolling</dt><dd><bdi>${view.email}</bdi></dd></div>
</dl>
<input type="hidden" name="ceremony" value="${ceremony.token}">
<input type="hidden" name="attestation" value="">
<label for="device">What do you call this device?</label>
<input id="device" name="device" value="My device" required maxlength="60">
${renderProblemLine(view.problem)}
<button class="verdict" disabled>${fingerprintIcon}Create a passkey</button>
<p class="hint" data-ready="Your phone or computer will ask for your fingerprint, your face or its PIN. That stays on the device.">A passkey needs JavaScript. Please allow it for this site.</p>
</form>
<details class="more">
<summary><span>Enrol another device instead</span></summary>
<p class="hint">Open this page there: scan the code with its camera, or type the address. It works once.</p>
${renderQrFigure(view.otherDevice)}
</details>
</section>`,
  });
}

/** For an approver who adds a device: it leads to that one, and names the device in their hand second. */
export function renderOtherDevicePage(view: {
  readonly approverName: string;
  readonly token: string;
  readonly otherDevice: OtherDeviceLink;
}): Html {
  return renderPage({
    title: "Add a device",
    approverName: view.approverName,
    here: "devices",
    main: html`<section class="sheet">
<h1>Add a device</h1>
<p class="lead">On the device that you want to add, scan this code with the camera, or type the address. It works once, within 15 minutes.</p>
${renderQrFigure(view.otherDevice)}
<p class="actions"><a href="/enrol/${encodeURIComponent(view.token)}">Add this device instead</a></p>
</section>`,
  });
}

function renderQrFigure({ address, qrCode }: OtherDeviceLink): Html {
  return html`<figure class="scan">${qrCode}<figcaption><code>${address}</code></figcaption></figure>`;
}
