import type { MessageName } from "../pages/message.ts";
import type { Html } from "../pages/page.ts";

/** What a page's handler answers: a page, a place to go, or something to say. */
export type PageAnswer =
  | { readonly page: Html; readonly status?: 200 | 400 | 409; readonly cookie?: string }
  | { readonly go: string; readonly cookie?: string }
  | {
      readonly say: MessageName;
      readonly status: 200 | 400 | 403 | 404 | 409 | 410 | 503;
      readonly cookie?: string;
    }
  | Response;
