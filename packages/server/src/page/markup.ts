import type { html } from "hono/html";

/** Escaped markup, as Hono's `html` template returns it. */
export type Html = ReturnType<typeof html>;
