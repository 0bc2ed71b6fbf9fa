import { type Endpoint, type Remote, wrap } from "comlink";
import { Emitter } from "../core/emitter.ts";
import { explained } from "../core/error-messages.ts";
import type { UploadErrorCode } from "../core/errors.ts";
import type { PartRange } from "../core/part-ranges.ts";
import {
  type CallMessage,
  type PageMessage,
  PROTOCOL_VERSION,
  type Reply,
  type WorkerApi,
  type WorkerMessage,
} from "../protocol/protocol.ts";
import type { PagePlatform } from "./platform.ts";
import { mismatch } from "./protocol-mismatch.ts";

/** A call is sent again this often until it is answered: the worker may have died over it. */
const REPEAT_MS = 5_000;
/** A worker that has given no sign for so long will not give one. */
const SILENCE_MS = 30_000;

type ConnectionEvents = {
  syncUsed: undefined;
  authWanted: undefined;
  /** The worker has answered a greeting. */
  welcome: undefined;
  /** The worker speaks this other version of the protocol. */
  mismatch: number;
};

/** Calls to the worker behind a registration, whichever version of it is active, dead or alive. */
export class Connection {
  readonly #platform: Pick<PagePlatform, "clock" | "worker">;
  readonly #remote: Remote<WorkerApi>;
  readonly #pending = new Map<string, PendingCall>();
  readonly #events = new Emitter<ConnectionEvents>();
  readonly on = this.#events.on.bind(this.#events);
  #deliver = (_answer: unknown) => {};
  #isClosed = false;
  readonly #undo: () => void;

  constructor(platform: Pick<PagePlatform, "clock" | "worker">) {
    this.#platform = platform;
    this.#remote = wrap<WorkerApi>(this.#endpoint());
    this.#undo = platform.worker.onMessage((message, answer) => this.#receive(message, answer));
  }

  /**
   * Every call settles, and one that the worker's death has cut off is made again.
   *
   * @throws {UploadError} what the worker answered, or `PROTOCOL_MISMATCH`, `WORKER_UNREACHABLE`, `CONNECTION_CLOSED`
   */
  async call<T>(use: (remote: Remote<WorkerApi>) => Promise<Reply<T>>): Promise<T> {
    if (this.#isClosed) throw explained({ code: "CONNECTION_CLOSED", detail: "" });
    const reply = await use(this.#remote);
    if (reply.ok) return reply.value;
    throw explained(reply.error);
  }

  /** Asks whether the worker carries uploads. */
  hello(): void {
    this.#send({ backhaul: PROTOCOL_VERSION, type: "hello" });
  }

  /**
   * Lets the worker see whether there is something to do, and starts it if need be.
   *
   * @param isVisit something may have changed outside, so that whatever waits is to be tried again
   */
  wake({ isVisit = false } = {}): void {
    this.#send({ backhaul: PROTOCOL_VERSION, type: "wake", isVisit });
  }

  /** Tells the worker what was handed over to the browser. For `pagehide`: it goes out at once. */
  handedOver(fetchId: string, ranges: readonly PartRange[], isImmediate: boolean): void {
    this.#send({ backhaul: PROTOCOL_VERSION, type: "handedOver", fetchId, ranges, isImmediate });
  }

  close(): void {
    this.#isClosed = true;
    this.#undo();
    for (const id of [...this.#pending.keys()]) this.#fail(id, "CONNECTION_CLOSED");
  }

  #endpoint(): Endpoint {
    return {
      postMessage: (message: CallMessage) => this.#start(message),
      addEventListener: (_type, listener) => {
        this.#deliver = (answer) => {
          const event = new MessageEvent("message", { data: answer });
          if ("handleEvent" in listener) listener.handleEvent(event);
          else listener(event);
        };
      },
      removeEventListener: () => {},
    };
  }

  #start(message: CallMessage): void {
    const { id } = message;
    const stopRepeating = this.#platform.clock.every(REPEAT_MS, () => {
      const call = this.#pending.get(id);
      // Counted in repeats, not by a clock: after sleep a clock would blame the worker for the night.
      if (!call || ++call.unanswered * REPEAT_MS > SILENCE_MS) this.#fail(id, "WORKER_UNREACHABLE");
      else {
        this.#send({ backhaul: PROTOCOL_VERSION, type: "call", message });
        // There may be no worker left that could answer. A new one hears the next repetition.
        this.#platform.worker.restore().catch(() => {});
      }
    });
    this.#pending.set(id, { stopRepeating, unanswered: 0 });
    try {
      this.#send({ backhaul: PROTOCOL_VERSION, type: "call", message });
    } catch (error) {
      this.#fail(id, "OPTION_INVALID", String(error));
    }
  }

  #send(message: PageMessage): void {
    this.#platform.worker.post(message);
  }

  #receive(message: unknown, answer: (message: PageMessage) => void): void {
    if (typeof message !== "object" || message === null || !("backhaul" in message)) return;
    const data = message as WorkerMessage;
    switch (data.type) {
      case "reply": {
        const id = (data.message as Partial<CallMessage> | null)?.id;
        if (typeof id !== "string" || !this.#settle(id)) return;
        this.#deliver(data.message);
        return;
      }
      case "working": {
        const call = this.#pending.get(data.callId);
        if (call) call.unanswered = 0;
        return;
      }
      case "stay":
        answer({ backhaul: PROTOCOL_VERSION, type: "here" });
        return;
      case "welcome":
        this.#events.emit("welcome", undefined);
        return;
      case "syncUsed":
        answer({ backhaul: PROTOCOL_VERSION, type: "here" });
        this.#events.emit("syncUsed", undefined);
        return;
      case "authWanted":
        this.#events.emit("authWanted", undefined);
        return;
      case "mismatch": {
        const { detail } = mismatch(data.backhaul);
        for (const id of [...this.#pending.keys()]) this.#fail(id, "PROTOCOL_MISMATCH", detail);
        // If it is the worker that is old, this brings the new one.
        this.#platform.worker.update().catch(() => {});
        this.#events.emit("mismatch", data.backhaul);
        return;
      }
      default:
        data satisfies never;
    }
  }

  #settle(id: string): boolean {
    const call = this.#pending.get(id);
    call?.stopRepeating();
    return this.#pending.delete(id);
  }

  /** Fails a call. Comlink knows no failed transport, so the failure arrives as the call's answer. */
  #fail(id: string, code: UploadErrorCode, detail = ""): void {
    if (!this.#settle(id)) return;
    const reply: Reply<never> = { ok: false, error: { code, detail } };
    this.#deliver({ id, type: "RAW", value: reply });
  }
}

interface PendingCall {
  readonly stopRepeating: () => void;
  /** Repeats since the worker's last sign of life. */
  unanswered: number;
}
