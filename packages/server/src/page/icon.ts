/** SVG icons. All are decorative: the text beside them has the same meaning. */
import { html } from "hono/html";
import type { Html } from "./markup.ts";

const createIcon = (paths: Html): Html =>
  html`<svg class="icon" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false">${paths}</svg>`;

/** The brand: a check mark above a signature line. */
export const sealIcon = createIcon(
  html`<path d="M4 11.5l4.5 5L17 5"/><path d="M8.5 16.500c3-1.500 4 2.500 6.500 1s2.500 1 5.500 0"/><path d="M3 21h18"/>`,
);
export const checkIcon = createIcon(html`<path d="M5 12.500l4.500 4.500L19 7"/>`);
export const crossIcon = createIcon(html`<path d="M6.500 6.500l11 11M17.500 6.500l-11 11"/>`);
export const clockIcon = createIcon(html`<circle cx="12" cy="12" r="8.500"/><path d="M12 7.500V12l3 2"/>`);
export const fingerprintIcon = createIcon(
  html`<path d="M12 11v3.500c0 2-.5 4-1.500 5.500M8 19c.7-1.300 1-2.800 1-4.500V11a3 3 0 0 1 6 0v3c0 2-.3 4-1 6M5.500 16c.3-1 .5-2 .5-3v-2a6 6 0 0 1 12 0v2.500c0 1.200-.1 2.300-.3 3.500"/>`,
);
export const codeIcon = createIcon(html`<path d="M9.500 4L7.500 20M16.500 4l-2 16M5 9h15M4 15h15"/>`);
export const irreversibleIcon = createIcon(
  html`<path d="M12 4l9 16H3z"/><path d="M12 10v4.500M12 17.200v.1"/>`,
);
export const externalIcon = createIcon(
  html`<path d="M13 5H5v14h14v-8"/><path d="M16 3.500h4.500V8M20 4l-8.500 8.500"/>`,
);
export const reversibleIcon = createIcon(
  html`<path d="M8.500 5L4.500 9l4 4"/><path d="M5 9h9a5.500 5.500 0 0 1 0 11H9"/>`,
);
