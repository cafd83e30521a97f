/** Renders QR codes as SVG: one path, black on white in both colour schemes. */
import { html } from "hono/html";
import type { Html } from "./markup.ts";

/** Width of the white border, in modules (ISO/IEC 18004 §5.3.8). */
const quietZoneModules = 4;

/** Renders a URL of this server as a QR code. Loads the `qrcode` package on first use. */
export async function renderQrCode(address: string): Promise<Html> {
  const { create } = (await import("qrcode")).default;
  const { size, data } = create(address, { errorCorrectionLevel: "M" }).modules;
  let path = "";
  for (const [at, dark] of data.entries())
    if (dark)
      path += `M${(at % size) + quietZoneModules},${Math.floor(at / size) + quietZoneModules}h1v1h-1z`;
  const side = size + 2 * quietZoneModules;
  return html`<svg class="qr" viewBox="0 0 ${side} ${side}" role="img" aria-label="QR code of this address" shape-rendering="crispEdges"><path fill="#fff" d="M0,0h${side}v${side}h-${side}z"/><path fill="#000" d="${path}"/></svg>`;
}
