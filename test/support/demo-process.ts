import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface DemoProcess {
  /** URL of the page. */
  readonly app: string;
  /** The values in the `s3 …` line, by name; `endpoint` is its URL. */
  readonly s3: Readonly<Record<string, string>>;
  /** Sends SIGTERM and gives the exit code. */
  stop(): Promise<number | null>;
}

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs `npm start` on ports of its own until it says that it is ready. */
export async function startDemo(env: Readonly<Record<string, string>> = {}): Promise<DemoProcess> {
  const dataDir = await mkdtemp(join(tmpdir(), "backhaul-demo-"));
  const child = spawn(process.execPath, ["scripts/start.mjs"], {
    cwd: root,
    env: { ...process.env, PORT: "0", S3_PORT: "0", DATA_DIR: dataDir, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  let app = "";
  for await (const line of createInterface({ input: child.stdout })) {
    const [name, first = "", ...rest] = line.split(" ");
    if (name === "app") app = first;
    if (name !== "s3") continue;
    const fields = rest.map((field) => field.split("=", 2) as [string, string]);
    return {
      app,
      s3: { endpoint: first, ...Object.fromEntries(fields) },
      async stop() {
        child.kill("SIGTERM");
        const [code] = (await exited) as [number | null];
        await rm(dataDir, { recursive: true, force: true });
        return code;
      },
    };
  }
  throw new Error("npm start ended before it was ready");
}
