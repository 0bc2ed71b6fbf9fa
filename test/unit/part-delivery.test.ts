import { createHash } from "node:crypto";
import { openAsBlob } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { UploadError } from "../../src/core/errors.ts";
import {
  type PartToSign,
  type SignedPart,
  StorageFault,
  type UploadStorage,
} from "../../src/core/storage.ts";
import type { Uploading } from "../../sw/model/record.ts";
import { type ChecksumAlgorithm, md5, noChecksum, sha256 } from "../../sw/parts/checksums.ts";
import { PartDelivery } from "../../sw/parts/part-delivery.ts";
import { noAnswer, ScriptedFetch, type SeenRequest } from "../support/scripted-fetch.ts";
import { settlementOf } from "../support/settlement.ts";
import { virtualClock } from "../support/virtual-clock.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { records } from "./records.ts";

const TEXT = "hello, world";
const record: Uploading = { ...records.uploading, plan: { size: TEXT.length, partSize: 5, partCount: 3 } };
const hashOf = (kind: "md5" | "sha256", text: string, encoding: "hex" | "base64" = "base64") =>
  createHash(kind).update(text).digest(encoding);
const unused = () => Promise.reject(new Error("not part of this test"));
const stored = (etag: string) => () => new Response(null, { headers: { etag: `"${etag}"` } });
const refusal = (status: number, code?: string) => () =>
  new Response(code && `<Error><Code>${code}</Code></Error>`, { status });

let time: VirtualTime;
let network: ScriptedFetch;
let abort: AbortController;
let signed: PartToSign[][];
let claimed: number[];
let mayClaim: boolean;
let warned: ReturnType<typeof vi.spyOn>;

beforeEach(() => {
  time = new VirtualTime();
  network = new ScriptedFetch();
  abort = new AbortController();
  signed = [];
  claimed = [];
  mayClaim = true;
  warned = vi.spyOn(console, "warn").mockImplementation(() => {});
});
afterEach(() => warned.mockRestore());

const storage: UploadStorage = {
  begin: unused,
  uploadedParts: unused,
  complete: unused,
  abort: unused,
  async sign(token, parts) {
    expect(token).toBe("t");
    signed.push([...parts]);
    return parts.map(({ partNumber, checksum }): SignedPart => {
      const url = `https://s3.test/a?part=${partNumber}&signature=${signed.length}`;
      const headers: Record<string, string> = checksum ? { "x-amz-checksum-sha256": checksum } : {};
      return { partNumber, url, headers, expiresInMs: 900_000 };
    });
  },
};

function delivery(algorithm: ChecksumAlgorithm = md5, bytes: Blob = new Blob([TEXT]), more: object = {}) {
  return new PartDelivery({
    record,
    bytes,
    algorithm,
    storage,
    async claim(partNumber) {
      claimed.push(partNumber);
      return mayClaim;
    },
    stallTimeoutMs: 60_000,
    transport: { clock: virtualClock(time), fetch: network.fetch },
    signal: abort.signal,
    ...more,
  });
}

const none = () => [];
const headersOf = (request: SeenRequest | undefined) =>
  Object.fromEntries(new Headers(request?.init.headers));

describe("a part that arrives", () => {
  test("with MD5 was sent with its digest, and S3's ETag is compared with it", async () => {
    const etag = hashOf("md5", "hello", "hex");
    network.answer(stored(etag));
    expect(await delivery().send(1, null, none)).toEqual({
      type: "stored",
      receipt: { partNumber: 1, etag, checksum: hashOf("md5", "hello") },
    });
    expect(headersOf(network.requests[0])).toEqual({ "content-md5": hashOf("md5", "hello") });
  });

  test("with a checksum that S3 keeps was signed with it", async () => {
    network.answer(stored("opaque"));
    const checksum = hashOf("sha256", ", wor");
    expect(await delivery(sha256).send(2, null, () => [3])).toEqual({
      type: "stored",
      receipt: { partNumber: 2, etag: "opaque", checksum },
    });
    expect(signed).toEqual([[{ partNumber: 2, checksum }]]);
    expect(headersOf(network.requests[0])).toEqual({ "x-amz-checksum-sha256": checksum });
  });

  test("without a checksum is believed", async () => {
    network.answer(stored("opaque"));
    expect(await delivery(noChecksum).send(1, null, none)).toEqual({
      type: "stored",
      receipt: { partNumber: 1, etag: "opaque", checksum: null },
    });
    expect(headersOf(network.requests[0])).toEqual({});
  });

  test("has its own bytes, of no type: a type would be sent, and was not signed", async () => {
    const typed = new Blob([TEXT], { type: "image/jpeg" });
    network.answer(stored("a"), stored("b"));
    const each = delivery(noChecksum, typed);
    await each.send(2, null, none);
    await each.send(3, null, none);
    const bodies = network.requests.map(({ init }) => init.body as Blob);
    expect(await Promise.all(bodies.map((body) => body.text()))).toEqual([", wor", "ld"]);
    expect(bodies.map(({ type }) => type)).toEqual(["", ""]);
  });

  test.each([
    ["without a type, as it is", new Blob([TEXT]), true],
    ["with a type, without it", new Blob([TEXT], { type: "image/jpeg" }), false],
  ])("is the whole file, if that is one part: %s", async (_what, bytes, isSame) => {
    network.answer(stored("a"));
    const plan = { size: TEXT.length, partSize: TEXT.length, partCount: 1 };
    await delivery(noChecksum, bytes, { record: { ...record, plan } }).send(1, null, none);
    const body = network.requests[0]?.init.body as Blob;
    expect([body === bytes, body.type, await body.text()]).toEqual([isSame, "", TEXT]);
  });

  test("was claimed before the first byte went out", async () => {
    network.answer(() => {
      expect(claimed).toEqual([1]);
      return stored("a")();
    });
    await delivery(noChecksum).send(1, null, none);
    expect(network.requests).toHaveLength(1);
  });

  test("with another ETag than its MD5 is stored, but oddly", async () => {
    network.answer(stored("kms"));
    const receipt = { partNumber: 1, etag: "kms", checksum: hashOf("md5", "hello") };
    expect(await delivery().send(1, null, none)).toEqual({ type: "storedOddly", receipt });
  });

  test("without an ETag is a fault that points to the bucket's CORS rules", async () => {
    network.answer(() => new Response(null));
    expect(await delivery().send(1, null, none)).toMatchObject({
      type: "fault",
      fault: { kind: "transient", code: "STORAGE_RESPONSE_INVALID" },
    });
    expect(warned).toHaveBeenCalledWith(expect.stringContaining("CORS"));
  });
});

describe("signatures", () => {
  test("are asked for with those of the parts to come", async () => {
    network.answer(stored("a"), stored("b"));
    const each = delivery(noChecksum);
    await each.send(1, null, () => [2, 3]);
    await each.send(2, null, none);
    expect(signed.map((parts) => parts.map(({ partNumber }) => partNumber))).toEqual([[1, 2, 3]]);
  });

  test.each([
    ["after S3 has refused it", refusal(403, "AccessDenied")],
    ["after any fault: S3 may not have liked it", refusal(500)],
    ["after a PUT that got no answer: a 403 without CORS looks like that", new TypeError("Failed to fetch")],
  ])("are asked for anew %s", async (_when, answer) => {
    network.answer(answer, stored("a"));
    const each = delivery(noChecksum);
    await each.send(1, null, none);
    await each.send(1, null, none);
    expect(network.requests.map(({ url }) => new URL(url).searchParams.get("signature"))).toEqual(["1", "2"]);
  });

  test("are used again after S3 was merely busy: it has not looked at them", async () => {
    network.answer(refusal(503, "SlowDown"), stored("a"));
    const each = delivery(noChecksum);
    await each.send(1, null, none);
    await each.send(1, null, none);
    expect(signed).toHaveLength(1);
  });

  test("of a part that has arrived are not kept", async () => {
    network.answer(stored("a"), stored("a"));
    const each = delivery(noChecksum);
    await each.send(1, null, none);
    each.arrived(1);
    await each.send(1, null, none);
    expect(signed).toHaveLength(2);
  });

  test("that the server does not give are its fault, and nothing is claimed", async () => {
    const fault = new StorageFault("transient", "SERVER_ERROR");
    const signing = delivery(md5, undefined, { storage: { ...storage, sign: () => Promise.reject(fault) } });
    await expect(signing.send(1, null, none)).rejects.toBe(fault);
    expect(claimed).toEqual([]);
  });
});

describe("a part that does not arrive", () => {
  test.each([
    [403, "AccessDenied", "403 AccessDenied"],
    [401, "InvalidAccessKeyId", "401 InvalidAccessKeyId"],
    [400, "ExpiredToken", "400 ExpiredToken"],
  ])("since S3 refuses its signature (%i %s) says how", async (status, code, detail) => {
    network.answer(refusal(status, code));
    expect(await delivery().send(1, null, none)).toEqual({ type: "refused", detail });
  });

  test.each([
    [503, "SlowDown", "transient", "SLOW_DOWN", false],
    [404, "NoSuchUpload", "transient", "UPLOAD_GONE", true],
    [403, undefined, "transient", "STORAGE_RESPONSE_INVALID", true],
    [400, "EntityTooLarge", "permanent", "FILE_TOO_LARGE", true],
  ])("since S3 says %i %s is a fault", async (status, s3Code, kind, code, mayBeStored) => {
    network.answer(refusal(status, s3Code));
    const delivered = await delivery().send(1, null, none);
    expect(delivered).toMatchObject({ type: "fault", fault: { kind, code }, mayBeStored });
  });

  test("since the network is gone is a fault", async () => {
    network.answer(new TypeError("Failed to fetch"));
    expect(await delivery().send(1, null, none)).toMatchObject({
      type: "fault",
      fault: { kind: "network", code: "NETWORK" },
    });
  });

  test.each([
    [
      "60 s for nothing and more for its bytes, on a link that is not known",
      null,
      60_000 + (5 / 16_384) * 1_000,
    ],
    ["ten times what the last one took, on one that is", 1_000_000, 60_000 + (5 / 1_000_000) * 10 * 1_000],
  ])("has stalled after %s", async (_how, partSpeed, timeoutMs) => {
    network.answer(noAnswer);
    const sending = delivery(noChecksum).send(1, partSpeed, none);
    const sent = settlementOf(sending);
    await time.runUntil(Math.ceil(timeoutMs) - 1);
    expect(sent.state).toBe("pending");
    await time.runUntil(Math.ceil(timeoutMs));
    expect(await sending).toMatchObject({ type: "fault", fault: { code: "STALLED" } });
  });

  test("since something broke in here is no fault of the storage's", async () => {
    const broken = delivery(noChecksum, undefined, { claim: () => Promise.reject(new Error("database")) });
    await expect(broken.send(1, null, none)).rejects.toThrow("database");
  });
});

describe("an upload that is called off", () => {
  test("while its part is on its way breaks it off", async () => {
    network.answer(noAnswer);
    const sent = settlementOf(delivery(noChecksum).send(1, null, none));
    await time.runUntil(1_000);
    expect(network.requests).toHaveLength(1);
    abort.abort();
    await time.settle();
    expect(sent.value).toEqual({ type: "brokenOff" });
  });

  test("before its part is signed sends nothing", async () => {
    abort.abort();
    expect(await delivery().send(1, null, none)).toEqual({ type: "unclaimed" });
    expect([signed, claimed, network.requests]).toEqual([[], [], []]);
  });

  test("before its part is claimed sends nothing", async () => {
    mayClaim = false;
    expect(await delivery().send(1, null, none)).toEqual({ type: "unclaimed" });
    expect([claimed, network.requests]).toEqual([[1], []]);
  });

  test("while its part is signed sends and claims nothing", async () => {
    const slow: UploadStorage = {
      ...storage,
      async sign(token, parts) {
        abort.abort();
        return storage.sign(token, parts);
      },
    };
    expect(await delivery(noChecksum, undefined, { storage: slow }).send(1, null, none)).toEqual({
      type: "unclaimed",
    });
    expect([claimed, network.requests]).toEqual([[], []]);
  });
});

describe("a part that S3 found damaged", () => {
  /** A Blob whose slices have the text that it has at that time, as a file on disk. */
  class LiveBlob extends Blob {
    constructor(public content: string) {
      super([content]);
    }
    override slice(start?: number, end?: number) {
      return new Blob([this.content]).slice(start, end);
    }
  }
  const damaged = refusal(400, "BadDigest");

  test("is a fault, and is sent again with the same digest", async () => {
    network.answer(damaged, stored(hashOf("md5", "hello", "hex")));
    const each = delivery();
    expect(await each.send(1, null, none)).toMatchObject({ type: "fault", fault: { code: "BAD_DIGEST" } });
    expect(await each.send(1, null, none)).toMatchObject({ type: "stored" });
  });

  test("was not damaged if it digests to something else now: its file has changed", async () => {
    network.answer(damaged);
    const live = new LiveBlob(TEXT);
    const each = delivery(md5, live);
    await each.send(1, null, none);
    live.content = "HELLO, WORLD";
    await expect(each.send(1, null, none)).rejects.toMatchObject({ code: "FILE_CHANGED" });
    expect(network.requests).toHaveLength(1);
  });

  test("is forgotten once it has arrived", async () => {
    network.answer(damaged);
    const live = new LiveBlob(TEXT);
    const each = delivery(md5, live);
    await each.send(1, null, none);
    each.arrived(1);
    live.content = "HELLO, WORLD";
    expect(await each.digestOf(1)).toBe(hashOf("md5", "HELLO"));
  });
});

describe("digests", () => {
  test("are those of the bytes here, and none where none are wanted", async () => {
    expect(await delivery(sha256).digestOf(3)).toBe(hashOf("sha256", "ld"));
    expect(await delivery(noChecksum).digestOf(3)).toBeNull();
  });

  test("that can't be made say so, and the file is not blamed", async () => {
    const unavailable = new UploadError("CHECKSUM_UNAVAILABLE");
    const algorithm = { kind: "md5", digest: () => Promise.reject(unavailable) } as const;
    await expect(delivery(algorithm).send(1, null, none)).rejects.toBe(unavailable);
  });
});

describe("a file that can't be read any more", () => {
  let folder: string;
  let path: string;
  let file: Blob;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "part-delivery-"));
    path = join(folder, "a.txt");
    await writeFile(path, TEXT);
    file = await openAsBlob(path);
    await writeFile(path, `${TEXT}!`);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  describe.each([
    ["handle", "FILE_CHANGED"],
    ["memory", "FILE_CHANGED"],
    ["stored", "FILE_LOST"],
  ] as const)("of durability %s, is %s", (durability, code) => {
    const more = { record: { ...record, durability } };

    test("when it is digested", async () => {
      await expect(delivery(md5, file, more).send(1, null, none)).rejects.toMatchObject({ code });
      expect(network.requests).toEqual([]);
    });

    test("when it is sent, which looks like a broken network", async () => {
      network.answer(new TypeError("Failed to fetch"));
      await expect(delivery(noChecksum, file, more).send(1, null, none)).rejects.toMatchObject({ code });
    });
  });

  test("since it is gone from disk is lost for any other cause than a change", async () => {
    const gone = {
      kind: "md5",
      digest: () => Promise.reject(new DOMException("x", "NotFoundError")),
    } as const;
    await expect(delivery(gone).send(1, null, none)).rejects.toMatchObject({ code: "FILE_LOST" });
  });
});
