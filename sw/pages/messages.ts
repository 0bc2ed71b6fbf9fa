import { type Endpoint, expose } from "comlink";
import * as v from "valibot";
import {
  type CallMessage,
  type PageMessage,
  PROTOCOL_VERSION,
  type WorkerApi,
  type WorkerMessage,
} from "../../src/protocol/protocol.ts";
import { callMessage, handedOver } from "../../src/protocol/schemas.ts";
import type { PageClient } from "../platform/index.ts";

export type HandedOver = Extract<PageMessage, { type: "handedOver" }>;

/**
 * Comlink over `ServiceWorker.postMessage`. Comlink's usual MessagePort neither wakes a worker nor keeps it alive, and
 * goes deaf with the worker's death; here each call is an event of its own, answered to whoever sent it.
 *
 * The returned handler gives undefined for messages that are not Backhaul's, else a promise of the call's end.
 */
export function createMessageHandler(
  api: WorkerApi,
  handlers: {
    readonly handedOver: (message: HandedOver, clientId: string) => Promise<void>;
    /** Something may have changed outside. */
    readonly visit: () => Promise<void>;
    /** A page has spoken, in this version of the protocol. */
    readonly spoke?: (clientId: string) => void;
  },
): (event: Pick<ExtendableMessageEvent, "data" | "source">) => Promise<void> | undefined {
  /** Calls being worked on, by Comlink's id. A page repeats a call until it is answered. */
  const calls = new Map<string, Promise<void>>();

  return ({ data, source }) => {
    const message: unknown = data;
    if (!isEnvelope(message) || !isPage(source)) return undefined;
    const post = (answer: WorkerMessage) => source.postMessage(answer);
    if (message.backhaul !== PROTOCOL_VERSION) {
      // Another app's page, which takes every worker's "stay" for its own worker's, wants nothing here.
      if (message.type === "here") return undefined;
      post({ backhaul: PROTOCOL_VERSION, type: "mismatch" });
      return Promise.resolve();
    }
    if (!isPageMessage(message)) return undefined;
    handlers.spoke?.(source.id);
    switch (message.type) {
      case "hello":
        post({ backhaul: PROTOCOL_VERSION, type: "welcome" });
        return Promise.resolve();
      case "here":
        return Promise.resolve();
      case "wake":
        return message.isVisit === true ? handlers.visit() : Promise.resolve();
      case "handedOver":
        return handlers.handedOver(message, source.id);
      case "call": {
        const { id } = message.message;
        const known = calls.get(id);
        if (known) {
          post({ backhaul: PROTOCOL_VERSION, type: "working", callId: id });
          return known;
        }
        const call = answerOne(api, message.message, (answer) =>
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

/** Answers one call over an endpoint that lives no longer, so that no page that has gone is remembered. */
function answerOne(api: WorkerApi, message: CallMessage, post: (answer: unknown) => void): Promise<void> {
  return new Promise((resolve) => {
    let deliver = (_event: MessageEvent) => {};
    const endpoint: Endpoint = {
      addEventListener(_type, listener) {
        deliver = "handleEvent" in listener ? (event) => listener.handleEvent(event) : listener;
      },
      removeEventListener() {},
      postMessage(answer) {
        post(answer);
        resolve();
      },
    };
    expose(api, endpoint);
    deliver(new MessageEvent("message", { data: message }));
  });
}

function isEnvelope(value: unknown): value is { readonly backhaul: unknown; readonly type: unknown } {
  return typeof value === "object" && value !== null && "backhaul" in value && "type" in value;
}

/** Other workers can send messages too; only clients have an id. */
function isPage(source: unknown): source is PageClient {
  return typeof source === "object" && source !== null && "id" in source && "postMessage" in source;
}

function isPageMessage(value: { readonly type: unknown }): value is PageMessage {
  if (value.type === "hello" || value.type === "here" || value.type === "wake") return true;
  if (value.type === "handedOver") return v.is(handedOver, value);
  return value.type === "call" && "message" in value && v.is(callMessage, value.message);
}
