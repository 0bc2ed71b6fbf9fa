import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { AddedFile, RawBed } from "../raw/raw-bed.ts";
import type { RawTab } from "../raw/raw-tab.ts";

export const MIB = 1024 * 1024;

/** How large files are, and how often each case runs: `LIFETIME_MIB=1024 LIFETIME_RUNS=10 npm run test:lifetimes`. */
export const FILE_BYTES = Number(process.env.LIFETIME_MIB ?? 160) * MIB;
export const RUNS = Number(process.env.LIFETIME_RUNS ?? 1);

interface Row {
  readonly name: string;
  runs: number;
  crashes: number;
  /** Bytes sent for each byte of the files, in the worst run. */
  sent: number;
  /** Of the longest run. */
  seconds: number;
}

const rows = new Map<string, Row>();

/** Counts a run for the table that is printed at the end. */
export function count(
  name: string,
  run: { readonly isCrash: boolean; readonly sent: number; readonly seconds: number },
): void {
  const row = rows.get(name) ?? { name, runs: 0, crashes: 0, sent: 0, seconds: 0 };
  rows.set(name, row);
  row.runs += 1;
  if (run.isCrash) row.crashes += 1;
  row.sent = Math.max(row.sent, run.sent);
  row.seconds = Math.max(row.seconds, run.seconds);
}

export function table(): string {
  const lines = [...rows.values()].map(
    ({ name, runs, crashes, sent, seconds }) =>
      `| ${name} | ${runs} | ${crashes} | ${(sent * 100).toFixed(1)} % | ${seconds.toFixed(0)} |`,
  );
  return ["| case | runs | crashes | bytes sent | seconds |", "|---|---|---|---|---|", ...lines].join("\n");
}

/** Runs one case once and counts it, however it ends. */
export async function counted(
  name: string,
  bed: RawBed,
  files: readonly AddedFile[],
  work: () => Promise<void>,
): Promise<void> {
  const startedAt = performance.now();
  const before = bed.link.bytesSent;
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  try {
    await work();
  } finally {
    const sent = (bed.link.bytesSent - before) / bytes;
    const seconds = (performance.now() - startedAt) / 1_000;
    count(name, { isCrash: bed.browser.failure !== undefined, sent, seconds });
  }
}

/** A user who goes on browsing: a page of another origin every 33 s, until `stop`. */
export class Browsing {
  readonly #server: Server = createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end("<!doctype html><title>another app</title>");
  });
  #isStopped = false;
  #done: Promise<void> = Promise.resolve();

  async start(bed: RawBed, everyMs = 33_000): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "localhost", resolve));
    const url = `http://localhost:${(this.#server.address() as AddressInfo).port}/`;
    this.#done = this.#browse(bed, url, everyMs);
  }

  async #browse(bed: RawBed, url: string, everyMs: number): Promise<void> {
    while (!this.#isStopped) {
      // The browser may be down for a moment.
      await bed.browser
        .open(url)
        .then((tab) => tab.close())
        .catch(() => {});
      for (let waited = 0; waited < everyMs && !this.#isStopped; waited += 500) await delay(500);
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
    this.#server.close();
  }
}

/** Bytes that left the browser in so many milliseconds. */
export async function bytesWithin({ link }: RawBed, ms: number): Promise<number> {
  const before = link.bytesSent;
  await delay(ms);
  return link.bytesSent - before;
}

/** Waits until the browser has sent so many bytes of these uploads by its own transfer. */
export async function untilCarried(tab: RawTab, id: string): Promise<void> {
  await tab.until((id: string) => uploads.get(id)?.lane === "browser", [id], 120_000);
}
