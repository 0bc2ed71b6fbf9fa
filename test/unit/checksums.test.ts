import { createHash } from "node:crypto";
import { openAsBlob } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  type ChecksumAlgorithm,
  crc32c,
  crc64nvme,
  hexOf,
  md5,
  noChecksum,
  sha256,
} from "../../sw/parts/checksums.ts";
import { seededRandom } from "../support/seeded-random.ts";

const KIB = 1024;
const digest = (algorithm: ChecksumAlgorithm, bytes: Blob) => algorithm.digest?.(bytes) as Promise<string>;
const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64");

function randomBytes(size: number): Uint8Array<ArrayBuffer> {
  const random = seededRandom(size);
  return Uint8Array.from({ length: size }, () => random() * 256);
}

/** A reflected CRC, bit by bit, as its definition says. */
function crcOf(bytes: Uint8Array, bits: 32 | 64, polynomial: bigint): string {
  const ones = (1n << BigInt(bits)) - 1n;
  const table = Array.from({ length: 256 }, (_, index) => {
    let value = BigInt(index);
    for (let bit = 0; bit < 8; bit++) value = value & 1n ? (value >> 1n) ^ polynomial : value >> 1n;
    return value;
  });
  let crc = ones;
  for (const byte of bytes) crc = (table[Number(crc & 0xffn) ^ byte] as bigint) ^ (crc >> 8n);
  return base64((crc ^ ones).toString(16).padStart(bits / 4, "0"));
}

// Around the sizes of the buffer and of the chunks that are read into it.
const SIZES = [0, 1, 55, 64 * KIB - 1, 64 * KIB, 512 * KIB - 1, 512 * KIB, 512 * KIB + 1, 1_300 * KIB + 7];

describe("digests are what others make of the same bytes", () => {
  test.each(SIZES)("of %i bytes", async (size) => {
    const bytes = randomBytes(size);
    const blob = new Blob([bytes]);
    expect(await digest(md5, blob)).toBe(createHash("md5").update(bytes).digest("base64"));
    expect(await digest(sha256, blob)).toBe(createHash("sha256").update(bytes).digest("base64"));
    expect(await digest(crc32c, blob)).toBe(crcOf(bytes, 32, 0x82f63b78n));
    expect(await digest(crc64nvme, blob)).toBe(crcOf(bytes, 64, 0x9a6c9329ac4bc9b5n));
  });

  test.each([
    ["md5", md5, "25f9e794323b453885f5181f1b624d0b"],
    ["sha256", sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"],
    // The check values of their definitions.
    ["crc32c", crc32c, "e3069283"],
    ["crc64nvme", crc64nvme, "ae8b14860a799888"],
  ])("of the text 123456789, by %s", async (kind, algorithm, hex) => {
    expect(algorithm.kind).toBe(kind);
    expect(await digest(algorithm, new Blob(["123456789"]))).toBe(base64(hex));
  });

  test("of a slice are those of its bytes only", async () => {
    const bytes = randomBytes(700 * KIB);
    const slice = new Blob([bytes]).slice(100, 600 * KIB);
    const expected = createHash("md5")
      .update(bytes.subarray(100, 600 * KIB))
      .digest("base64");
    expect(await digest(md5, slice)).toBe(expected);
  });

  test("are none for those who want none", () => {
    expect(noChecksum).toEqual({ kind: "none", digest: null });
  });
});

test("a digest in hex is an MD5 as S3 writes it in ETags", () => {
  expect(hexOf(base64("00ff10a0"))).toBe("00ff10a0");
});

/** A Blob whose chunks come when the test says so; browsers without streams of bytes give such ones. */
class SlowBlob extends Blob {
  isRead = false;
  #end = (_error?: Error) => {};
  readonly #text: string;

  constructor(text: string) {
    super([text]);
    this.#text = text;
  }

  override stream(): ReturnType<Blob["stream"]> {
    this.isRead = true;
    return new ReadableStream({
      start: (controller) => {
        this.#end = (error) => {
          if (error) return controller.error(error);
          controller.enqueue(new TextEncoder().encode(this.#text));
          controller.close();
        };
      },
    }) as ReturnType<Blob["stream"]>;
  }

  end(error?: Error) {
    this.#end(error);
  }
}

describe("one at a time", () => {
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

  test("a second file is not read before the first is through, whatever their kinds", async () => {
    const [first, second] = [new SlowBlob("first"), new SlowBlob("second")];
    const digests = [digest(md5, first), digest(crc32c, second)];
    await settled();
    expect([first.isRead, second.isRead]).toEqual([true, false]);
    first.end();
    await digests[0];
    await settled();
    expect(second.isRead).toBe(true);
    second.end();
    expect(await Promise.all(digests)).toEqual([
      createHash("md5").update("first").digest("base64"),
      crcOf(Buffer.from("second"), 32, 0x82f63b78n),
    ]);
  });

  test("many blobs at once are each digested right, though they share one hasher", async () => {
    const texts = Array.from({ length: 20 }, (_, index) => `file ${index}`);
    const digests = await Promise.all(texts.map((text) => digest(md5, new Blob([text]))));
    expect(digests).toEqual(texts.map((text) => createHash("md5").update(text).digest("base64")));
  });

  test("a file that breaks off half-way spoils neither its neighbours' turn nor their digests", async () => {
    const broken = new SlowBlob("broken");
    const failed = expect(digest(md5, broken)).rejects.toThrow("gone");
    const next = digest(md5, new Blob(["next"]));
    await settled();
    broken.end(new Error("gone"));
    await failed;
    expect(await next).toBe(createHash("md5").update("next").digest("base64"));
  });
});

describe("a file that has changed on disk", () => {
  let folder: string;
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test("can't be digested, and the next one can", async () => {
    folder = await mkdtemp(join(tmpdir(), "checksums-"));
    const path = join(folder, "a.bin");
    await writeFile(path, randomBytes(700 * KIB));
    const file = await openAsBlob(path);
    await writeFile(path, "something else");
    await expect(digest(sha256, file)).rejects.toMatchObject({ name: "NotReadableError" });
    const bytes = randomBytes(600 * KIB);
    expect(await digest(sha256, new Blob([bytes]))).toBe(createHash("sha256").update(bytes).digest("base64"));
  });
});

describe("where WebAssembly is forbidden", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.resetModules();
  });

  test("no digest is made, until it is allowed again", async () => {
    vi.resetModules();
    const fresh = await import("../../sw/parts/checksums.ts");
    vi.stubGlobal("WebAssembly", {
      compile: () => Promise.reject(new Error("blocked by Content Security Policy")),
    });
    await expect(digest(fresh.md5, new Blob(["x"]))).rejects.toMatchObject({
      name: "UploadError",
      code: "CHECKSUM_UNAVAILABLE",
    });
    vi.unstubAllGlobals();
    expect(await digest(fresh.md5, new Blob(["x"]))).toBe(createHash("md5").update("x").digest("base64"));
  });
});
