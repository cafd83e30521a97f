/**
 * Takes callbacks in (CIBA §10.2, §10.3, §12): a web-standard handler, which believes nothing before it has seen a token
 * of ours, and answers at once. Whatever the agent does about it happens afterwards, elsewhere.
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

export type CallbackOptions = CallbackSetup & {
  /** Hears of callbacks that came with a token of ours and could not be used all the same, and of `onReady` failing. */
  readonly onProblem?: (problem: CountersignError) => void;
} & (
    | { readonly store?: undefined; readonly onReady?: undefined }
    | {
        /** Where asks are kept that this process does not wait for itself. */
        readonly store: AskStore;
        /**
         * Called for a kept ask that has its answer, and that nobody in this process waits for: go on with `countersigned`
         * under the same key, or with `wait`. It may be called more than once. Leave it out where another process may be
         * waiting for the ask all the same.
         */
        onReady(ask: Ask<Actions>): unknown;
      }
  );

export type Receive = (request: Request) => Promise<Response>;

/** Bytes. A pushed answer is a few thousand. */
const maxBodyBytes = 64 * 1024;
const maxAuthReqIdLength = 1024;

type ReceiverDeps = Callback & { readonly options: CallbackOptions; readonly checkPush: CheckPush };
type ReceivedCallback = { readonly authReqId: string; readonly body: JsonObject };

export function createReceiver(deps: ReceiverDeps): Receive {
  const { mode, tokens, callbackInbox, checkPush, options } = deps;
  const { store, onReady, onProblem } = options;
  if ((store === undefined) !== (onReady === undefined))
    throw new InvalidArgumentError("callback.store and callback.onReady go together");
  const report = (problem: CountersignError) => {
    try {
      onProblem?.(problem);
    } catch {
      // An error of `onProblem` must not change the response.
    }
  };

  return async (request) => {
    if (request.method !== "POST") return answer(405, { allow: "POST" });
    // RFC 6750 §2.1. One answer to whoever has no token of ours, before anything else of the request is looked at.
    const [, token = ""] = /^Bearer ([\w.~+/-]+=*)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
    const idempotencyKey = await tokens.read(token);
    if (idempotencyKey === undefined) return unauthorized();
    const came = await read(request);
    if ("refused" in came) {
      report(new ResponseError(`a callback was rejected: ${came.refused}`));
      return answer(came.status);
    }
    const { authReqId, body } = came;

    const addressee = callbackInbox.addressee(idempotencyKey, authReqId);
    const awaited = callbackInbox.awaited(idempotencyKey, authReqId);
    const kept = awaited ? undefined : await store?.get(idempotencyKey);
    if (addressee === "mistaken" || (kept && kept.authReqId !== authReqId)) return unauthorized();

    // Whoever cannot use it must not take it: sent again, it may reach the process that can.
    if (addressee === "unknown" && !kept) return answer(503);
    if (mode === "push") {
      const verdict = typeof body.error === "string" ? "genuine" : await checkPush(body);
      if (verdict !== "genuine") {
        report("refused" in verdict ? verdict.refused : verdict.unknown);
        return answer("refused" in verdict ? 400 : 503);
      }
    }
    // Of a ping only its ask is used, whatever else is in it.
    callbackInbox.put(authReqId, mode === "push" ? { pushed: body } : {});
    if (kept && onReady)
      Promise.resolve(kept)
        .then(onReady)
        .catch((cause) => report(new HandlerError(`onReady failed for ${idempotencyKey}`, { cause })));
    // An ask that nobody waits for may be on its way into the store; once it is there, `onReady` must hear of it.
    const isTaken = awaited || kept || !store || callbackInbox.ended(authReqId);
    return answer(isTaken ? 204 : 503);
  };
}

async function read(
  request: Request,
): Promise<ReceivedCallback | { readonly refused: string; readonly status: 400 | 413 }> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/json\s*(?:;|$)/i.test(type)) return { refused: "it is not JSON", status: 400 };
  const bytes = await readBytes(request.body).catch(() => new Uint8Array());
  if (bytes === undefined) return { refused: `it is longer than ${maxBodyBytes} bytes`, status: 413 };
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

/** Undefined for what is too long. */
async function readBytes(body: ReadableStream<Uint8Array> | null): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(maxBodyBytes);
  let length = 0;
  const reader = body?.getReader();
  for (;;) {
    const part = await reader?.read();
    if (!part || part.done) return bytes.subarray(0, length);
    if (length + part.value.byteLength > maxBodyBytes) {
      await reader?.cancel();
      return undefined;
    }
    bytes.set(part.value, length);
    length += part.value.byteLength;
  }
}

function unauthorized(): Response {
  return answer(401, { "www-authenticate": "Bearer" });
}

function answer(status: number, headers: Record<string, string> = {}): Response {
  return new Response(null, { status, headers: { "cache-control": "no-store", ...headers } });
}
