import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import * as v from "valibot";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import type { ChecksumKind } from "../../src/core/checksum.ts";
import { relayAnswer } from "../../src/core/http-api.ts";
import { type RelayedRun, startRun } from "./relay-client.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";
import { SECRET, startUploadServer, type UploadServer } from "./upload-server.ts";

const MIB = 1024 * 1024;

let engine: S3Engine;
let tcp: TcpProxy;
/** Begins what the process's relay goes on with. */
let server: UploadServer;

beforeAll(async () => {
  engine = await startS3();
  tcp = await startTcpProxy(engine.endpoint);
  server = await startUploadServer(engine);
});

afterAll(async () => {
  await server.close();
  await tcp.close();
  await engine.close();
});

const CHUNK = new Uint8Array(64 * 1024);

/** Writes as fast as it is taken. */
async function fill({ request }: RelayedRun, bytes: number): Promise<void> {
  for (let left = bytes; left > 0; left -= CHUNK.length)
    if (!request.write(CHUNK.subarray(0, left))) await once(request, "drain");
  request.end();
}

/** All parts of a file. */
async function startFullRun(
  { begin, url }: Pick<UploadServer, "begin" | "url">,
  key: string,
  partSize: number,
  count: number,
  checksum: ChecksumKind,
): Promise<RelayedRun> {
  const bytes = partSize * count;
  const token = await begin({ key, size: bytes, partSize, checksum });
  return startRun(url, token, { first: 1, count, bytes });
}

async function partNumbersOf({ answer }: RelayedRun): Promise<number> {
  const { status, body } = await answer;
  expect(status).toBe(200);
  return v.parse(relayAnswer, body).parts.length;
}

// With the second one the SDK makes another body of each part, which ends with its checksum.
const KINDS = ["md5", "crc64nvme"] as const;

test.each(KINDS)("S3 that takes nothing stops the client, and nothing piles up here: %s", async (kind) => {
  tcp.limit = 4 * MIB;
  // Of its own, so that it opens connections of its own, to which the limit applies.
  const server = await startUploadServer(engine, { client: engine.clientAt(tcp.url) });
  onTestFinished(server.close);
  const run = await startFullRun(server, `pressure/stalled-${kind}`, 64 * MIB, 2, kind);
  const filled = fill(run, 128 * MIB);
  const accepted = () => (run.request.socket?.bytesWritten ?? 0) - (run.request.socket?.writableLength ?? 0);
  let before = -1;
  await vi.waitFor(
    () => {
      const now = accepted();
      const hasStopped = now > tcp.limit && now === before;
      before = now;
      expect(hasStopped).toBe(true);
    },
    { timeout: 20_000, interval: 500 },
  );
  // The most that the kernel buffers for three connections.
  expect(before).toBeLessThan(48 * MIB);
  tcp.release();
  await filled;
  expect(await partNumbersOf(run)).toBe(2);
});

interface ServerProcess {
  readonly child: ChildProcess;
  readonly url: string;
}

async function startProcess(): Promise<ServerProcess> {
  const { accessKeyId, secretAccessKey } = await engine.client.config.credentials();
  const file = fileURLToPath(new URL("relay-process.ts", import.meta.url));
  const s3 = {
    S3_URL: engine.endpoint,
    S3_BUCKET: engine.bucket,
    S3_KEY_ID: accessKeyId,
    S3_KEY: secretAccessKey,
  };
  const child = spawn(process.execPath, ["--import", "tsx", file], {
    env: { ...process.env, ...s3, SECRET },
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const url of createInterface({ input: child.stdout })) return { child, url: `${url}/uploads` };
  throw new Error("it ended before it was ready");
}

/** Resident memory of a process, in bytes. */
function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

function openSockets(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith("socket:");
    } catch {
      return false;
    }
  }).length;
}

test.runIf(process.platform === "linux").each(KINDS)(
  "8 runs of 64 MiB at once take less than 64 MiB of memory, and leave no socket: %s",
  { timeout: 180_000 },
  async (kind) => {
    const { child, url } = await startProcess();
    const { begin } = server;
    const { pid = 0 } = child;
    try {
      const runAll = async (name: string, count: number) => {
        const runs = await Promise.all(
          Array.from({ length: 8 }, (_, index) =>
            startFullRun({ begin, url }, `pressure/${kind}-${name}-${index}`, 8 * MIB, count, kind),
          ),
        );
        await Promise.all(runs.map((run) => fill(run, count * 8 * MIB)));
        for (const run of runs) expect(await partNumbersOf(run)).toBe(count);
      };
      const sockets = openSockets(pid);
      await runAll("warm", 2);
      await vi.waitFor(() => expect(openSockets(pid)).toBe(sockets), { timeout: 20_000 });
      const baseline = residentBytes(pid);
      let peak = baseline;
      const sampling = setInterval(() => {
        peak = Math.max(peak, residentBytes(pid));
      }, 20);
      await runAll("run", 8).finally(() => clearInterval(sampling));
      expect(peak - baseline).toBeLessThan(64 * MIB);
      await vi.waitFor(() => expect(openSockets(pid)).toBe(sockets), { timeout: 20_000 });
    } finally {
      child.kill();
      await once(child, "exit");
    }
  },
);
