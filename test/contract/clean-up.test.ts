import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startStore } from "../../demo/store/server.ts";
import { isCephInstalled, startCeph } from "../engines/ceph.ts";
import type { S3Engine } from "../engines/engine.ts";

const ROOT = join(import.meta.dirname, "../..");
const COMMAND = ["--conditions=backhaul-source", "--import", "tsx", join(ROOT, "server/command.ts")];
const HOUR_MS = 3_600_000;

/** The command as an operator runs it, from anywhere. */
async function backhaul(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [...COMMAND, ...args], {
    cwd: ROOT,
    // Nothing of this machine's: no profile, and no role of its own.
    env: { PATH: process.env.PATH, HOME: "/nonexistent", AWS_EC2_METADATA_DISABLED: "true", ...env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  return { code, lines: stdout.trimEnd().split("\n"), stdout, stderr };
}

describe("an invalid command", () => {
  it.each([
    [[], "no command was given"],
    [["clear"], "unknown command clear"],
    [["clean", "all"], "Unexpected argument 'all'"],
    [["clean", "--older-than", "24h"], "--bucket is missing"],
    [["clean", "--bucket", "", "--older-than", "24h"], "--bucket is missing"],
    [["clean", "--bucket", "b"], "--older-than is missing"],
    [["clean", "--bucket", "b", "--older-than", "24"], '--older-than is "24"'],
    [["clean", "--bucket", "b", "--older-than", "-1h"], "--older-than"],
    [["clean", "--bucket", "b", "--older-than", "1h\u001b[2J"], "1h\\u{1b}[2J"],
    [["clean", "--bucket", "b", "--older-than", "1h", "--endpoint", "localhost"], "--endpoint is"],
    [["clean", "--bucket", "b", "--older-than", "1h", "--force"], "Unknown option '--force'"],
  ] as const)("%j: exit code 2, and nothing is done", async (args, said) => {
    const { code, stdout, stderr } = await backhaul(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(`backhaul: `);
    expect(stderr).toContain(said);
  });

  it("help is no failure", async () => {
    const { code, stdout } = await backhaul(["clean", "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Usage: backhaul clean --bucket/);
  });
});

describeCleanUp("embedded store", startEmbeddedStore);
if (isCephInstalled() || process.env.CI !== undefined)
  describeCleanUp("Ceph RGW 16.2", () => startCeph({ sts: false }));
else describe.skip("Ceph is not installed: the clean-up is not tried on it", () => it("clean-up: Ceph RGW"));

function describeCleanUp(name: string, start: () => Promise<S3Engine>) {
  describe(name, () => {
    let engine: S3Engine;
    let s3: S3Client;
    let env: Record<string, string>;

    beforeAll(async () => {
      engine = await start();
      const { endpoint, region, accessKeyId, secretAccessKey } = engine;
      s3 = new S3Client({
        endpoint,
        region,
        forcePathStyle: true,
        credentials: { accessKeyId, secretAccessKey },
      });
      env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    });

    afterAll(async () => {
      s3?.destroy();
      await engine?.stop();
    });

    const clean = (bucket: string, olderThan: string, ...more: string[]) =>
      backhaul(
        ["clean", "--bucket", bucket, "--older-than", olderThan, "--endpoint", engine.endpoint, ...more],
        env,
      );

    async function makeBucket(bucket: string, keys: readonly string[]): Promise<void> {
      await s3.send(new CreateBucketCommand({ Bucket: bucket }));
      for (let at = 0; at < keys.length; at += 20)
        await Promise.all(
          keys
            .slice(at, at + 20)
            .map((Key) => s3.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }))),
        );
    }

    /** Keys of what is open, by a walk of the test's own. */
    async function openKeys(bucket: string): Promise<readonly string[]> {
      const keys: string[] = [];
      let page = await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      for (;;) {
        keys.push(...(page.Uploads ?? []).map(({ Key = "" }) => Key));
        if (!page.IsTruncated) return keys.sort();
        page = await s3.send(
          new ListMultipartUploadsCommand({
            Bucket: bucket,
            KeyMarker: page.NextKeyMarker,
            UploadIdMarker: page.NextUploadIdMarker,
          }),
        );
      }
    }

    it("more uploads than S3 lists in a page are all checked, and aborted only when asked to", async () => {
      // Many of one key, so that a page ends within it.
      const keys = Array.from({ length: 1_105 }, (_, at) => (at < 300 ? `key-${at}` : "same-key"));
      await makeBucket("many", keys);

      const young = await clean("many", "1h");
      expect(young).toMatchObject({ code: 0 });
      expect(young.lines).toEqual(["1,105 open uploads, 0 of them older than 1h: 0 aborted"]);
      expect(young.stderr).toContain("1,000 uploads checked");

      const dry = await clean("many", "0s", "--dry-run");
      expect(dry.code).toBe(0);
      expect(dry.lines.filter((line) => line.startsWith("stale "))).toHaveLength(1_105);
      expect(dry.lines.at(-1)).toBe(
        "1,105 open uploads, 1,105 of them older than 0s: nothing was aborted (dry run)",
      );
      expect(await openKeys("many")).toHaveLength(1_105);

      const real = await clean("many", "0s");
      expect(real.code).toBe(0);
      expect(real.lines.filter((line) => line.startsWith("aborted "))).toHaveLength(1_105);
      expect(real.lines.at(-1)).toBe("1,105 open uploads, 1,105 of them older than 0s: 1,105 aborted");
      expect(await openKeys("many")).toEqual([]);

      const again = await clean("many", "0s");
      expect(again.lines).toEqual(["0 open uploads, 0 of them older than 0s: 0 aborted"]);
    });

    it("only uploads under the prefix are aborted, whatever characters their keys have", async () => {
      const mine = ["in/a b", "in/a+b", "in/ü&<x>", 'in/"', "in/%2e", "in/ ", "in/a?uploadId=x"];
      await makeBucket("prefix", [...mine, "in", "out/a", "i"]);
      const { code, lines } = await clean("prefix", "0s", "--prefix", "in/");
      expect(code).toBe(0);
      for (const key of mine) expect(lines.join("\n")).toContain(`  ${key}  `);
      expect(lines.at(-1)).toBe("7 open uploads, 7 of them older than 0s: 7 aborted");
      expect(await openKeys("prefix")).toEqual(["i", "in", "out/a"]);
    });

    it("a bucket that is not there: exit code 1, and why", async () => {
      const { code, stdout, stderr } = await clean("not-there", "0s");
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain("backhaul: NoSuchBucket");
    });

    it("wrong credentials: exit code 1, and neither they nor a signature in what it says", async () => {
      const wrong = { ...env, AWS_SECRET_ACCESS_KEY: "wrong-secret-access-key" };
      const { code, stdout, stderr } = await backhaul(
        ["clean", "--bucket", "many", "--older-than", "0s", "--endpoint", engine.endpoint],
        wrong,
      );
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain("SignatureDoesNotMatch");
      expect(stderr).not.toMatch(/wrong-secret|Signature=|[\da-f]{64}/);
    });
  });
}

it("the command exits with 1 and says why if it has no credentials", async () => {
  const engine = await startEmbeddedStore();
  const { code, stderr } = await backhaul([
    ...["clean", "--bucket", "b", "--older-than", "1h", "--endpoint", engine.endpoint],
  ]);
  await engine.stop();
  expect(code).toBe(1);
  expect(stderr).toContain("credentials");
});

it("an upload's age is by the time at which S3 says it was begun", async () => {
  let now = Date.now() - 25 * HOUR_MS;
  const engine = await startEmbeddedStore(() => now);
  const { endpoint, region, accessKeyId, secretAccessKey } = engine;
  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  const config = { endpoint, region, credentials: { accessKeyId, secretAccessKey }, forcePathStyle: true };
  const yesterday = new S3Client({ ...config, systemClockOffset: -25 * HOUR_MS });
  const today = new S3Client(config);
  await yesterday.send(new CreateBucketCommand({ Bucket: "aged" }));
  await yesterday.send(new CreateMultipartUploadCommand({ Bucket: "aged", Key: "of-yesterday" }));
  now = Date.now();
  await today.send(new CreateMultipartUploadCommand({ Bucket: "aged", Key: "of-today" }));

  const { code, lines } = await backhaul(
    ["clean", "--bucket", "aged", "--older-than", "24h", "--endpoint", endpoint],
    env,
  );
  expect(code).toBe(0);
  expect(lines).toEqual([
    expect.stringMatching(/^aborted {2}\d{4}-\d\d-\d\d \d\d:\d\d UTC {2}of-yesterday {2}\S+$/),
    "2 open uploads, 1 of them older than 24h: 1 aborted",
  ]);
  const { Uploads } = await today.send(new ListMultipartUploadsCommand({ Bucket: "aged" }));
  expect(Uploads).toMatchObject([{ Key: "of-today" }]);
  for (const client of [yesterday, today]) client.destroy();
  await engine.stop();
});

async function startEmbeddedStore(now?: () => number): Promise<S3Engine> {
  const dataDir = await mkdtemp(join(tmpdir(), "store-"));
  const credentials = { accessKeyId: "operator", secretAccessKey: "operator-secret" };
  const store = await startStore({ ...credentials, dataDir, port: 0, ...(now && { now }) });
  return {
    ...store,
    endpoint: store.url,
    stop: async () => {
      await store.close();
      await rm(dataDir, { recursive: true });
    },
  };
}
