/**
 * Client side of a keep-alive connection for the load generator: sends prepared bytes and parses only the necessary part of the
 * response. One request at a time, without pipelining, as a real client. A general HTTP client costs more CPU than the measured
 * servers.
 */
import { connect } from "node:net";

export type Answer = { readonly status: number; readonly head: string; readonly body: string };

export type Connection = {
  readonly send: (request: Buffer) => Promise<Answer>;
  readonly close: () => void;
};

export async function openConnection(port: number): Promise<Connection> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  let waiting: { resolve: (answer: Answer) => void; reject: (fault: Error) => void } | undefined;
  let received = "";
  const fail = (fault: Error) => waiting?.reject(fault);
  socket.on("error", fail);
  socket.on("close", () => fail(new Error(`the server on port ${port} closed the connection`)));
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    const answer = readAnswer(received);
    if (!answer) return;
    received = "";
    const { resolve } = waiting!;
    waiting = undefined;
    resolve(answer);
  });
  return {
    send: (request) =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        socket.write(request);
      }),
    close: () => {
      socket.removeAllListeners("close");
      socket.destroy();
    },
  };
}

/** Parses a response. Returns undefined while it is incomplete. */
function readAnswer(text: string): Answer | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = text.slice(0, end).toLowerCase();
  const body = text.slice(end + 4);
  const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1];
  const whole =
    length === undefined
      ? !head.includes("transfer-encoding: chunked") || body.endsWith("0\r\n\r\n")
      : body.length >= Number(length);
  return whole ? { status: Number(text.slice(9, 12)), head: text.slice(0, end), body } : undefined;
}

type Said = Readonly<Record<string, string>>;

/** Returns the bytes of a POST with a form. */
export function post(path: string, form: Said, headers: Said = {}): Buffer {
  const body = new URLSearchParams(form).toString();
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${lines.join("")}\r\n${body}`,
  );
}
