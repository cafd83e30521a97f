import { ResponseError } from "@countersign/protocol/client";
import { isUnavailable, type ServerReply } from "../connection.ts";

/** The server refused the request, because of its policy or the agent's registration. No approver decided. */
export type AskRefused<E extends string = string> = {
  readonly outcome: "refused";
  readonly error: E | (string & {});
  readonly description?: string;
};

/**
 * Returns the refusal of an OAuth error response. Throws a ResponseError for any other response, such as a redirect or a
 * 404 without an OAuth error.
 */
export function parseRefusal<E extends string>({ status, body }: ServerReply): AskRefused<E> {
  const { error, error_description: description } = body ?? {};
  if (typeof error === "string")
    return { outcome: "refused", error: error as E, ...(typeof description === "string" && { description }) };
  if (isUnavailable(status)) return { outcome: "refused", error: "temporarily_unavailable" as E };
  throw new ResponseError(`the authorization server returned ${status} without an OAuth error`);
}
