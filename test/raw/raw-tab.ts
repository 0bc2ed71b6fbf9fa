import { setTimeout as delay } from "node:timers/promises";
import { devtoolsCommand } from "./devtools-command.ts";

const UNTIL_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

/** A tab as `/json/list` describes it. */
export interface TabTarget {
  readonly id: string;
  readonly type: string;
  readonly url: string;
  readonly webSocketDebuggerUrl: string;
}

/** The parts of a browser that a tab needs. */
export interface TabBrowser {
  open(url: string): Promise<RawTab>;
  /** Sends `/json/…`. */
  send(command: string): Promise<void>;
}

/** Script for the page: an expression, or a function that is sent as its source, so it must use nothing from outside. */
export type PageScript<Args extends readonly unknown[], T> = string | ((...args: Args) => T | Promise<T>);

interface EvaluateResult<T> {
  readonly result: { readonly value: T };
  readonly exceptionDetails?: {
    readonly text: string;
    readonly exception?: { readonly description?: string };
  };
}

export class RawTab {
  constructor(
    private readonly target: TabTarget,
    private readonly browser: TabBrowser,
  ) {}

  /** Runs script in the page and gives what it returns or resolves to; arguments and result travel as JSON. */
  async evaluate<T, Args extends readonly unknown[] = []>(
    script: PageScript<Args, T>,
    ...args: Args
  ): Promise<T> {
    const given = args.map((arg) => JSON.stringify(arg) ?? "undefined").join(", ");
    const { result, exceptionDetails } = await this.#send<EvaluateResult<T>>("Runtime.evaluate", {
      expression: typeof script === "string" ? script : `(${script})(${given})`,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails)
      throw new Error(`in the page: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  }

  /** Gives files of this machine to the page's file input, as if a user had picked them. */
  async pickFiles(paths: readonly string[]): Promise<void> {
    const { root } = await this.#send<{ root: DomNode }>("DOM.getDocument", { depth: -1 });
    const backendNodeId = findFileInput(root);
    if (backendNodeId === undefined) throw new Error("the page has no file input");
    await this.#send("DOM.setFileInputFiles", { files: paths, backendNodeId });
  }

  /** Stops the page's service worker at once, as memory pressure would. It is done from outside the worker. */
  async stopWorker(): Promise<void> {
    const { webSocketDebuggerUrl } = this.target;
    await devtoolsCommand(
      webSocketDebuggerUrl,
      "ServiceWorker.stopAllWorkers",
      {},
      { before: "ServiceWorker.enable" },
    );
  }

  #send<T>(method: string, params: object): Promise<T> {
    return devtoolsCommand<T>(this.target.webSocketDebuggerUrl, method, params);
  }

  /** Asks until the answer is truthy, and gives it. What the page throws meanwhile, such as while it loads, counts as no. */
  async until<T, Args extends readonly unknown[] = []>(
    script: PageScript<Args, T>,
    args: Args = [] as unknown as Args,
    timeoutMs = UNTIL_TIMEOUT_MS,
  ): Promise<T> {
    const deadline = Date.now() + timeoutMs;
    let cause: unknown;
    while (Date.now() < deadline) {
      try {
        const value = await this.evaluate(script, ...args);
        if (value) return value;
        cause = undefined;
      } catch (error) {
        cause = error;
      }
      await delay(POLL_MS);
    }
    throw new Error(`not so within ${timeoutMs} ms: ${script}`, { cause });
  }

  /** Closes the tab as a user would: with `pagehide`, unless a `beforeunload` dialog holds it. */
  close(): Promise<void> {
    return this.browser.send(`close/${this.target.id}`);
  }

  /** Brings the tab to the front. */
  async show(): Promise<void> {
    await this.browser.send(`activate/${this.target.id}`);
    await this.until("document.visibilityState === 'visible'");
  }

  /** Puts another tab in front of this one; it can be closed once it has served. */
  async hide(): Promise<RawTab> {
    const cover = await this.browser.open("data:text/html,cover");
    await this.until("document.visibilityState === 'hidden'");
    return cover;
  }
}

interface DomNode {
  readonly nodeName: string;
  readonly backendNodeId: number;
  readonly attributes?: readonly string[];
  readonly children?: readonly DomNode[];
}

function findFileInput({ nodeName, attributes, backendNodeId, children = [] }: DomNode): number | undefined {
  if (nodeName === "INPUT" && attributes?.includes("file")) return backendNodeId;
  for (const child of children) {
    const found = findFileInput(child);
    if (found !== undefined) return found;
  }
  return undefined;
}
