/**
 * Preloaded into an agent's process: reports the agent's HTTP traffic to the harness, and holds calls to the API until the harness
 * releases them. Agent and SDKs are unmodified.
 */

/** A response received by the agent, with its body as text. */
export type ReceivedResponse = {
  readonly method: string;
  readonly url: string;
  readonly sent: string;
  readonly status: number;
  readonly body: string;
};
/** A call to the API, with its token, before it is sent. */
export type Call = {
  readonly method: string;
  readonly url: string;
  readonly authorization: string;
  readonly body: string;
};
/** A request before it is sent. */
export type SentRequest = Pick<Call, "method" | "url">;
export type ProbeMessage =
  | { readonly request: SentRequest }
  | { readonly response: ReceivedResponse }
  | { readonly call: Call };

const originalFetch = globalThis.fetch;
const heldApiUrl = process.env.PROBE_HELD_API;
let release = () => {};
process.on("message", () => release());
// End with the harness.
process.on("disconnect", () => process.exit(1));
process.channel?.unref();

const report = (message: ProbeMessage) => process.send?.(message);

globalThis.fetch = async (input, init) => {
  const request = new Request(input, init);
  const { method, url } = request;
  const sent = await request.clone().text();
  if (heldApiUrl && url.startsWith(heldApiUrl)) {
    const call = { method, url, authorization: request.headers.get("authorization") ?? "", body: sent };
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    process.channel?.ref();
    report({ call });
    await released;
    process.channel?.unref();
  }
  report({ request: { method, url } });
  const response = await originalFetch(request);
  const body = await response.clone().text();
  report({ response: { method, url, sent, status: response.status, body } });
  return response;
};
