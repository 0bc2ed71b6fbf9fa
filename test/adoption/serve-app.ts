import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

export interface ServedApp {
  readonly url: string;
  /** What the server has printed. */
  output(): string;
  close(): Promise<void>;
}

/** Starts an app's own server, or the one of all apps without. Returns once it answers. */
export async function serveApp(
  folder: string,
  server: string,
  environment: Readonly<Record<string, string>>,
): Promise<ServedApp> {
  const { scripts } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const [command, args, cwd] = scripts.start
    ? (["npm", ["start"], folder] as const)
    : ([process.execPath, ["server.js"], server] as const);
  const PUBLIC_FOLDER = join(folder, existsSync(join(folder, "public")) ? "public" : "dist");
  const port = await freePort();
  const url = `http://localhost:${port}/`;
  const env = { ...process.env, ...environment, PUBLIC_FOLDER, PORT: `${port}`, ORIGIN: new URL(url).origin };
  // A group of its own, since npm leaves the server behind when it is killed.
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  const ended = once(child, "close");
  const close = async () => {
    if (child.exitCode === null && child.pid) process.kill(-child.pid);
    await ended;
  };
  const giveUpAt = Date.now() + 60_000;
  while (!(await answers(url))) {
    if (child.exitCode === null && Date.now() < giveUpAt) {
      await setTimeout(100);
      continue;
    }
    await close();
    throw new Error(`the server did not start:\n${printed}`);
  }
  return { url, output: () => printed, close };
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "localhost");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port is free");
  return address.port;
}
