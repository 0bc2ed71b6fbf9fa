import type { IncomingMessage } from "node:http";

export interface NodeBody {
  /**
   * A stream, or the bytes that a body parser left; null if the body was consumed and is not there any more.
   */
  readonly stream: ReadableStream<Uint8Array> | Uint8Array | null;
  /**
   * Lets what was not read run off, so that the connection can be used again. To be called when the answer is
   * out.
   */
  discard(): void;
}

export function bodyOf(req: IncomingMessage & { readonly body?: unknown }): NodeBody {
  // Express 4 sets `body` to {} even where its parsers did not touch the stream.
  return req.readableDidRead ? { stream: parsedBody(req.body), discard() {} } : streamedBody(req);
}

function parsedBody(body: unknown): Uint8Array | null {
  if (body === undefined) return null;
  if (body instanceof Uint8Array) return body;
  return new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body));
}

/**
 * The body as a stream. `Readable.toWeb` would destroy the socket when the stream is canceled, before the
 * answer is out.
 */
function streamedBody(req: IncomingMessage): NodeBody {
  let listening = true;
  const listeners: (() => void)[] = [];
  const stopListening = () => {
    listening = false;
    for (const remove of listeners.splice(0)) remove();
  };
  const discard = () => {
    stopListening();
    req.resume();
  };
  const stream = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const onData = (chunk: Uint8Array) => {
          controller.enqueue(chunk);
          if ((controller.desiredSize ?? 0) <= 0) req.pause();
        };
        const onEnd = () => {
          stopListening();
          controller.close();
        };
        const onBroken = () => {
          if (!listening) return;
          stopListening();
          controller.error(new Error("the client disconnected"));
        };
        // Paused first: a listener for data would start the flow.
        req.pause();
        req.on("data", onData).on("end", onEnd).on("close", onBroken);
        // Stays on: an error without a listener would be an uncaught exception.
        req.on("error", onBroken);
        listeners.push(
          () => req.off("data", onData),
          () => req.off("end", onEnd),
          () => req.off("close", onBroken),
        );
      },
      pull() {
        req.resume();
      },
      // What was not read stays unread until the answer is out.
      cancel() {
        stopListening();
        req.pause();
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, discard };
}
