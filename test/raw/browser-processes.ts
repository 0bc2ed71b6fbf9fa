import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { chromiumPath } from "../support/chromium.ts";

const START_TIMEOUT_MS = 60_000;
const EXIT_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

const FLAGS = [
  // The headless shell has neither Background Sync nor a Background Fetch that works.
  "--headless=new",
  "--remote-debugging-port=0",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Chromium's sandbox doesn't start as root, which CI is.
  ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
];

export interface BrowserProcesses {
  /** Sends SIGKILL to all of them. */
  kill(): void;
  /** Resolves when the last one has ended. */
  gone(): Promise<void>;
  /** Why it ended by itself, if it has. */
  failure(): string | undefined;
}

export function startProcesses(profile: string): BrowserProcesses {
  const child = spawn(chromiumPath(), [...FLAGS, `--user-data-dir=${profile}`, "about:blank"], {
    // A process group of its own, so that a signal reaches the renderers and the network process too.
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  let failure: string | undefined;
  child.stderr.on("data", (chunk) => {
    said = `${said}${chunk}`.slice(-2_000);
  });
  child.on("error", ({ message }) => {
    failure = message;
  });
  child.on("exit", (code) => {
    failure = `code ${code}: ${said}`;
  });
  // Every process of the group holds the pipe, so its end says more than the `exit` of the first one.
  let isGone = false;
  child.on("close", () => {
    isGone = true;
  });
  return {
    kill() {
      // Once all are gone, the number may be another group's.
      if (child.pid !== undefined && !isGone) signalGroup(child.pid, "SIGKILL");
    },
    async gone() {
      if (child.pid === undefined || isGone) return;
      await once(child, "close", { signal: AbortSignal.timeout(EXIT_TIMEOUT_MS) });
    },
    failure: () => failure,
  };
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

export interface BrowserAddress {
  readonly port: number;
  /** Of the browser itself, as opposed to one of its pages. */
  readonly debuggerUrl: string;
}

/** The address that the browser writes into a file as soon as it is up. */
export async function addressIn(path: string, processes: BrowserProcesses): Promise<BrowserAddress> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const failure = processes.failure();
    if (failure !== undefined) throw new Error(`Chromium ended as it started: ${failure}`);
    const [port, route] = (await readFile(path, "utf8").catch(() => "")).split("\n");
    if (route) return { port: Number(port), debuggerUrl: `ws://127.0.0.1:${port}${route}` };
    await delay(POLL_MS);
  }
  throw new Error(`Chromium was not up after ${START_TIMEOUT_MS / 1_000} s`);
}
