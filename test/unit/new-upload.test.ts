import fc from "fast-check";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { beginRequest } from "../../src/core/http-api.ts";
import { MIB, S3_LIMITS } from "../../src/core/limits.ts";
import type { AddOptions } from "../../src/core/options.ts";
import { type NewUploadContext, newUpload } from "../../sw/pages/new-upload.ts";
import { ID } from "./records.ts";

const context: NewUploadContext = {
  owner: "anna",
  now: 5_000,
  partSpeed: null,
  limits: S3_LIMITS,
  checksum: "crc32c",
  options: { partSize: { strategy: "bySize" }, multipartThresholdBytes: 16 * MIB },
};

function make(
  options: Partial<AddOptions> = {},
  bytes: Blob = new Blob([]),
  more: Partial<NewUploadContext> = {},
) {
  return newUpload({ id: ID, options: { key: "photos/a.jpg", ...options } }, bytes, { ...context, ...more });
}

/** A Blob that claims a size: none of these tests reads it. */
function blobOf(size: number): Blob {
  const blob = new Blob([]);
  Object.defineProperty(blob, "size", { value: size });
  return blob;
}

describe("a new upload", () => {
  test("is queued, with nothing open at S3 and nothing kept of its file", () => {
    expect(make()).toMatchObject({
      id: ID,
      state: "queued",
      remote: { at: "none" },
      durability: "memory",
      attempts: 0,
      owner: "anna",
      checksum: "crc32c",
      createdAt: 5_000,
      updatedAt: 5_000,
    });
  });

  test("has the app's options, or their defaults", () => {
    expect(make()).toMatchObject({ laneOption: "auto", priority: 0, conditions: null });
    expect(make({ lane: "browser", priority: -3 })).toMatchObject({ laneOption: "browser", priority: -3 });
  });

  test("keeps the key that was asked for beside the one that the server may change", () => {
    expect(make()).toMatchObject({ key: "photos/a.jpg", wantedKey: "photos/a.jpg" });
  });

  test("has every condition spelt out, with dates as numbers", () => {
    expect(make({ conditions: {} }).conditions).toEqual({ unmetered: false, notBefore: null, hours: null });
    const hours = { from: 22, to: 6 };
    const notBefore = new Date(9_000);
    expect(make({ conditions: { unmetered: true, notBefore, hours } }).conditions).toEqual({
      unmetered: true,
      notBefore: 9_000,
      hours,
    });
  });
});

describe("its description", () => {
  const file = new File(["x"], "b.png", { type: "image/png", lastModified: 77 });

  test("is the file's own", () => {
    expect(make({}, file)).toMatchObject({ name: "b.png", type: "image/png", lastModified: 77 });
  });

  test("is what the app says, where it says something", () => {
    const described = make({ name: "Beach", type: "image/webp" }, file);
    expect(described).toMatchObject({ name: "Beach", type: "image/webp", lastModified: 77 });
    expect(make({ name: "", type: "" }, file)).toMatchObject({ name: "", type: "" });
  });

  test("of a Blob, which has no name, is the last segment of the key", () => {
    expect(make({}, new Blob(["x"], { type: "text/plain" }))).toMatchObject({
      name: "a.jpg",
      type: "text/plain",
      lastModified: null,
    });
    expect(make({ key: "plain" })).toMatchObject({ name: "plain" });
  });
});

describe("its plan", () => {
  test("is a single PUT up to the threshold, and parts above it", () => {
    expect(make({}, blobOf(16 * MIB))).toMatchObject({
      method: "single",
      plan: { size: 16 * MIB, partSize: 16 * MIB, partCount: 1 },
    });
    expect(make({}, blobOf(16 * MIB + 1))).toMatchObject({
      method: "multipart",
      plan: { size: 16 * MIB + 1, partSize: 5 * MIB, partCount: 4 },
    });
  });

  test("of an empty file is a single PUT of nothing", () => {
    const plan = { size: 0, partSize: 0, partCount: 1 };
    expect(make()).toMatchObject({ method: "single", plan });
  });

  test("never has a PUT that is larger than the storage takes", () => {
    const options = { ...context.options, multipartThresholdBytes: Number.MAX_SAFE_INTEGER };
    const limits = { ...S3_LIMITS, maxPartBytes: 8 * MIB };
    expect(make({}, blobOf(8 * MIB), { options, limits })).toMatchObject({ method: "single" });
    expect(make({}, blobOf(8 * MIB + 1), { options, limits })).toMatchObject({ method: "multipart" });
  });

  test("has parts, however small the file, where the app names their size", () => {
    expect(make({ partSize: 6 * MIB }, blobOf(10))).toMatchObject({
      method: "multipart",
      plan: { size: 10, partSize: 6 * MIB, partCount: 1 },
    });
  });

  test("follows the speed measured last where parts are to be adaptive", () => {
    const options = { ...context.options, partSize: { strategy: "adaptive", seconds: 10 } as const };
    const fast = make({}, blobOf(100 * MIB), { options, partSpeed: 2 * MIB });
    expect(fast.plan.partSize).toBe(20 * MIB);
  });
});

describe("what S3 would refuse is refused before anything is kept", () => {
  test.each([
    ["an empty key", { key: "" }, new Blob([]), "KEY_INVALID"],
    ["a key that climbs", { key: "a/../b" }, new Blob([]), "KEY_INVALID"],
    ["a key with a line break", { key: "a\r\nb" }, new Blob([]), "KEY_INVALID"],
    ["a key that is too long", { key: "k".repeat(1_025) }, new Blob([]), "KEY_INVALID"],
    ["a file of no size", {}, blobOf(Number.NaN), "FILE_INVALID"],
    ["a file above all limits", {}, blobOf(S3_LIMITS.maxObjectBytes + 1), "FILE_TOO_LARGE"],
    ["parts that are too small", { partSize: 5 * MIB - 1 }, new Blob([]), "PART_SIZE_INVALID"],
    ["parts that are too large", { partSize: 5 * 1024 * MIB + 1 }, new Blob([]), "PART_SIZE_INVALID"],
    ["a fraction of a byte", { partSize: 5 * MIB + 0.5 }, new Blob([]), "PART_SIZE_INVALID"],
    ["too many parts", { partSize: 5 * MIB }, blobOf(10_000 * 5 * MIB + 1), "PART_SIZE_INVALID"],
  ])("%s", (_what, options, bytes, code) => {
    expect(() => make(options, bytes)).toThrow(expect.objectContaining({ name: "UploadError", code }));
  });
});

const HALF_CHARACTER = /\p{Surrogate}/u;

describe("what the server would refuse", () => {
  /** The `begin` that this upload will be asked for with. */
  const isAccepted = ({ id, key, type, name, method, plan, checksum }: ReturnType<typeof make>) =>
    v.is(beginRequest, {
      ...{ uploadId: id, key, type, name, method, checksum, size: plan.size, partSize: plan.partSize },
      triedForMs: null,
    });

  test.each(["foo", "image/", "image/*", "/png", "unknown/unknown", `image/${"x".repeat(300)}`])(
    "as a type, %j, makes a file of no known type",
    (type) => {
      expect(make({}, new File(["x"], "a", { type })).type).toBe("");
    },
  );

  test("as a name is mended: too long, of control characters, of half characters", () => {
    const long = make({}, new File(["x"], `${"x".repeat(1_100)}.jpeg`)).name;
    expect(long).toMatch(/^x+\.jpeg$/);
    expect(long.length).toBeLessThanOrEqual(1_024);
    expect(make({ name: "a\u0000b\nc" }).name).toBe("abc");
    expect(make({ name: "half\ud800" }).name).toBe("half\ufffd");
    expect(make({ name: `${"x".repeat(1_022)}\u{1f600}` }).name).not.toMatch(HALF_CHARACTER);
    expect(make({}, new File(["x"], "\u{1f600}".repeat(600))).name).not.toMatch(HALF_CHARACTER);
  });

  test("is never added, whatever the file calls itself", () => {
    const text = fc.oneof(fc.string({ unit: "binary", maxLength: 1_200 }), fc.string({ maxLength: 300 }));
    fc.assert(
      fc.property(text, text, (name, type) => {
        const upload = make({}, new File(["x"], name, { type }));
        expect(isAccepted(upload)).toBe(true);
        expect(upload.name).not.toMatch(HALF_CHARACTER);
        expect(upload.name).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
      }),
    );
  });
});
