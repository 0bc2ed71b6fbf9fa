import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  addressIn,
  type BrowserAddress,
  type BrowserProcesses,
  startProcesses,
} from "./browser-processes.ts";
import { devtoolsCommand } from "./devtools-command.ts";
import { RawTab, type TabTarget } from "./raw-tab.ts";

/** Files may still appear while the processes die. */
const REMOVE_ALL = { recursive: true, force: true, maxRetries: 5 };

/** Vitest ends its processes by SIGTERM, which by itself would skip what is to be done at `exit`. */
const exit = () => process.exit(143);

export interface RawChromiumOptions {
  /** User data directory, left in place by `dispose`. @default one of its own, which `dispose` removes */
  readonly profile?: string;
}

/**
 * Chromium with no debugger on its service workers, so that they live just as long as at a user's. (Playwright attaches to
 * every one of them, which switches the limits off.) One `about:blank` tab stays open and keeps the browser up.
 */
export class RawChromium {
  static async start({ profile }: RawChromiumOptions = {}): Promise<RawChromium> {
    const ownProfile = profile === undefined;
    const browser = new RawChromium(profile ?? (await mkdtemp(join(tmpdir(), "backhaul-raw-"))), ownProfile);
    try {
      await browser.restart();
    } catch (error) {
      await browser.dispose();
      throw error;
    }
    return browser;
  }

  #processes: BrowserProcesses | undefined;
  #address: BrowserAddress | undefined;

  private constructor(
    readonly profile: string,
    private readonly ownProfile: boolean,
  ) {
    process.on("exit", this.#disposeAtExit);
    process.on("SIGTERM", exit);
  }

  /** Starts the browser again, with the same profile, after `kill` or `close`. */
  async restart(): Promise<void> {
    if (this.#processes) throw new Error("the browser is running: end it first, with kill or close");
    const portFile = join(this.profile, "DevToolsActivePort");
    // A browser that was killed has left its own behind.
    await rm(portFile, { force: true });
    this.#processes = startProcesses(this.profile);
    this.#address = await addressIn(portFile, this.#processes);
  }

  /** How it ended by itself, if it has. */
  get failure(): string | undefined {
    return this.#address && this.#processes?.failure();
  }

  /** Opens a tab, brings it to the front and waits for its `load` event. */
  async open(url: string): Promise<RawTab> {
    // What stands behind the # of the command's own URL would not be sent.
    const tab = this.#tab(await this.#devtools<TabTarget>(`new?${url.replace("#", "%23")}`, "PUT"));
    await tab.until("location.href !== 'about:blank' && document.readyState === 'complete'");
    return tab;
  }

  /** The open tabs, the one in front first. */
  async tabs(): Promise<RawTab[]> {
    const targets = await this.#devtools<TabTarget[]>("list");
    return targets.filter(({ type }) => type === "page").map((target) => this.#tab(target));
  }

  /** SIGKILL to all of its processes at once, as in a crash. */
  async kill(): Promise<void> {
    this.#processes?.kill();
    await this.#gone();
  }

  /** Quits, as by the browser's own menu. */
  async close(): Promise<void> {
    if (!this.#address) return;
    const { debuggerUrl } = this.#address;
    // From now on its end is wanted.
    this.#address = undefined;
    await devtoolsCommand(debuggerUrl, "Browser.close");
    await this.#gone();
  }

  /** Kills it and removes its profile. For the end of a test. */
  async dispose(): Promise<void> {
    await this.kill();
    if (this.ownProfile) await rm(this.profile, REMOVE_ALL);
    process.off("exit", this.#disposeAtExit);
    process.off("SIGTERM", exit);
  }

  readonly #disposeAtExit = (): void => {
    this.#processes?.kill();
    if (this.ownProfile) rmSync(this.profile, REMOVE_ALL);
  };

  async #gone(): Promise<void> {
    this.#address = undefined;
    await this.#processes?.gone();
    this.#processes = undefined;
  }

  #tab(target: TabTarget): RawTab {
    return new RawTab(target, {
      open: (url) => this.open(url),
      send: async (command) => void (await this.#devtools(command)),
    });
  }

  async #devtools<T>(command: string, method = "GET"): Promise<T> {
    if (!this.#address) throw new Error("the browser is not running");
    const response = await fetch(`http://127.0.0.1:${this.#address.port}/json/${command}`, { method }).catch(
      (cause: unknown) => {
        throw new Error(`/json/${command}: ${this.#processes?.failure() ?? "the browser does not answer"}`, {
          cause,
        });
      },
    );
    const text = await response.text();
    if (!response.ok) throw new Error(`/json/${command}: ${response.status} ${text}`);
    return (/^[[{]/.test(text) ? JSON.parse(text) : undefined) as T;
  }
}
