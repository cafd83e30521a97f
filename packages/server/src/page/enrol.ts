/** Renders the enrolment pages: a one-time invitation, with which a device creates its passkey. */
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

/** The invitation's URL and its QR code, for opening it on another device. */
export type OtherDeviceLink = { readonly address: string; readonly qrCode: Html };

/** `POST /enrol/<token>` with `ceremony`, `attestation` and `device`. */
export function renderEnrolPage(view: EnrolView): Html {
  const { ceremony } = view;
  return renderPage({
    title: "Set up this device",
    scripts: ["passkey.js"],
    main: html`<section class="sheet">
<h1>Hello, <bdi>${view.approverName}</bdi></h1>
<p class="lead">You have been invited to approve or deny what AI agents do. A passkey on this device will confirm that it is you.</p>
<form class="stack" method="post" action="/enrol/${encodeURIComponent(view.token)}" autocomplete="off" data-passkey="create" data-options="${JSON.stringify(ceremony.options)}">
<dl class="rows">
<div><dt>Account</dt><dd><bdi>${view.email}</bdi></dd></div>
</dl>
<input type="hidden" name="ceremony" value="${ceremony.token}">
<input type="hidden" name="attestation" value="">
<label for="device">Device name</label>
<input id="device" name="device" value="My device" required maxlength="60">
${renderProblemLine(view.problem)}
<button class="verdict" disabled>${fingerprintIcon}Create a passkey</button>
<p class="hint" data-ready="Your device asks for your fingerprint, face or PIN. These never leave the device.">Passkeys need JavaScript. Please allow it for this site.</p>
</form>
<details class="more">
<summary><span>Set up another device instead</span></summary>
<p class="hint">Scan this code with the camera of the other device, or type the address there. It works once.</p>
${renderQrFigure(view.otherDevice)}
</details>
</section>`,
  });
}

/** `GET /enrol/<token>/elsewhere`: for an approver who adds a device. Shows the link to open there; this device comes second. */
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
<p class="lead">Scan this code with the camera of the device that you want to add, or type the address there. It works once and expires after 15 minutes.</p>
${renderQrFigure(view.otherDevice)}
<p class="actions"><a href="/enrol/${encodeURIComponent(view.token)}">Add this device instead</a></p>
</section>`,
  });
}

function renderQrFigure({ address, qrCode }: OtherDeviceLink): Html {
  return html`<figure class="scan">${qrCode}<figcaption><code>${address}</code></figcaption></figure>`;
}
