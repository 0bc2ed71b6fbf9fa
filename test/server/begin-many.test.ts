import * as v from "valibot";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { AuditEntry, Authorize } from "../../server/index.ts";
import { type BeginManyAnswer, beginManyAnswer } from "../../src/core/http-api.ts";
import type { BeginIntent } from "../../src/core/storage.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { beginIntent, putPart, someBytes, startUploadServer, type UploadServer } from "./upload-server.ts";

const asAlice: Authorize = (_request, { key }) => ({ key, owner: "alice" });

let engine: S3Engine;
let server: UploadServer;
let authorize: Authorize;
const audited: Omit<AuditEntry, "at">[] = [];

beforeAll(async () => {
  engine = await startS3();
  server = await startUploadServer(engine, {
    authorize: (request, intent) => authorize(request, intent),
    audit: ({ at: _, ...entry }) => void audited.push(entry),
    rules: { maxBytes: 1_000, beginsPerMinute: 100 },
  });
});

beforeEach(() => {
  authorize = asAlice;
  audited.length = 0;
  server.errors.length = 0;
});

afterAll(async () => {
  await server.close();
  await engine.close();
});

const intentsOf = (keys: readonly string[], more: Partial<BeginIntent> = {}) =>
  keys.map((key) => beginIntent({ key, size: 4, partSize: 4, ...more }));

async function beginMany(uploads: readonly BeginIntent[]): Promise<BeginManyAnswer["uploads"]> {
  const answer = await server.post("begin-many", { uploads });
  expect(answer.status).toBe(200);
  return v.parse(beginManyAnswer, await answer.json()).uploads;
}

describe("several uploads", () => {
  test("are begun by one request, and answered in the order they were asked for", async () => {
    const keys = Array.from({ length: 32 }, (_, index) => `many/${index}`);
    const begun = await beginMany(intentsOf(keys));
    expect(begun.map((each) => "key" in each && each.key)).toEqual(keys);
    for (const key of keys) expect(await engine.openUploads(key)).toHaveLength(1);
    const last = begun.at(-1);
    const { token = "", signed = [] } = last && "token" in last ? last : {};
    const parts = await Promise.all(signed.map((part) => putPart(part, someBytes(4))));
    expect(await server.complete(token, parts)).toMatchObject({ key: "many/31", size: 4 });
  });

  test("are each allowed, refused and audited on their own", async () => {
    authorize = (_request, { key }) =>
      key === "each/b" ? new Response(null, { status: 403 }) : { key, owner: "alice" };
    const begun = await beginMany([
      ...intentsOf(["each/a", "each/b", "../c"]),
      ...intentsOf(["each/d"], { size: 1_001, partSize: 1_001 }),
      ...intentsOf(["each/e"], { method: "single" }),
      ...intentsOf(["each/f"], { metadata: { "no name": "x" } }),
    ]);
    expect(begun).toMatchObject([
      { key: "each/a" },
      { error: { kind: "permanent", code: "FORBIDDEN" } },
      { error: { kind: "permanent", code: "KEY_INVALID" } },
      { error: { kind: "permanent", code: "FILE_TOO_LARGE" } },
      { key: "each/e" },
      { error: { kind: "permanent", code: "REQUEST_INVALID" } },
    ]);
    expect(audited.map(({ operation, key, status }) => [operation, key, status]).sort()).toEqual(
      [
        ["begin", "each/a", 200],
        ["begin", "../c", 400],
        ["begin", "each/b", 403],
        ["begin", "each/d", 413],
        ["begin", "each/e", 200],
        ["begin", "each/f", 400],
      ].sort(),
    );
    expect(server.errors.map(({ context }) => context.status).sort()).toEqual([400, 400, 403, 413]);
  });

  test("count each against the owner's limit", async () => {
    authorize = (_request, { key }) => ({ key, owner: "counted" });
    const codes: unknown[] = [];
    for (let request = 0; request < 4; request++) {
      const begun = await beginMany(intentsOf(Array.from({ length: 32 }, (_, index) => `count/${index}`)));
      codes.push(...begun.map((each) => ("error" in each ? each.error.code : "begun")));
    }
    expect(codes.filter((code) => code === "begun")).toHaveLength(100);
    expect(codes.filter((code) => code === "RATE_LIMITED")).toHaveLength(28);
  });

  test("are not too many, nor none, nor anything else", async () => {
    const keys = Array.from({ length: 33 }, (_, index) => `bound/${index}`);
    for (const uploads of [intentsOf(keys), [], [{}], "all"])
      expect(await server.refusal("begin-many", { uploads })).toMatchObject({ status: 400 });
    expect(audited.map(({ operation, status }) => [operation, status])).toEqual(
      Array.from({ length: 4 }, () => ["begin-many", 400]),
    );
    expect(await engine.openUploads("bound/0")).toEqual([]);
  });
});
