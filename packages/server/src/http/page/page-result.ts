import type { Html } from "../../page/layout.ts";
import type { MessageName } from "../../page/message.ts";

/** A page, a redirect (303) to a path on this server, or a page with one message. */
export type PageMessage =
  | { readonly page: Html; readonly status?: 200 | 400 | 409; readonly cookie?: string }
  | { readonly redirect: string; readonly cookie?: string }
  | {
      readonly message: MessageName;
      readonly status: 200 | 400 | 403 | 404 | 409 | 410 | 503;
      readonly cookie?: string;
    };

/** The result of a page handler. A `Response` is sent as it is (event streams, assets). */
export type PageResult = PageMessage | Response;
