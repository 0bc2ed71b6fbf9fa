import { request } from "node:http";

/** How long the browser may take to open a connection. */
const CONNECT_TIMEOUT_MS = 10_000;

const TEXT_FRAME = 0x81;
const CLOSE_OPCODE = 0x8;

/**
 * Sends one command of the DevTools protocol to a `webSocketDebuggerUrl` and returns its result. The connection is closed at once,
 * so that no debugger stays attached. (Node has a WebSocket of its own from version 22 on.)
 */
export function devtoolsCommand<T>(
  url: string,
  method: string,
  params: object = {},
  { before }: { readonly before?: string } = {},
): Promise<T> {
  return new Promise((resolve, reject) => {
    const connecting = request(url.replace(/^ws:/, "http:"), {
      timeout: CONNECT_TIMEOUT_MS,
      headers: {
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
      },
    });
    const fail = (reason: string) => reject(new Error(`${method}: ${reason}`));
    connecting.on("timeout", () => connecting.destroy(new Error(`${method}: the browser does not answer`)));
    connecting.on("error", reject);
    connecting.on("response", (response) => {
      response.resume();
      fail(`refused with status ${response.statusCode}`);
    });
    connecting.on("upgrade", (_response, socket, head) => {
      socket.setTimeout(0);
      const messages = messageReader((message) => {
        const reply = JSON.parse(message) as { id?: number; result: T; error?: { message: string } };
        if (reply.id !== 1) return;
        if (reply.error) fail(reply.error.message);
        else resolve(reply.result);
        socket.destroy();
      });
      socket.on("data", messages);
      socket.on("error", reject);
      socket.on("close", () => fail("the target was closed before it answered"));
      messages(head);
      // Some commands want their domain enabled, in the same connection.
      if (before !== undefined) socket.write(textFrame(JSON.stringify({ id: 0, method: before })));
      socket.write(textFrame(JSON.stringify({ id: 1, method, params })));
    });
    connecting.end();
  });
}

/** A client has to mask what it sends; the mask of zeros leaves it as it is. */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(14);
  header.writeUInt8(TEXT_FRAME, 0);
  header.writeUInt8(0x80 | 127, 1);
  header.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([header, payload]);
}

/** Takes the bytes that a server sends, in any pieces, and gives the messages in them. */
function messageReader(onMessage: (message: string) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  let fragments: Buffer[] = [];
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (let frame = firstFrame(rest); frame; frame = firstFrame(rest)) {
      rest = rest.subarray(frame.end);
      if (frame.opcode >= CLOSE_OPCODE) continue;
      fragments.push(frame.payload);
      if (!frame.isFinal) continue;
      onMessage(Buffer.concat(fragments).toString());
      fragments = [];
    }
  };
}

function firstFrame(bytes: Buffer) {
  if (bytes.length < 2) return undefined;
  const shortLength = bytes.readUInt8(1) & 0x7f;
  const start = shortLength === 127 ? 10 : shortLength === 126 ? 4 : 2;
  if (bytes.length < start) return undefined;
  const length =
    start === 10 ? Number(bytes.readBigUInt64BE(2)) : start === 4 ? bytes.readUInt16BE(2) : shortLength;
  const end = start + length;
  if (bytes.length < end) return undefined;
  const first = bytes.readUInt8(0);
  return { isFinal: first >= 0x80, opcode: first & 0x0f, payload: bytes.subarray(start, end), end };
}
