import { createHash } from "node:crypto";
import fc from "fast-check";
import { crc32, crc64 } from "hash-wasm";
import { describe, expect, test } from "vitest";
import type { UploadClaims } from "../../s3/claims.ts";
import type { FoundObject } from "../../s3/find-object.ts";
import { hasForeignPart, isAsSent } from "../../s3/verify-object.ts";
import type { ChecksumKind } from "../../src/core/checksum.ts";
import type { PartReceipt } from "../../src/core/storage.ts";

const md5 = (bytes: Uint8Array | string) => createHash("md5").update(bytes).digest("hex");
const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64");

const PART_SIZE = 3;
/** Three parts of a file, and others in their places. */
const BODIES = ["abc", "def", "g"];
const OTHERS = ["abd", "deg", "h"];

function isVerified(
  checksum: ChecksumKind,
  method: "single" | "multipart",
  receipts: readonly PartReceipt[],
  found: Partial<FoundObject>,
): Promise<boolean> {
  const size = BODIES.join("").length;
  const common = {
    bucket: "b",
    key: "k",
    uploadId: "u",
    owner: null,
    expiresAt: 1,
    size,
    checksum,
  };
  const claims: UploadClaims =
    method === "single"
      ? { ...common, method, type: "" }
      : { ...common, method, partSize: PART_SIZE, s3UploadId: "s" };
  const plan = { size, partSize: PART_SIZE, partCount: receipts.length };
  return isAsSent(claims, plan, receipts, {
    size,
    etag: "0",
    hasOwnKey: false,
    checksum: null,
    versionId: null,
    ...found,
  });
}

const receiptsOf = (etags: readonly string[], checksums: readonly (string | null)[]) =>
  checksums.map((checksum, index) => ({ partNumber: index + 1, etag: etags[index] ?? "", checksum }));

/** ETags as S3 makes them. */
const etagsOf = (bodies: readonly string[]) => bodies.map(md5);
const wholeETag = (etags: readonly string[]) => `${md5(Buffer.from(etags.join(""), "hex"))}-${etags.length}`;
const md5sOf = (bodies: readonly string[]) => bodies.map((body) => base64(md5(body)));

describe("an object of parts by its ETag", () => {
  const right = receiptsOf(etagsOf(BODIES), md5sOf(BODIES));
  const damaged = receiptsOf(etagsOf(OTHERS), md5sOf(BODIES));
  // As with SSE-KMS, or an engine that makes them up.
  const strange = receiptsOf(etagsOf(["x", "y", "z"]), md5sOf(BODIES));
  const shapeless = receiptsOf(["x-1", "y-2", "z-3"], md5sOf(BODIES));
  const ofBodies = wholeETag(etagsOf(BODIES));
  const ofOthers = wholeETag(etagsOf(OTHERS));

  test.each([
    ["is that of its parts", right, { etag: ofBodies }, true],
    ["is written in capitals", right, { etag: ofBodies.toUpperCase() }, true],
    ["is that of other parts", right, { etag: ofOthers }, false],
    ["is that of the parts in another order", right, { etag: wholeETag(etagsOf(BODIES).reverse()) }, false],
    ["is that of other parts, which S3 named", damaged, { etag: ofOthers }, false],
    [
      "says nothing, since the object has a key of its own",
      strange,
      { etag: ofOthers, hasOwnKey: true },
      true,
    ],
    ["is no MD5 by its looks", right, { etag: "AAAAAAAAAAAAAAAAAAAAAA==" }, true],
    ["is none, as its parts' are none", strange, { etag: ofOthers }, true],
    ["is none, as its parts' are none by their looks", shapeless, { etag: ofOthers }, true],
    ["is that of parts that were not hashed", receiptsOf(etagsOf(OTHERS), [null, null, null]), {}, true],
  ])("that %s", async (_, receipts, found, expected) => {
    expect(await isVerified("md5", "multipart", receipts, found)).toBe(expected);
  });

  test("damage in any of its parts is seen before there is an object, but in all of them after", () => {
    fc.assert(
      fc.property(fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()), (isDamaged) => {
        const etags = BODIES.map((body, index) => md5(isDamaged[index] ? (OTHERS[index] ?? "") : body));
        const some = isDamaged.includes(true) && isDamaged.includes(false);
        expect(hasForeignPart("md5", receiptsOf(etags, md5sOf(BODIES)))).toBe(some);
        expect(hasForeignPart("none", receiptsOf(etags, md5sOf(BODIES)))).toBe(false);
      }),
    );
  });
});

test.each([
  ["its MD5", md5("whole"), false, true],
  ["another MD5", md5("other"), false, false],
  ["another one, with a key of its own", md5("other"), true, true],
  ["none by its looks", "W/abc", false, true],
])("an object that came in one PUT, whose ETag is %s", async (_, etag, hasOwnKey, expected) => {
  const receipts = receiptsOf([etag], md5sOf(["whole"]));
  expect(await isVerified("md5", "single", receipts, { etag, hasOwnKey })).toBe(expected);
});

describe.each([
  // Of parts S3 hashes the digests, and puts their number behind.
  ["crc32c", (bytes: Uint8Array) => crc32(bytes, 0x82f63b78), true],
  ["sha256", async (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex"), true],
  ["crc64nvme", (bytes: Uint8Array) => crc64(bytes, "9a6c9329ac4bc9b5"), false],
] as const)("an object by its %s", (kind, hash, isOfDigests) => {
  const digestsOf = (bodies: readonly string[]) => Promise.all(bodies.map((body) => hash(Buffer.from(body))));
  const objectOf = async (bodies: readonly string[]) => {
    if (!isOfDigests) return base64(await hash(Buffer.from(bodies.join(""))));
    return base64(await hash(Buffer.from((await digestsOf(bodies)).join(""), "hex")));
  };
  const receipts = async () => receiptsOf([], (await digestsOf(BODIES)).map(base64));

  test.each([
    ["that of its parts", BODIES, "", true],
    ["that of its parts, with their number", BODIES, "-3", true],
    ["that of other parts", OTHERS, "-3", false],
    ["that of fewer parts", BODIES.slice(0, 2), "-2", false],
  ])("%s", async (_, bodies, suffix, expected) => {
    const checksum = `${await objectOf(bodies)}${suffix}`;
    expect(await isVerified(kind, "multipart", await receipts(), { checksum })).toBe(expected);
  });

  test("of which S3 tells nothing", async () => {
    expect(await isVerified(kind, "multipart", await receipts(), { checksum: null })).toBe(true);
  });

  test("that came in one PUT", async () => {
    const [checksum = ""] = (await digestsOf(["whole"])).map(base64);
    const [other = ""] = (await digestsOf(["other"])).map(base64);
    const one = receiptsOf([], [checksum]);
    expect(await isVerified(kind, "single", one, { checksum })).toBe(true);
    expect(await isVerified(kind, "single", one, { checksum: other })).toBe(false);
    expect(await isVerified(kind, "single", one, { checksum: "nonsense" })).toBe(false);
  });
});
