import type { WorkerLink } from "../../../src/page/platform.ts";
import { type PageMessage, PROTOCOL_VERSION, type Reply } from "../../../src/protocol/protocol.ts";

/** The page's calls, as Comlink writes them. */
export interface SeenCall {
  readonly id: string;
  readonly name: string;
  readonly args: readonly unknown[];
}

/** A worker as a page sees it: hears what the page posts, and says what the test wants. */
export class FakeWorker implements WorkerLink {
  readonly scope = "https://app.test/";
  readonly canSync = true;
  readonly heard: PageMessage[] = [];
  updates = 0;
  /** Answers calls at once, by their name; others get no answer. */
  readonly replies = new Map<string, (...args: readonly unknown[]) => Reply<unknown>>();
  readonly syncs: string[] = [];
  #listener: ((message: unknown, answer: (message: unknown) => void) => void) | undefined;

  post = (message: unknown): void => {
    structuredClone(message);
    this.heard.push(message as PageMessage);
    const call = callOf(message as PageMessage);
    const reply = call && this.replies.get(call.name);
    if (call && reply) queueMicrotask(() => this.reply(call.id, reply(...call.args)));
  };

  onMessage(listener: (message: unknown, answer: (message: unknown) => void) => void): () => void {
    this.#listener = listener;
    return () => {
      this.#listener = undefined;
    };
  }

  update(): void {
    this.updates += 1;
  }

  async registerSync(tag: string): Promise<void> {
    this.syncs.push(tag);
  }

  /** The calls heard so far, repeats included. */
  get calls(): readonly SeenCall[] {
    return this.heard.flatMap((message) => callOf(message) ?? []);
  }

  /** Says something to the page, and gives what the page answers to just this worker. */
  say(message: unknown): readonly unknown[] {
    const answers: unknown[] = [];
    this.#listener?.(message, (answer) => answers.push(answer));
    return answers;
  }

  reply(id: string, value: unknown): void {
    this.say({ backhaul: PROTOCOL_VERSION, type: "reply", message: { id, type: "RAW", value } });
  }
}

function callOf(message: PageMessage): SeenCall | undefined {
  if (message.type !== "call") return undefined;
  const { id, path, argumentList } = message.message as unknown as {
    readonly id: string;
    readonly path: readonly string[];
    readonly argumentList: readonly { readonly value: unknown }[];
  };
  return { id, name: path.join("."), args: argumentList.map(({ value }) => value) };
}
