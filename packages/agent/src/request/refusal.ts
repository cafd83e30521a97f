import { ResponseError } from "@countersign/protocol/client";
import { isUnavailable, type TokenReply } from "../connection.ts";

/** The server will not do it, with its error code: a matter of rules or of set-up, not of a person's decision. */
export type AskRefused<E extends string = string> = {
  readonly outcome: "refused";
  readonly error: E | (string & {});
  readonly description?: string;
};

/** A refusal in the server's words. What is no OAuth error, a 404 or a redirect, is a fault of the set-up. */
export function readRefusal<E extends string>({ status, body }: TokenReply): AskRefused<E> {
  const { error, error_description: description } = body ?? {};
  if (typeof error === "string")
    return { outcome: "refused", error: error as E, ...(typeof description === "string" && { description }) };
  if (isUnavailable(status)) return { outcome: "refused", error: "temporarily_unavailable" as E };
  throw new ResponseError(`the authorization server answered ${status} without an OAuth error`);
}
