import { readdir, readFile } from "node:fs/promises";
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

/** Resident memory of all renderer processes of the browser that has its profile in this folder, in bytes. */
export async function residentBytesOf(folder: string): Promise<number> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const sizes = await Promise.all(
    pids.map(async (pid) => {
      const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      return command.includes(folder) && command.includes("--type=renderer") ? residentBytes(pid) : 0;
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
