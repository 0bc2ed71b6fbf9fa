/** The handler checks its own options first, then the origin and the path of a request. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { S3Failure, toStorageFault } from "../../s3/s3-faults.ts";
import { createUploadHandler, type UploadHandlerOptions } from "../../server/index.ts";
import { putRun } from "./relay-client.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { beginIntent, SECRET, startUploadServer } from "./upload-server.ts";

let engine: S3Engine;

beforeAll(async () => {
  engine = await startS3();
});

afterAll(async () => {
  await engine.close();
});

describe("options", () => {
  test.each([
    [{ client: undefined }, "client is not an S3Client"],
    [{ client: { region: "us-east-1" } }, "client is not an S3Client"],
    [{ signingClient: {} }, "signingClient is not an S3Client"],
    [{ bucket: undefined }, "bucket is undefined: expected a string"],
    [{ bucket: "" }, "bucket is empty"],
    [{ secret: undefined }, "secret is undefined: expected a string"],
    [{ authorize: undefined }, "authorize is not a function"],
    [{ publicEndpoint: "s3.example" }, "publicEndpoint is not an http or https URL"],
    [{ basePath: "uploads" }, 'basePath is "uploads": expected a path such as "/uploads"'],
    [
      { origins: ["app.example"] },
      'origins has "app.example": expected an origin such as "https://app.example"',
    ],
    [{ origins: ["https://app.example/"] }, 'origins has "https://app.example/"'],
  ])("%o are refused by the name of the wrong one", (wrong, message) => {
    const options = {
      client: engine.client,
      bucket: engine.bucket,
      secret: SECRET,
      authorize: () => ({ key: "k" }),
    };
    const create = () => createUploadHandler({ ...options, ...wrong } as unknown as UploadHandlerOptions);
    expect(create).toThrow(TypeError);
    expect(create).toThrow(message);
  });
});

describe("the path", () => {
  test.each(["/uploads", "/uploads/"])(
    "has to be the one where the handler is mounted: %s",
    async (basePath) => {
      const server = await startUploadServer(engine, { basePath });
      onTestFinished(server.close);
      await server.begin({ size: 1 });
      const { origin } = new URL(server.url);
      for (const path of [
        "/begin",
        "/anything/begin",
        "/uploads/x/begin",
        "/x/uploads/begin",
        "/uploads//begin",
      ]) {
        const response = await fetch(`${origin}${path}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(beginIntent({ size: 1 })),
        });
        expect([path, response.status]).toEqual([path, 404]);
      }
    },
  );
});

describe("the key", () => {
  test.each([
    "../../etc/passwd\r\n",
    "a/../b",
    "/../a",
    "/",
    "",
    "a\u0000b",
    "a\u2028b",
    `${"k".repeat(1_025)}`,
  ])("%j never reaches authorize", async (key) => {
    let isAsked = false;
    const server = await startUploadServer(engine, {
      authorize(_request, intent) {
        isAsked = true;
        return { key: intent.key };
      },
    });
    onTestFinished(server.close);
    expect(await server.refusal("begin", beginIntent({ size: 1, key }))).toMatchObject({
      status: 400,
      code: "KEY_INVALID",
    });
    expect(isAsked).toBe(false);
  });
});

describe("pages of other origins", () => {
  const app = "https://app.example";
  const JSON_TYPE = { "content-type": "application/json" };

  test.each<[what: string, headers: Record<string, string>, status: number]>([
    ["the app's own page", { origin: app, "sec-fetch-site": "same-origin" }, 200],
    ["the app's page on another host of the server's", { origin: app, "sec-fetch-site": "same-site" }, 200],
    ["no browser", {}, 200],
    ["a browser's own transfer", { "sec-fetch-site": "same-origin" }, 200],
    ["another site's page", { origin: "https://evil.example", "sec-fetch-site": "cross-site" }, 403],
    ["another site's page in an old browser", { origin: "https://evil.example" }, 403],
    ["a page of a sibling's", { origin: "https://blog.app.example", "sec-fetch-site": "same-site" }, 403],
    ["a page in a sandbox", { origin: "null" }, 403],
    ["the app's host without TLS", { origin: "http://app.example" }, 403],
    ["a link", { "sec-fetch-site": "cross-site" }, 403],
    ["a bookmark", { "sec-fetch-site": "none" }, 403],
  ])("%s: %o is %i", async (_what, headers, status) => {
    const server = await startUploadServer(engine, { origins: [app] });
    onTestFinished(server.close);
    const plain = await startUploadServer(engine);
    onTestFinished(plain.close);
    const body = beginIntent({ size: 1 });
    expect((await server.post("begin", body, { headers: { ...JSON_TYPE, ...headers } })).status).toBe(status);
    expect((await plain.post("begin", body, { headers: { ...JSON_TYPE, ...headers } })).status).toBe(200);
  });

  test("can't relay either", async () => {
    const server = await startUploadServer(engine, { origins: [app] });
    onTestFinished(server.close);
    const token = await server.begin({ size: 1 });
    const { status } = await putRun(server.url, token, 1, 1, new Uint8Array(1));
    expect(status).toBe(200);
    const [put] = await Promise.all([
      fetch(`${server.url}/relay?upload=x&first=1&count=1`, {
        method: "PUT",
        headers: { origin: "https://evil.example" },
        body: "x",
      }),
    ]);
    expect(put.status).toBe(403);
  });
});

describe("a header that can't be sent", () => {
  test("is not quoted in the fault, since it may be a token", () => {
    let thrown: unknown;
    try {
      new Headers({ "x-amz-security-token": "SESSION-TOKEN\n\u0000" });
    } catch (error) {
      thrown = error;
    }
    expect(String(thrown)).toContain("SESSION-TOKEN");
    const { cause, message } = toStorageFault(thrown);
    expect(cause).toBeInstanceOf(S3Failure);
    const { stack, message: told } = cause as S3Failure;
    expect(`${message} ${told} ${stack}`).not.toContain("SESSION-TOKEN");
  });
});
