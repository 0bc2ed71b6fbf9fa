import { beforeEach, describe, expect, test } from "vitest";
import type { ChecksumKind } from "../../src/core/checksum.ts";
import type { PartReceipt, UploadedPart } from "../../src/core/storage.ts";
import { StorageFault } from "../../src/core/storage.ts";
import { hexOf, md5 } from "../../sw/parts/checksums.ts";
import { verifyParts } from "../../sw/parts/verify-parts.ts";

const receipt = (partNumber: number, etag = "opaque"): PartReceipt => ({ partNumber, etag, checksum: null });
const digestOfText = (text: string) => (md5.digest as NonNullable<typeof md5.digest>)(new Blob([text]));

let said: unknown[][];
let abort: AbortController;
beforeEach(() => {
  said = [];
  abort = new AbortController();
});

function verify(
  kind: ChecksumKind,
  receipts: readonly PartReceipt[],
  digests: Readonly<Record<number, string | null>>,
  held: readonly UploadedPart[] = [],
) {
  return verifyParts(receipts, {
    kind,
    storage: { uploadedParts: async () => ({ parts: held, next: null }) },
    token: "token",
    signal: abort.signal,
    digestOf: async (partNumber) => digests[partNumber] ?? null,
    onEqual: async (equal) => void said.push(["equal", equal]),
    onDifferent: async (partNumber) => void said.push(["different", partNumber]),
  });
}

describe("with MD5", () => {
  test("a part is equal if its ETag is the digest of the file's bytes, and its receipt gets the digest", async () => {
    const checksum = await digestOfText("hello");
    const equal = receipt(1, hexOf(checksum));
    await verify("md5", [equal, receipt(2, hexOf(checksum))], {
      1: checksum,
      2: await digestOfText("other"),
    });
    expect(said).toEqual([
      ["equal", { ...equal, checksum }],
      ["different", 2],
    ]);
  });

  test("S3 is not asked, since the ETags are known", async () => {
    const listed = verify("md5", [receipt(1)], { 1: await digestOfText("hello") }, [
      { partNumber: 1, etag: "x", size: 5, checksum: await digestOfText("hello") },
    ]);
    await listed;
    expect(said).toEqual([["different", 1]]);
  });
});

describe("with a checksum that S3 keeps", () => {
  const held = (partNumber: number, checksum: string | null): UploadedPart => ({
    partNumber,
    etag: "opaque",
    size: 5,
    checksum,
  });

  test("a part is equal if its checksum at S3 is the digest of the file's bytes", async () => {
    await verify("crc32c", [receipt(1), receipt(2)], { 1: "AAAAAA==", 2: "BBBBBB==" }, [
      held(1, "AAAAAA=="),
      held(2, "CCCCCC=="),
    ]);
    expect(said).toEqual([
      ["equal", { ...receipt(1), checksum: "AAAAAA==" }],
      ["different", 2],
    ]);
  });

  test.each([
    ["S3 does not list the part", []],
    ["S3 keeps no checksum of it", [held(1, null)]],
    ["S3 keeps an empty one", [held(1, "")]],
  ])("a part is different where %s", async (_why, parts) => {
    await verify("sha256", [receipt(1)], { 1: "AAAAAA==" }, parts);
    expect(said).toEqual([["different", 1]]);
  });

  test.each([[null], [""]])(
    "a part is different where there is no digest here, nor (%j) at S3: nothing passes as equal by default",
    async (checksum) => {
      await verify("crc64nvme", [receipt(1)], { 1: null }, [held(1, checksum)]);
      expect(said).toEqual([["different", 1]]);
    },
  );
});

test("verifying stops between two parts once the upload is called off", async () => {
  await verifyParts([receipt(1), receipt(2), receipt(3)], {
    kind: "md5",
    storage: { uploadedParts: async () => ({ parts: [], next: null }) },
    token: "token",
    signal: abort.signal,
    digestOf: async () => "AAAAAA==",
    onEqual: async () => {},
    async onDifferent(partNumber) {
      said.push(["different", partNumber]);
      if (partNumber === 2) abort.abort();
    },
  });
  expect(said).toEqual([
    ["different", 1],
    ["different", 2],
  ]);
});

test("a storage that can't list, and a file that can't be read, end it", async () => {
  const fault = new StorageFault("transient", "SERVER_ERROR");
  const options = {
    kind: "crc32c" as const,
    storage: { uploadedParts: async () => ({ parts: [], next: null }) },
    token: "token",
    signal: abort.signal,
    digestOf: async () => "AAAAAA==",
    onEqual: async () => {},
    onDifferent: async (partNumber: number) => void said.push(["different", partNumber]),
  };
  const unlisted = { uploadedParts: () => Promise.reject(fault) };
  await expect(verifyParts([receipt(1)], { ...options, storage: unlisted })).rejects.toBe(fault);
  const unread = () => Promise.reject(new Error("unreadable"));
  await expect(verifyParts([receipt(1)], { ...options, digestOf: unread })).rejects.toThrow("unreadable");
  expect(said).toEqual([]);
});
