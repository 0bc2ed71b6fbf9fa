import { CreateMultipartUploadCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type CleanUpUpload, cleanUp, type TimeSpan } from "../../server/index.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { type S3Proxy, startProxy } from "./s3-proxy.ts";

let engine: S3Engine;
let proxy: S3Proxy;
let seen: CleanUpUpload[];

beforeAll(async () => {
  engine = await startS3();
  proxy = await startProxy(engine.endpoint);
});

beforeEach(() => {
  seen = [];
  proxy.requests.length = 0;
  proxy.fault = () => null;
});

afterAll(async () => {
  await proxy.close();
  await engine.close();
});

const isList = (request: string) => request.startsWith("GET ");
const NOTHING = { young: 0, stale: 0, aborted: 0, ended: 0, failed: 0 };

async function open(...keys: string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const Key of keys) {
    const create = new CreateMultipartUploadCommand({ Bucket: engine.bucket, Key });
    ids.push((await engine.client.send(create)).UploadId ?? "");
  }
  return ids;
}

const clean = (prefix: string, olderThan: TimeSpan = "0s") =>
  cleanUp({
    client: engine.clientAt(proxy.url, 1),
    bucket: engine.bucket,
    olderThan,
    prefix,
    onUpload: (upload) => seen.push(upload),
  });

const error = (code: string) => `<Error><Code>${code}</Code><Message>no</Message></Error>`;

test("a single failure is reported, and the others are aborted", async () => {
  await open("fail/a", "fail/b", "fail/c");
  proxy.fault = (request) =>
    request.startsWith("DELETE ") && request.includes("/fail/b")
      ? { when: "before", answer: { status: 403, body: error("AccessDenied") } }
      : null;
  expect(await clean("fail/")).toEqual({ ...NOTHING, aborted: 2, failed: 1 });
  expect(seen.find(({ outcome }) => outcome === "failed")).toMatchObject({
    key: "fail/b",
    error: { name: "StorageFault", cause: { code: "AccessDenied", status: 403 } },
  });
  expect(await engine.openUploads("fail/b")).toHaveLength(1);
  // Looked at once more, since something was aborted, and not tried again.
  expect(proxy.requests.filter((request) => request.startsWith("DELETE "))).toHaveLength(3);
  proxy.fault = () => null;
  expect(await clean("fail/")).toEqual({ ...NOTHING, aborted: 1 });
});

test("an upload that somebody else has ended meanwhile is not a failure", async () => {
  await open("ended/a");
  proxy.fault = (request) =>
    request.startsWith("DELETE ")
      ? { when: "after", answer: { status: 404, body: error("NoSuchUpload") } }
      : null;
  expect(await clean("ended/")).toEqual({ ...NOTHING, ended: 1 });
});

test("uploads that a listing leaves out are found once the others are aborted", async () => {
  const ids = await open("lost/a", "lost/a", "lost/a");
  let listings = 0;
  // As Swift does: of several uploads of a key a page ends with, only the first is listed.
  proxy.fault = (request) => {
    const UploadId = ids[isList(request) ? listings++ : ids.length];
    if (UploadId === undefined) return null;
    const body = listing(
      `<Upload><Key>lost/a</Key><UploadId>${UploadId}</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>`,
    );
    return { when: "before", answer: { status: 200, body } };
  };
  expect(await clean("lost/")).toEqual({ ...NOTHING, aborted: 3 });
  expect(listings).toBe(4);
  expect(await engine.openUploads("lost/a")).toEqual([]);
});

test("an upload that stays listed after its end is not aborted for ever", async () => {
  const [id = ""] = await open("ghost/a");
  proxy.fault = (request) => {
    if (!isList(request)) return null;
    const body = listing(
      `<Upload><Key>ghost/a</Key><UploadId>${id}</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>`,
    );
    return { when: "before", answer: { status: 200, body } };
  };
  expect(await clean("ghost/")).toEqual({ ...NOTHING, aborted: 1 });
  expect(proxy.requests.filter(isList)).toHaveLength(2);
});

test.each([
  ["leads in circles", "<NextKeyMarker>a</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>"],
  ["says nothing of where it goes on", ""],
])("a list that %s ends in an error, not in a clean bill", async (_what, markers) => {
  proxy.fault = (request) =>
    isList(request)
      ? {
          when: "before",
          answer: { status: 200, body: listing(`${markers}<IsTruncated>true</IsTruncated>`) },
        }
      : null;
  await expect(clean("circle/")).rejects.toMatchObject({ code: "STORAGE_RESPONSE_INVALID" });
  expect(proxy.requests.length).toBeLessThanOrEqual(2);
});

test("a list that is refused is an error, with S3's reason", async () => {
  proxy.fault = () => ({ when: "before", answer: { status: 403, body: error("AccessDenied") } });
  await expect(clean("")).rejects.toMatchObject({ cause: { name: "S3Failure", code: "AccessDenied" } });
});

test("the young are left alone, and told of", async () => {
  await open("young/a");
  expect(await clean("young/", "1.5h")).toEqual({ ...NOTHING, young: 1 });
  expect(seen).toMatchObject([{ key: "young/a", outcome: "young", initiated: expect.any(Date) }]);
  expect(await engine.openUploads("young/a")).toHaveLength(1);
});

test.each(["", "24", "h", "-1h", "1w", "1e3h", "Infinityh", " 1h", "24 h", `${"9".repeat(400)}d`])(
  "%j is no age, and nothing is asked of S3",
  async (age) => {
    await expect(clean("", age as TimeSpan)).rejects.toThrow(TypeError);
    expect(proxy.requests).toEqual([]);
  },
);

function listing(entries: string): string {
  return `<ListMultipartUploadsResult>${entries}</ListMultipartUploadsResult>`;
}
