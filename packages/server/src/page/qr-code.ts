/** An address as a picture that a phone's camera reads: one path, black on white in both colour schemes. */
import { html } from "hono/html";
import type { Html } from "./markup.ts";

/** Modules of white around the symbol (ISO/IEC 18004 §5.3.8). */
const quietZoneModules = 4;

/** `address` is ours. Loaded when the first one is drawn. */
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
