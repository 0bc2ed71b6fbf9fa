import { readFileSync } from "node:fs";
import { S3Client } from "@aws-sdk/client-s3";
import { expect, it } from "vitest";
import { createUploadHandler } from "../../server/index.ts";
import { LEAST_SDK_VERSION } from "../../server/sdk-version.ts";
import { SECRET } from "./upload-server.ts";

const { peerDependencies } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
) as { peerDependencies: Record<string, string> };

function handlerOf(version: string) {
  const errors: string[] = [];
  const client = new S3Client({
    region: "us-east-1",
    credentials: { accessKeyId: "a", secretAccessKey: "b" },
    defaultUserAgentProvider: async () => [["aws-sdk-js", version]],
  });
  const handler = createUploadHandler({
    client,
    bucket: "bucket",
    secret: SECRET,
    authorize: async () => new Response(null, { status: 401 }),
    onError: (error) => errors.push(error.message),
  });
  return { handler, errors };
}

const beginning = () =>
  new Request("http://localhost/begin", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      ...{ uploadId: crypto.randomUUID(), key: "a", size: 1, type: "", name: "a", method: "single" },
      ...{ partSize: 1, checksum: "none", triedForMs: null },
    }),
  });

it("asks package managers for the version that the server asks for", () => {
  expect(peerDependencies["@aws-sdk/client-s3"]).toBe(`^${LEAST_SDK_VERSION}`);
});

it.each(["3.514.0", "3.832.0", "2.9999.0"])("a client of version %s is refused, by name", async (version) => {
  const { handler, errors } = handlerOf(version);
  const response = await handler(beginning());
  // The upload waits for a server that was mended.
  expect(response.status).toBe(503);
  expect(errors[0]).toContain(`@aws-sdk/client-s3 ${version}, while ${LEAST_SDK_VERSION} is needed`);
});

it.each([LEAST_SDK_VERSION, "3.99999.0", "4.0.0"])("a client of version %s is accepted", async (version) => {
  const { handler, errors } = handlerOf(version);
  expect((await handler(beginning())).status).toBe(401);
  expect(errors.join()).not.toContain("is needed");
});
