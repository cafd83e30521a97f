/** Renders the list of the approver's devices, each with a form to remove it. */
import { html } from "hono/html";
import { type Html, renderPage, renderProblemLine } from "./layout.ts";
import { renderInstant } from "./phrase.ts";

export type DevicesView = {
  readonly approverName: string;
  readonly devices: readonly {
    readonly id: string;
    readonly name: string;
    readonly createdAt: number;
    /** True for the device that signed in to this session. */
    readonly current: boolean;
  }[];
  readonly csrf: string;
  readonly problem?: string | undefined;
};

type Device = DevicesView["devices"][number];

/** `POST /devices/<id>/remove`, `POST /devices/add`, `POST /sign-out`, each with `csrf`. */
export function renderDevicesPage(view: DevicesView): Html {
  const csrf = html`<input type="hidden" name="csrf" value="${view.csrf}">`;
  const isLast = view.devices.length === 1;
  return renderPage({
    title: "Devices",
    approverName: view.approverName,
    here: "devices",
    scripts: ["countdown.js"],
    main: html`<section class="sheet">
<h1>Your devices</h1>
<p class="lead">You can sign in and decide with each of these devices.</p>
${renderProblemLine(view.problem)}
<ul class="list">
${view.devices.map((device) => renderDevice(device, isLast, csrf))}</ul>
<div class="actions">
<form method="post" action="/devices/add">${csrf}<button class="quiet">Add another device</button></form>
<form method="post" action="/sign-out">${csrf}<button class="quiet">Sign out</button></form>
</div>
</section>`,
  });
}

function renderDevice(device: Device, isLast: boolean, csrf: Html): Html {
  return html`<li>
<p><strong class="name"><bdi class="exact">${device.name}</bdi></strong>${device.current ? html` <span class="tag">this device</span>` : ""}</p>
<p class="hint">Added ${renderInstant(device.createdAt)}</p>
${isLast ? html`<p class="hint">This is your only device. To replace it, add another one first.</p>` : renderRemoveForm(device, csrf)}
</li>
`;
}

function renderRemoveForm(device: Device, csrf: Html): Html {
  const name = html`<bdi>${device.name}</bdi>`;
  return html`<details class="fine"><summary><span>Remove<span class="unseen"> ${name}</span></span></summary>
<form method="post" action="/devices/${encodeURIComponent(device.id)}/remove">
<p>You can no longer sign in or decide with ${name}. Earlier decisions stay valid.</p>
${csrf}
<button class="quiet">Remove ${name}</button>
</form>
</details>`;
}
