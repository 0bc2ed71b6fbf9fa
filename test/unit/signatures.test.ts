import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type SignedPart, StorageFault, type UploadStorage } from "../../src/core/storage.ts";
import { type Presigned, Signatures } from "../../sw/parts/signatures.ts";
import { browserPlatform } from "../../sw/platform/browser-platform.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const none = () => [];
const part = (partNumber: number) => ({ partNumber, checksum: null });
const unused = () => Promise.reject(new Error("not part of this test"));

/** A storage that signs, and notes what it was asked for. */
function signer(expiresInMs = 900_000, omit: readonly number[] = [], presigned?: Presigned) {
  const asked: number[][] = [];
  const faults: StorageFault[] = [];
  const storage: UploadStorage = {
    begin: unused,
    uploadedParts: unused,
    complete: unused,
    abort: unused,
    async sign(token, parts) {
      const partNumbers = parts.map(({ partNumber }) => partNumber);
      asked.push([...partNumbers]);
      const fault = faults.shift();
      if (fault) throw fault;
      return partNumbers
        .filter((partNumber) => !omit.includes(partNumber))
        .map((partNumber): SignedPart => {
          const url = `https://s3.test/${token}/${partNumber}?batch=${asked.length}`;
          return { partNumber, url, headers: {}, expiresInMs };
        });
    },
  };
  return { asked, faults, signatures: new Signatures(storage, "t", browserPlatform.clock, presigned) };
}

describe("batches", () => {
  test("one request serves the part and those that come next", async () => {
    const { asked, signatures } = signer();
    const first = await signatures.get(part(3), () => [4, 5]);
    expect(first.url).toBe("https://s3.test/t/3?batch=1");
    expect((await signatures.get(part(5), none)).partNumber).toBe(5);
    expect((await signatures.get(part(4), none)).partNumber).toBe(4);
    expect(asked).toEqual([[3, 4, 5]]);
  });

  test("at most 64 at once, the wanted part among them", async () => {
    const { asked, signatures } = signer();
    await signatures.get(part(500), () => Array.from({ length: 200 }, (_, index) => index + 1));
    expect(asked[0]).toHaveLength(64);
    expect(asked[0]?.slice(0, 2)).toEqual([500, 1]);
  });

  test("no signature is asked for twice in a batch, nor again while it is fresh", async () => {
    const { asked, signatures } = signer();
    await signatures.get(part(1), () => [1, 2]);
    await signatures.get(part(3), () => [2, 3, 4]);
    expect(asked).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  test("parts that start together share a question", async () => {
    const { asked, signatures } = signer();
    const parts = await Promise.all([1, 2, 3].map((n) => signatures.get(part(n), () => [1, 2, 3])));
    expect(parts.map((part) => part.partNumber)).toEqual([1, 2, 3]);
    expect(asked).toEqual([[1, 2, 3]]);
  });

  test("a part that was left out of the question under way asks the next one", async () => {
    const { asked, signatures } = signer();
    await Promise.all([signatures.get(part(1), none), signatures.get(part(2), none)]);
    expect(asked).toEqual([[1], [2]]);
  });
});

describe("age", () => {
  test("a minute before its end a signature is not started with any more", async () => {
    const { asked, signatures } = signer(900_000);
    await signatures.get(part(1), none);
    vi.advanceTimersByTime(839_999);
    await signatures.get(part(1), none);
    expect(asked).toHaveLength(1);
    vi.advanceTimersByTime(1);
    await signatures.get(part(1), none);
    expect(asked).toHaveLength(2);
  });

  test("a signature that is valid for a minute is used for half of it", async () => {
    const { asked, signatures } = signer(60_000);
    await signatures.get(part(1), none);
    vi.advanceTimersByTime(29_999);
    await signatures.get(part(1), none);
    expect(asked).toHaveLength(1);
    vi.advanceTimersByTime(1);
    await signatures.get(part(1), none);
    expect(asked).toHaveLength(2);
  });

  test("the age counts from the request, since the answer may have been on its way for long", async () => {
    const asked: number[] = [];
    const storage: UploadStorage = {
      begin: unused,
      uploadedParts: unused,
      complete: unused,
      abort: unused,
      async sign() {
        asked.push(Date.now());
        vi.advanceTimersByTime(20_000);
        return [{ partNumber: 1, url: "https://s3.test", headers: {}, expiresInMs: 120_000 }];
      },
    };
    const signatures = new Signatures(storage, "t", browserPlatform.clock);
    await signatures.get(part(1), none);
    vi.advanceTimersByTime(40_000);
    await signatures.get(part(1), none);
    expect(asked).toHaveLength(2);
  });
});

describe("parts that were presigned when their upload began", () => {
  const presigned = (askedAt = Date.now()): Presigned => ({
    askedAt,
    parts: [1, 2].map((partNumber) => ({
      partNumber,
      url: `https://s3.test/begin/${partNumber}`,
      headers: {},
      expiresInMs: 900_000,
    })),
  });

  test("need no question", async () => {
    const { asked, signatures } = signer(900_000, [], presigned());
    expect((await signatures.get(part(2), none)).url).toBe("https://s3.test/begin/2");
    expect((await signatures.get(part(1), none)).url).toBe("https://s3.test/begin/1");
    expect(asked).toEqual([]);
  });

  test("are not asked for along with those that come next", async () => {
    const { asked, signatures } = signer(900_000, [], presigned());
    await signatures.get(part(3), () => [1, 2, 4]);
    expect(asked).toEqual([[3, 4]]);
  });

  test("are signed anew once S3 has refused them", async () => {
    const { asked, signatures } = signer(900_000, [], presigned());
    signatures.drop(1);
    await signatures.get(part(1), none);
    await signatures.get(part(2), none);
    expect(asked).toEqual([[1]]);
  });

  test("are signed anew once they are about to expire, counted from the request to begin", async () => {
    const { asked, signatures } = signer(900_000, [], presigned(Date.now() - 840_000));
    await signatures.get(part(1), none);
    expect(asked).toEqual([[1]]);
  });

  test("are signed anew with the bytes' checksum where there is one", async () => {
    const { asked, signatures } = signer(900_000, [], presigned());
    await signatures.get({ partNumber: 1, checksum: "AAAAAAAAAAA=" }, none);
    expect(asked).toEqual([[1]]);
  });
});

describe("faults", () => {
  test("a dropped signature is asked for anew, the others stay", async () => {
    const { asked, signatures } = signer();
    await signatures.get(part(1), () => [2]);
    signatures.drop(1);
    await signatures.get(part(2), none);
    expect((await signatures.get(part(1), none)).url).toContain("batch=2");
    expect(asked).toEqual([[1, 2], [1]]);
  });

  test("a fault is one for all parts of the run: none of them asks the server again", async () => {
    const { asked, faults, signatures } = signer();
    faults.push(new StorageFault("transient", "SERVER_ERROR"));
    const together = await Promise.allSettled([
      signatures.get(part(1), () => [2]),
      signatures.get(part(2), none),
    ]);
    const [later] = await Promise.allSettled([signatures.get(part(3), none)]);
    for (const outcome of [...together, later])
      expect(outcome).toMatchObject({ status: "rejected", reason: { kind: "transient" } });
    expect(asked).toEqual([[1, 2]]);
  });

  test.each([
    ["leaves the part out", signer(900_000, [1])],
    ["gives a signature of no life", signer(0)],
  ])("a server that %s is at fault, and is asked once", async (_what, { asked, signatures }) => {
    await expect(signatures.get(part(1), none)).rejects.toMatchObject({
      name: "StorageFault",
      kind: "transient",
      code: "SERVER_RESPONSE_INVALID",
      detail: expect.stringContaining("part 1"),
    });
    expect(asked).toHaveLength(1);
  });
});
