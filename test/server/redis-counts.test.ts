/** Two servers in processes of their own, and a real Redis. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { redisCounts } from "../../server/redis.ts";
import { freePorts, isInPath } from "../engines/engine.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { SECRET } from "./upload-server.ts";

const SERVER = fileURLToPath(new URL("redis-process.ts", import.meta.url));

if (isInPath("redis-server") || process.env.CI !== undefined) describeCounts();
else describe.skip("Redis is not installed: shared counts are not tried", () => test("Redis"));

test.each([0, 59, 86_401, 1.5])("a count that lives for %j s is refused", (relaySeconds) => {
  expect(() => redisCounts({}, { relaySeconds })).toThrow("relaySeconds");
});

function describeCounts() {
  describe("servers that share their counts", () => {
    let s3: S3Engine;
    let redis: ChildProcess;
    const servers: ChildProcess[] = [];
    const urls: string[] = [];

    beforeAll(async () => {
      s3 = await startS3();
      const [port] = await freePorts(1);
      redis = spawn("redis-server", [
        "--port",
        `${port}`,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
      ]);
      await lineOf(redis, /Ready to accept connections/);
      const { accessKeyId, secretAccessKey } = await s3.client.config.credentials();
      for (const _ of [1, 2]) {
        const server = spawn(process.execPath, ["--conditions=backhaul-source", "--import", "tsx", SERVER], {
          stdio: ["ignore", "pipe", "inherit"],
          env: {
            ...process.env,
            ...{ S3_URL: s3.endpoint, S3_BUCKET: s3.bucket, S3_KEY_ID: accessKeyId, S3_KEY: secretAccessKey },
            ...{ SECRET, REDIS_URL: `redis://127.0.0.1:${port}`, NODE_NO_WARNINGS: "1" },
          },
        });
        servers.push(server);
        urls.push(await lineOf(server, /^http/));
      }
    });

    afterAll(async () => {
      for (const child of [...servers, redis]) {
        child?.kill("SIGKILL");
        if (child?.exitCode === null && child.signalCode === null) await once(child, "exit");
      }
      await s3?.close();
    });

    async function begin(
      server: number,
      user: string,
      size = 1,
    ): Promise<{ status: number; token: string; id: string }> {
      const id = randomUUID();
      const response = await fetch(`${urls[server]}/begin`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-user": user },
        body: JSON.stringify({
          ...{ uploadId: id, key: `${user}/${id}`, size, partSize: size, type: "text/plain", name: "a" },
          ...{ method: "single", checksum: "none", triedForMs: null },
        }),
      });
      const { token = "" } = (await response.json()) as { token?: string };
      return { status: response.status, token, id };
    }

    test("let an owner begin no more at all of them than is allowed at one", async () => {
      const statuses = await Promise.all(
        Array.from({ length: 10 }, async (_, at) => (await begin(at % 2, "ann")).status),
      );
      expect(statuses.toSorted()).toEqual([200, 200, 200, 200, 200, 200, 429, 429, 429, 429]);
      expect((await begin(0, "ben")).status).toBe(200);
    });

    test("let an owner relay no more at all of them than is allowed at one", async () => {
      const size = 1_000;
      const uploads = [];
      for (const server of [0, 1, 0, 1]) uploads.push({ server, ...(await begin(server, "cat", size)) });
      const relays = uploads.map(({ server, token, id }): Relay => {
        const request = httpRequest(
          `${urls[server]}/relay?upload=${id}&first=1&count=1&fetch=${randomUUID()}`,
          {
            method: "PUT",
            headers: { "x-user": "cat", "x-backhaul-token": token, "content-length": size },
          },
        );
        const status = new Promise<number>((resolve, reject) => {
          request
            .on("response", (response) => resolve(response.resume().statusCode ?? 0))
            .on("error", reject);
        });
        return {
          status,
          start: () => void request.write(Buffer.alloc(1)),
          finish: () => void request.end(Buffer.alloc(size - 1)),
        };
      });
      const [first, second, third, fourth] = relays as [Relay, Relay, Relay, Relay];
      for (const relay of [first, second, third]) relay.start();
      // Which of the three comes last is up to the machine.
      const refused = await Promise.race(
        [first, second, third].map(async (relay) => ({ relay, status: await relay.status })),
      );
      expect(refused.status).toBe(429);
      const others = [first, second, third].filter((relay) => relay !== refused.relay);
      for (const relay of others) relay.finish();
      expect(await Promise.all(others.map(({ status }) => status))).toEqual([200, 200]);
      fourth.start();
      fourth.finish();
      expect(await fourth.status).toBe(200);
    });

    test("count for themselves while Redis is away", async () => {
      redis.kill("SIGKILL");
      await once(redis, "exit");
      const statuses = [];
      for (let at = 0; at < 8; at++) statuses.push((await begin(0, "dan")).status);
      expect(statuses).toEqual([200, 200, 200, 200, 200, 200, 429, 429]);
      expect((await begin(1, "dan")).status).toBe(200);
    });
  });
}

interface Relay {
  readonly status: Promise<number>;
  start(): void;
  finish(): void;
}

async function lineOf(child: ChildProcess, pattern: RegExp): Promise<string> {
  if (child.stdout === null) throw new Error("it has no output");
  for await (const line of createInterface({ input: child.stdout })) {
    if (!pattern.test(line)) continue;
    child.stdout.resume();
    return line;
  }
  throw new Error("it ended before it was ready");
}
