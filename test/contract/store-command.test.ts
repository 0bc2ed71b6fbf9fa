import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HeadBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { afterEach, beforeEach, expect, it } from "vitest";

const MAIN = join(import.meta.dirname, "../../demo/store/main.ts");
const READY = /^s3 (http:\/\/localhost:\d+) bucket=demo accessKeyId=(\S+) secretAccessKey=(\S+)\n$/;

let dataDir: string;
const children = new Set<ChildProcess>();
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "store-"));
});
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await rm(dataDir, { recursive: true });
});

function run(variables: Record<string, string>): ChildProcess {
  const env = { PATH: process.env.PATH, DATA_DIR: dataDir, S3_PORT: "0", ...variables };
  const child = spawn(process.execPath, ["--import", "tsx", MAIN], { env });
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

async function ready(child: ChildProcess) {
  const [line] = await once(child.stdout ?? child, "data");
  const [, url = "", accessKeyId = "", secretAccessKey = ""] = READY.exec(String(line)) ?? [];
  expect(String(line)).toMatch(READY);
  return { url, accessKeyId, secretAccessKey };
}

it("starts with a bucket and lasting credentials, and ends on SIGTERM with 0", async () => {
  const first = run({});
  const { url, ...credentials } = await ready(first);
  const s3 = new S3Client({
    region: "us-east-1",
    endpoint: url,
    forcePathStyle: true,
    credentials: { ...credentials },
  });
  expect((await s3.send(new HeadBucketCommand({ Bucket: "demo" }))).$metadata.httpStatusCode).toBe(200);
  first.kill("SIGTERM");
  expect(await once(first, "exit")).toEqual([0, null]);
  expect((await stat(join(dataDir, "store-credentials.json"))).mode & 0o777).toBe(0o600);

  const second = run({});
  expect(await ready(second)).toMatchObject(credentials);
  second.kill("SIGINT");
  expect(await once(second, "exit")).toEqual([0, null]);
});

it("takes its credentials from the environment", async () => {
  const child = run({ AWS_ACCESS_KEY_ID: "mine", AWS_SECRET_ACCESS_KEY: "my-secret" });
  expect(await ready(child)).toMatchObject({ accessKeyId: "mine", secretAccessKey: "my-secret" });
});

it("says which variable to set if the port is taken", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const child = run({ S3_PORT: String(port) });
  const [[message], [code]] = await Promise.all([once(child.stderr ?? child, "data"), once(child, "exit")]);
  server.close();
  expect(String(message)).toBe(`Port ${port} is in use. Set S3_PORT to another one, such as S3_PORT=9001.\n`);
  expect(code).toBe(1);
});

it("refuses a port that is none", async () => {
  const child = run({ S3_PORT: "ninety" });
  const [[message], [code]] = await Promise.all([once(child.stderr ?? child, "data"), once(child, "exit")]);
  expect(String(message)).toContain("S3_PORT must be a whole number");
  expect(code).toBe(1);
});
