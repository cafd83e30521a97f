/**
 * Client side of a keep-alive connection for the load generator: sends prepared bytes and parses only the necessary part of the
 * response. One request at a time, without pipelining, as a real client. A general HTTP client costs more CPU than the measured
 * servers.
 */
import { connect } from "node:net";

export type HttpResponse = { readonly status: number; readonly head: string; readonly body: string };

export type Connection = {
  readonly send: (request: Buffer) => Promise<HttpResponse>;
  readonly close: () => void;
};

export async function openConnection(port: number): Promise<Connection> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  let pending: { resolve: (response: HttpResponse) => void; reject: (error: Error) => void } | undefined;
  let received = "";
  const fail = (error: Error) => pending?.reject(error);
  socket.on("error", fail);
  socket.on("close", () => fail(new Error(`the server on port ${port} closed the connection`)));
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    const response = parseResponse(received);
    if (!response) return;
    received = "";
    const { resolve } = pending!;
    pending = undefined;
    resolve(response);
  });
  return {
    send: (request) =>
      new Promise((resolve, reject) => {
        pending = { resolve, reject };
        socket.write(request);
      }),
    close: () => {
      socket.removeAllListeners("close");
      socket.destroy();
    },
  };
}

/** Parses a response. Returns undefined while it is incomplete. */
function parseResponse(text: string): HttpResponse | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = text.slice(0, end).toLowerCase();
  const body = text.slice(end + 4);
  const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1];
  const isComplete =
    length === undefined
      ? !head.includes("transfer-encoding: chunked") || body.endsWith("0\r\n\r\n")
      : body.length >= Number(length);
  return isComplete ? { status: Number(text.slice(9, 12)), head: text.slice(0, end), body } : undefined;
}

type StringRecord = Readonly<Record<string, string>>;

/** Returns the bytes of a POST with a form. */
export function post(path: string, form: StringRecord, headers: StringRecord = {}): Buffer {
  const body = new URLSearchParams(form).toString();
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${lines.join("")}\r\n${body}`,
  );
}
