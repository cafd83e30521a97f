/**
 * Handles requests to the agent's callback endpoint (CIBA §10.2, §10.3, §12). The notification token is verified before
 * anything else is read. The handler responds at once; `wait` and `onReady` run afterwards.
 */
import { isObject, type JsonObject, parseJson } from "@countersign/protocol";
import {
  type CountersignError,
  HandlerError,
  InvalidArgumentError,
  ResponseError,
} from "@countersign/protocol/client";
import type { AskStore } from "../countersigned.ts";
import type { Actions } from "../request/action.ts";
import type { Ask } from "../request/ask.ts";
import type { Callback, CallbackSetup } from "./callback.ts";
import type { CheckPush } from "./push.ts";

/** Options for agents that are registered for ping or push. */
export type CallbackOptions = CallbackSetup & {
  /**
   * Called for each callback that was rejected although its token was valid (`ERR_RESPONSE`), for a push that cannot be
   * validated now (`ERR_NETWORK`, `ERR_TIMEOUT`, `ERR_METADATA`), and if `onReady` fails (`ERR_HANDLER`). Default: ignored.
   */
  readonly onProblem?: (problem: CountersignError) => void;
} & (
    | { readonly store?: undefined; readonly onReady?: undefined }
    | {
        /** The store of requests that this process does not wait for. */
        readonly store: AskStore;
        /**
         * Called for a stored request that has a result and that this process does not wait for. Continue it with
         * `countersigned` under the same key, or with `wait`. It may be called more than once. Omit it if another process
         * may be waiting for the request.
         */
        onReady(ask: Ask<Actions>): unknown;
      }
  );

/** Handles one request to the callback endpoint. See `Agent.receive`. */
export type Receive = (request: Request) => Promise<Response>;

/** A pushed result has a few thousand bytes. */
const maxBodyBytes = 64 * 1024;
const maxAuthReqIdLength = 1024;

type ReceiverDeps = Callback & { readonly options: CallbackOptions; readonly checkPush: CheckPush };
type ReceivedCallback = { readonly authReqId: string; readonly body: JsonObject };

/**
 * Creates the handler of the callback endpoint.
 *
 * @param deps - The callback mode, tokens and inbox, the `callback` options, and the validator of pushes.
 * @returns The handler. It rejects only with an error of `callback.store`.
 * @throws {CountersignError} `ERR_INVALID_ARGUMENT`: `callback.store` was given without `callback.onReady`, or the reverse.
 * @example
 * const receive = createReceiver({ ...callback, options, checkPush });
 * const response = await receive(request);
 */
export function createReceiver(deps: ReceiverDeps): Receive {
  const { mode, tokens, callbackInbox, checkPush, options } = deps;
  const { store, onReady, onProblem } = options;
  if ((store === undefined) !== (onReady === undefined))
    throw new InvalidArgumentError("callback.store and callback.onReady must be set together");
  const report = (problem: CountersignError) => {
    try {
      onProblem?.(problem);
    } catch {
      // An error of `onProblem` must not change the response.
    }
  };

  return async (request) => {
    if (request.method !== "POST") return respond(405, { allow: "POST" });
    // RFC 6750 §2.1. Every request without a valid token gets the same response, before anything else is read.
    const [, token = ""] = /^Bearer ([\w.~+/-]+=*)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
    const idempotencyKey = await tokens.read(token);
    if (idempotencyKey === undefined) return unauthorized();
    const received = await parseCallback(request);
    if ("refused" in received) {
      report(new ResponseError(`a callback was rejected: ${received.refused}`));
      return respond(received.status);
    }
    const { authReqId, body } = received;

    const addressee = callbackInbox.findAddressee(idempotencyKey, authReqId);
    const isAwaited = callbackInbox.isAwaited(idempotencyKey, authReqId);
    const stored = isAwaited ? undefined : await store?.get(idempotencyKey);
    if (addressee === "mismatch" || (stored && stored.authReqId !== authReqId)) return unauthorized();

    // A process that cannot use the callback must not accept it: the server's retry may reach the right process.
    if (addressee === "unknown" && !stored) return respond(503);
    if (mode === "push") {
      const verdict = typeof body.error === "string" ? "genuine" : await checkPush(body);
      if (verdict !== "genuine") {
        report("refused" in verdict ? verdict.refused : verdict.unknown);
        return respond("refused" in verdict ? 400 : 503);
      }
    }
    // Only the `auth_req_id` of a ping is used.
    callbackInbox.put(authReqId, mode === "push" ? { pushed: body } : {});
    if (stored && onReady)
      Promise.resolve(stored)
        .then(onReady)
        .catch((cause) => report(new HandlerError(`onReady failed for ${idempotencyKey}`, { cause })));
    // The request may be about to be stored. The server retries after 503, and `onReady` is then called for it.
    const isTaken = isAwaited || stored || !store || callbackInbox.isEnded(authReqId);
    return respond(isTaken ? 204 : 503);
  };
}

async function parseCallback(
  request: Request,
): Promise<ReceivedCallback | { readonly refused: string; readonly status: 400 | 413 }> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/json\s*(?:;|$)/i.test(type)) return { refused: "it is not JSON", status: 400 };
  const bytes = await readBytes(request.body).catch(() => new Uint8Array());
  if (bytes === undefined) return { refused: `it is larger than ${maxBodyBytes} bytes`, status: 413 };
  const body = decode(bytes);
  if (body === undefined) return { refused: "it is not a JSON object", status: 400 };
  const { auth_req_id: authReqId } = body;
  if (typeof authReqId !== "string" || authReqId === "" || authReqId.length > maxAuthReqIdLength)
    return { refused: "it has no auth_req_id", status: 400 };
  return { authReqId, body };
}

function decode(bytes: Uint8Array): JsonObject | undefined {
  try {
    const json = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return "value" in json && isObject(json.value) ? json.value : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the body, or undefined if it exceeds `maxBodyBytes`. */
async function readBytes(body: ReadableStream<Uint8Array> | null): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(maxBodyBytes);
  let length = 0;
  const reader = body?.getReader();
  for (;;) {
    const chunk = await reader?.read();
    if (!chunk || chunk.done) return bytes.subarray(0, length);
    if (length + chunk.value.byteLength > maxBodyBytes) {
      await reader?.cancel();
      return undefined;
    }
    bytes.set(chunk.value, length);
    length += chunk.value.byteLength;
  }
}

function unauthorized(): Response {
  return respond(401, { "www-authenticate": "Bearer" });
}

function respond(status: number, headers: Record<string, string> = {}): Response {
  return new Response(null, { status, headers: { "cache-control": "no-store", ...headers } });
}
