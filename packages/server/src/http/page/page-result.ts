import type { Html } from "../../page/layout.ts";
import type { MessageName } from "../../page/message.ts";

/** A page, a place to go, or something to say. */
export type PageMessage =
  | { readonly page: Html; readonly status?: 200 | 400 | 409; readonly cookie?: string }
  | { readonly go: string; readonly cookie?: string }
  | {
      readonly say: MessageName;
      readonly status: 200 | 400 | 403 | 404 | 409 | 410 | 503;
      readonly cookie?: string;
    };

/** What a page's handler answers. */
export type PageResult = PageMessage | Response;
