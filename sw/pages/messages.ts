import type { Endpoint } from "comlink";
import * as v from "valibot";
import {
  type CallMessage,
  type PageMessage,
  PROTOCOL_VERSION,
  type WorkerMessage,
} from "../../src/protocol/protocol.ts";

/**
 * Comlink over `ServiceWorker.postMessage`. Comlink's usual MessagePort neither wakes a worker nor keeps it alive, and
 * goes deaf with the worker's death; here each call is an event of its own, answered to whoever sent it.
 *
 * The returned handler gives undefined for messages that are not Backhaul's, else a promise of the call's end.
 */
export function createMessageHandler(
  expose: (endpoint: Endpoint) => void,
  onHandedOver: (message: HandedOver, clientId: string) => Promise<void>,
): (event: ExtendableMessageEvent) => Promise<void> | undefined {
  /** Calls being worked on, by Comlink's id. A page repeats a call until it is answered. */
  const calls = new Map<string, Promise<void>>();

  return (event) => {
    const message: unknown = event.data;
    const { source } = event;
    if (!isEnvelope(message) || !(source instanceof Client)) return undefined;
    const post = (answer: WorkerMessage) => source.postMessage(answer);
    if (message.backhaul !== PROTOCOL_VERSION) {
      post({ backhaul: PROTOCOL_VERSION, type: "mismatch" });
      return Promise.resolve();
    }
    if (!isPageMessage(message)) return undefined;
    switch (message.type) {
      case "here":
      case "wake":
        return Promise.resolve();
      case "handedOver":
        return onHandedOver(message, source.id);
      case "call": {
        const { id } = message.message;
        const known = calls.get(id);
        if (known) {
          post({ backhaul: PROTOCOL_VERSION, type: "working", callId: id });
          return known;
        }
        const call = answerOne(expose, message.message, (answer) =>
          post({ backhaul: PROTOCOL_VERSION, type: "reply", message: answer }),
        ).finally(() => calls.delete(id));
        calls.set(id, call);
        return call;
      }
      default:
        return message satisfies never;
    }
  };
}

/** Of what Comlink understands, only calls of the API's own functions: a longer path could reach any constructor. */
const callMessage = v.looseObject({
  id: v.string(),
  type: v.literal("APPLY"),
  path: v.pipe(v.array(v.string()), v.length(1)),
});

export type HandedOver = Extract<PageMessage, { type: "handedOver" }>;
const partNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(10_000));
const handedOver = v.looseObject({
  isImmediate: v.boolean(),
  fetchId: v.string(),
  runs: v.pipe(
    v.array(v.object({ uploadId: v.pipe(v.string(), v.uuid()), first: partNumber, count: partNumber })),
    v.maxLength(1_000),
  ),
});

/** An endpoint that lives for one call, so that no page that has gone is remembered. */
function answerOne(
  expose: (endpoint: Endpoint) => void,
  message: CallMessage,
  post: (answer: unknown) => void,
): Promise<void> {
  return new Promise((resolve) => {
    let deliver = (_event: MessageEvent) => {};
    expose({
      addEventListener(_type, listener) {
        deliver = "handleEvent" in listener ? (event) => listener.handleEvent(event) : listener;
      },
      removeEventListener() {},
      postMessage(answer) {
        post(answer);
        resolve();
      },
    });
    deliver(new MessageEvent("message", { data: message, origin: self.location.origin }));
  });
}

function isEnvelope(value: unknown): value is { readonly backhaul: unknown; readonly type: unknown } {
  return typeof value === "object" && value !== null && "backhaul" in value && "type" in value;
}

function isPageMessage(value: { readonly type: unknown }): value is PageMessage {
  if (value.type === "here" || value.type === "wake") return true;
  if (value.type === "handedOver") return v.is(handedOver, value);
  return value.type === "call" && "message" in value && v.is(callMessage, value.message);
}
