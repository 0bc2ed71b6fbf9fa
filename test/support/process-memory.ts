import { readFile } from "node:fs/promises";
import type { Browser } from "playwright";

/** Resident memory of each of the browser's renderer processes, in bytes: those of its pages and workers. */
export async function rendererMemory(browser: Browser): Promise<Map<number, number>> {
  const session = await browser.newBrowserCDPSession();
  try {
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    const renderers = processInfo.filter(({ type }) => type === "renderer");
    return new Map(
      await Promise.all(renderers.map(async ({ id }) => [id, await residentBytes(id)] as const)),
    );
  } finally {
    await session.detach();
  }
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}
