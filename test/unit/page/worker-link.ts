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
  /** Whether greetings are answered. */
  isServing = true;
  restorations = 0;
  /** Answers calls at once, by their name; others get no answer. */
  readonly replies = new Map<string, (...args: readonly unknown[]) => Reply<unknown>>();
  readonly syncs: string[] = [];
  #listener: ((message: unknown, answer: (message: unknown) => void) => void) | undefined;

  post = (message: unknown): void => {
    const heard = structuredClone(message) as PageMessage;
    this.heard.push(heard);
    const call = callOf(heard);
    const reply = call && this.replies.get(call.name);
    if (heard.type === "hello" && this.isServing)
      queueMicrotask(() => this.say({ backhaul: PROTOCOL_VERSION, type: "welcome" }));
    if (call && reply) queueMicrotask(() => this.reply(call.id, reply(...call.args)));
  };

  onMessage(listener: (message: unknown, answer: (message: unknown) => void) => void): () => void {
    this.#listener = listener;
    return () => {
      this.#listener = undefined;
    };
  }

  successor: WorkerLink["successor"] = "none";
  /** What a look for a newer version finds. */
  onUpdate = async () => {};

  async restore(): Promise<void> {
    this.restorations += 1;
  }

  update(): Promise<void> {
    this.updates += 1;
    return this.onUpdate();
  }

  readonly periodicSyncs: string[] = [];

  async registerPeriodicSync(tag: string): Promise<void> {
    this.periodicSyncs.push(tag);
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
