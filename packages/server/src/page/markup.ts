import type { html } from "hono/html";

/** Escaped markup, as the template makes it. Hono's `c.html` takes it as it is. */
export type Html = ReturnType<typeof html>;
