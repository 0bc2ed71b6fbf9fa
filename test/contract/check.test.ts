import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CreateBucketCommand,
  GetBucketCorsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketCorsCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { type Store, startStore } from "../../demo/store/server.ts";
import { createUploadHandler } from "../../server/index.ts";
import { relayServerOptions, toNodeListener } from "../../server/node.ts";
import { isCephInstalled, startCeph } from "../engines/ceph.ts";
import { type Plant, type ProxiedRequest, s3Error, startPlantingProxy } from "./planting-proxy.ts";

const ROOT = join(import.meta.dirname, "../..");
const COMMAND = ["--conditions=backhaul-source", "--import", "tsx", join(ROOT, "server/command.ts")];
const ORIGIN = "https://app.example";
const BUCKET = "checked";
const CREDENTIALS = { AWS_ACCESS_KEY_ID: "operator", AWS_SECRET_ACCESS_KEY: "operator-secret" };
const LIFECYCLE = `<LifecycleConfiguration><Rule><ID>x</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>8</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
</LifecycleConfiguration>`;

let dataDir: string;
let store: Store;
let s3: S3Client;
/** The store as it is right: with lifecycle rules, which the embedded one does not have. */
let right: string;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "store-"));
  store = await startStore({ dataDir, port: 0, accessKeyId: "operator", secretAccessKey: "operator-secret" });
  s3 = new S3Client({ endpoint: store.url, region: "us-east-1", forcePathStyle: true, credentials: store });
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  right = await planted({});
  const { code, stdout } = await backhaul("setup", "--endpoint", right, "--yes");
  expect(stdout).toContain("CORS rules: written");
  expect(code).toBe(0);
});

afterAll(async () => {
  s3?.destroy();
  for (const close of closing) await close();
  await store?.close();
  await rm(dataDir, { recursive: true });
});

async function planted(plant: Plant): Promise<string> {
  const withLifecycle: Plant = {
    ...plant,
    instead: (request, body) => plant.instead?.(request, body) ?? lifecycleAnswer(request),
  };
  const { url, close } = await startPlantingProxy(store.url, withLifecycle);
  closing.push(close);
  return url;
}

function lifecycleAnswer({ url }: ProxiedRequest) {
  if (!url.searchParams.has("lifecycle")) return undefined;
  return { status: 200, headers: { "content-type": "application/xml" }, body: Buffer.from(LIFECYCLE) };
}

/** A server with the upload handler, whose users are known by a cookie. */
async function startHandler(): Promise<string> {
  const handler = createUploadHandler({
    client: s3,
    bucket: BUCKET,
    secret: "0123456789abcdef0123456789abcdef",
    basePath: "/uploads",
    authorize: async (request, { key }) =>
      request.headers.get("cookie") === "session=1" ? { key } : new Response(null, { status: 401 }),
  });
  return serve(toNodeListener(handler));
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(relayServerOptions, listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The command as an operator runs it. */
async function backhaul(name: "check" | "setup", ...args: readonly string[]) {
  return run(CREDENTIALS, [name, "--bucket", BUCKET, "--origin", ORIGIN, ...args]);
}

async function run(env: Readonly<Record<string, string>>, args: readonly string[]) {
  const child = spawn(process.execPath, [...COMMAND, ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH,
      NODE_NO_WARNINGS: "1",
      HOME: "/nonexistent",
      AWS_EC2_METADATA_DISABLED: "true",
      ...env,
    },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  const failures = stdout.split("\n").filter((line) => line.startsWith("FAILURE"));
  return { code, stdout, stderr, failures };
}

/** Keys of what is in the bucket. Checks that may not delete leave something there, and say so. */
async function kept() {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: BUCKET }));
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
  return { objects: Contents.map(({ Key }) => Key), uploads: Uploads.map(({ Key }) => Key) };
}

it("passes a bucket that is right, and leaves nothing in it", async () => {
  const before = await kept();
  const { code, stdout } = await backhaul("check", "--endpoint", right);
  expect(stdout).toContain("multipart, checksum crc64nvme: stored, and as it was sent");
  expect(stdout).toMatch(/\d+ ok, 0 warnings, 0 failures\n$/);
  expect(code).toBe(0);
  expect(await kept()).toEqual(before);
});

const isObject = ({ url }: ProxiedRequest) => url.pathname.split("/").length > 2 && url.pathname.length > 9;
const isPut = (request: ProxiedRequest) => request.method === "PUT" && isObject(request);
const isPart = (request: ProxiedRequest) => isPut(request) && request.url.searchParams.has("partNumber");
const denied = (is: (request: ProxiedRequest) => boolean): Plant => ({
  instead: (request) => (is(request) ? s3Error(403, "AccessDenied") : undefined),
});
const withoutHeader = (name: string, isOf: (request: ProxiedRequest) => boolean): Plant => ({
  after: (request, { headers }) => {
    if (isOf(request)) delete headers[name];
  },
});
const isPreflight = ({ method }: ProxiedRequest) => method === "OPTIONS";

interface Misconfiguration {
  readonly name: string;
  readonly plant?: Plant;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What the line that fails says, and what to do. */
  readonly said: readonly string[];
}

const MISCONFIGURATIONS: readonly Misconfiguration[] = [
  {
    name: "no CORS rules",
    plant: { instead: (request) => (isPreflight(request) ? s3Error(403, "AccessForbidden") : undefined) },
    said: [`preflight from ${ORIGIN}: AccessForbidden`, "npx backhaul setup"],
  },
  {
    name: "CORS rules for another origin",
    args: ["--origin", "https://other.example"],
    said: ["preflight from https://other.example", "npx backhaul setup"],
  },
  {
    name: "CORS rules without PUT",
    plant: {
      after: (request, { headers }) => {
        if (isPreflight(request)) headers["access-control-allow-methods"] = "GET";
      },
    },
    said: ["does not allow PUT"],
  },
  {
    name: "CORS rules without the header of the checksum",
    plant: {
      after: (request, { headers }) => {
        if (isPreflight(request))
          headers["access-control-allow-headers"] = "content-type,x-amz-meta-backhaul-upload";
      },
    },
    said: ["does not allow the header content-md5"],
  },
  {
    name: "an ETag that is not exposed",
    plant: withoutHeader("access-control-expose-headers", isPut),
    said: ["do not expose the ETag", "ExposeHeaders"],
  },
  {
    name: "answers without CORS headers",
    plant: withoutHeader("access-control-allow-origin", isPut),
    said: ["no Access-Control-Allow-Origin"],
  },
  {
    name: "a preflight that is redirected",
    plant: {
      instead: (request) =>
        isPreflight(request)
          ? s3Error(307, "TemporaryRedirect", { location: "https://elsewhere.example/" })
          : undefined,
    },
    said: ["redirected to https://elsewhere.example/", "publicEndpoint"],
  },
  {
    name: "another region",
    args: ["--region", "eu-central-1"],
    said: ["credentials: AuthorizationHeaderMalformed", "set --region"],
  },
  {
    name: "a bucket that is in another region than the one signed for",
    plant: {
      after: (request, { headers }) => {
        if (request.method === "HEAD" && !isObject(request)) headers["x-amz-bucket-region"] = "eu-west-1";
      },
    },
    said: ["region: the bucket is in eu-west-1", "--region (and the server's) to eu-west-1"],
  },
  {
    name: "an unknown access key",
    env: { AWS_ACCESS_KEY_ID: "other" },
    said: ["credentials: InvalidAccessKeyId"],
  },
  {
    name: "another secret key",
    env: { AWS_SECRET_ACCESS_KEY: "wrong-secret-access-key" },
    said: ["credentials: SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY is not"],
  },
  {
    name: "no credentials",
    env: { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" },
    said: ["credentials: CredentialsProviderError", "set AWS_ACCESS_KEY_ID"],
  },
  {
    name: "no such bucket",
    args: ["--bucket", "not-there"],
    said: ["credentials: NoSuchBucket", "create the bucket"],
  },
  {
    name: "a clock that is off by 20 minutes",
    plant: {
      after: (_request, { headers }) => {
        headers.date = new Date(Date.now() + 20 * 60_000).toUTCString();
      },
    },
    said: ["clock: differs from S3's by 20 min", "NTP"],
  },
  {
    name: "no s3:ListBucket",
    plant: {
      instead: (request) => {
        const isList = request.url.searchParams.has("list-type");
        if (isList) return s3Error(403, "AccessDenied");
        return request.method === "HEAD" && isObject(request) && request.headers.authorization
          ? { status: 403, headers: {}, body: Buffer.alloc(0) }
          : undefined;
      },
    },
    said: ["credentials: AccessDenied", "allow s3:ListBucket"],
  },
  {
    name: "no s3:ListBucketMultipartUploads",
    plant: denied(({ method, url }) => method === "GET" && url.searchParams.has("uploads")),
    said: ["open uploads: AccessDenied", "allow s3:ListBucketMultipartUploads"],
  },
  {
    name: "no s3:PutObject",
    plant: denied((request) => isPut(request) || (request.method === "POST" && isObject(request))),
    said: ["one PUT, checksum md5: PutObject failed: AccessDenied", "allow s3:PutObject"],
  },
  {
    name: "no s3:AbortMultipartUpload",
    plant: denied(({ method, url }) => method === "DELETE" && url.searchParams.has("uploadId")),
    said: ["abort: AbortMultipartUpload failed", "allow s3:AbortMultipartUpload"],
  },
  {
    name: "no s3:ListMultipartUploadParts",
    plant: denied(({ method, url }) => method === "GET" && url.searchParams.has("uploadId")),
    said: ["multipart, checksum md5: ListParts failed: AccessDenied", "allow s3:ListMultipartUploadParts"],
  },
  {
    name: "a checksum that the engine refuses",
    args: ["--checksum", "crc64nvme"],
    plant: {
      instead: (request) =>
        isPut(request) && request.headers["x-amz-checksum-crc64nvme"]
          ? s3Error(400, "InvalidRequest")
          : undefined,
    },
    said: ["one PUT, checksum crc64nvme: PutObject failed: InvalidRequest", "choose another `checksum`"],
  },
  {
    name: "a checksum that the engine ignores",
    plant: {
      before: ({ headers }) => {
        delete headers["content-md5"];
      },
    },
    said: ["one PUT, checksum md5: stored, but the engine does not compare it", "choose another `checksum`"],
  },
  {
    name: "copies for whoever holds a signed URL",
    plant: {
      instead: ({ headers }) =>
        headers["x-amz-copy-source"]
          ? { status: 200, headers: {}, body: Buffer.from("<CopyObjectResult/>") }
          : undefined,
    },
    said: ["unsigned headers: the engine accepts x-amz-copy-source", "signingClient"],
  },
  {
    name: "no lifecycle rule",
    plant: {
      instead: ({ url }) =>
        url.searchParams.has("lifecycle") ? s3Error(404, "NoSuchLifecycleConfiguration") : undefined,
    },
    said: ["lifecycle rule: none aborts uploads", "npx backhaul setup"],
  },
  {
    name: "a lifecycle rule that is too early",
    args: ["--uploads-last", "30d"],
    said: ["lifecycle rule: aborts uploads after 8 days, while they may take 30"],
  },
  {
    name: "a part that arrives without an ETag",
    plant: withoutHeader("etag", isPart),
    said: ["multipart, checksum md5: UploadPart failed", "no ETag"],
  },
];

it.each(MISCONFIGURATIONS)("finds $name", async ({ plant = {}, args = [], env = {}, said }) => {
  const endpoint = await planted(plant);
  const given = { ...CREDENTIALS, ...env };
  const { code, stdout, failures } = await run(given, [
    ...["check", "--bucket", BUCKET, "--origin", ORIGIN, "--endpoint", endpoint, ...args],
  ]);
  expect(
    stdout
      .split("\n")
      .filter((line) => !line.startsWith("ok"))
      .join("\n"),
  ).toContain(said[0]);
  for (const each of said) expect(stdout).toContain(each);
  expect(failures.length, stdout).toBeGreaterThan(0);
  expect(stdout).not.toMatch(/wrong-secret|Signature=|[\da-f]{64}/);
  expect(code).toBe(1);
});

it("tries the relay through its public URL, as the user of a session", async () => {
  const before = await kept();
  const url = `${await startHandler()}/uploads`;
  const args = ["--endpoint", right, "--relay", url];
  const { stdout, code } = await backhaul("check", ...args, "--header", "cookie: session=1");
  expect(stdout).toContain("ok       relay, as far as the handler: reached at once");
  expect(stdout).toContain("ok       relay, as far as S3: stored, and as it was sent");
  expect(code).toBe(0);
  expect(await kept()).toEqual(before);

  const stranger = await backhaul("check", ...args);
  expect(stranger.stdout).toContain("warning  relay, as far as S3: not tried: the handler wants a session");
  expect(stranger.code).toBe(0);
});

const RELAY_FAULTS: readonly (readonly [name: string, listener: RequestListener, said: string])[] = [
  // It answers once it has the whole request, which never comes.
  ["keeps requests until they are whole", (req) => void req.resume(), "proxy_request_buffering off"],
  ["has a limit on bodies", (_req, res) => void res.writeHead(413).end(), "client_max_body_size"],
  ["redirects", (_req, res) => void res.writeHead(301, { location: "/" }).end(), "redirected (HTTP 301)"],
  [
    "knows nothing of uploads",
    (_req, res) => void res.writeHead(404).end("<html>"),
    "HTTP 404, not by the handler",
  ],
];

it.each(RELAY_FAULTS)("finds a proxy before the relay that %s", async (_name, listener, said) => {
  const { stdout, code } = await backhaul("check", "--endpoint", right, "--relay", await serve(listener));
  expect(stdout).toMatch(/^FAILURE {2}relay, as far as the handler/m);
  expect(stdout).toContain(said);
  expect(code).toBe(1);
});

it("ends in time where the engine answers nothing", async () => {
  const endpoint = await serve((req) => void req.resume());
  const { stdout, code } = await backhaul("check", "--endpoint", endpoint, "--timeout", "2s");
  expect(stdout).toMatch(/^FAILURE {2}credentials/m);
  expect(code).toBe(1);
});

it.each([
  [["check", "--bucket", "b"], "--origin is missing"],
  [["check", "--bucket", "b", "--origin", "app.example"], '--origin is "app.example"'],
  [["check", "--bucket", "b", "--origin", ORIGIN, "--checksum", "crc32"], '--checksum is "crc32"'],
  [["check", "--bucket", "b", "--origin", ORIGIN, "--header", "secret"], "--header is invalid"],
  [["check", "--bucket", "b", "--origin", ORIGIN, "--timeout", "2d"], '--timeout is "2d"'],
  [["setup", "--bucket", "b", "--origin", ORIGIN], "give --yes"],
  [
    ["setup", "--bucket", "b", "--origin", ORIGIN, "--yes", "--uploads-last", "week"],
    '--uploads-last is "week"',
  ],
] as const)("refuses %j with exit code 2", async (args, said) => {
  const { code, stdout, stderr } = await run(CREDENTIALS, args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(said);
  expect(stderr).not.toContain("secret");
});

it("sets up a bucket once, keeps other rules, and says what the engine does not have", async () => {
  const Bucket = "fresh";
  await s3.send(new CreateBucketCommand({ Bucket }));
  const theirs = { ID: "theirs", AllowedOrigins: ["https://their.example"], AllowedMethods: ["GET"] };
  await s3.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules: [theirs] } }));
  const args = ["setup", "--bucket", Bucket, "--origin", ORIGIN, "--endpoint", store.url, "--yes"];
  const first = await run(CREDENTIALS, args);
  expect(first.stdout).toContain("CORS rules: written");
  expect(first.stderr).toContain("run `npx backhaul clean` once a day");
  expect(first.code).toBe(1);
  const { CORSRules } = await s3.send(new GetBucketCorsCommand({ Bucket }));
  expect(CORSRules).toMatchObject([
    theirs,
    { ID: "backhaul", AllowedOrigins: [ORIGIN], ExposeHeaders: ["ETag"] },
  ]);
  const second = await run(CREDENTIALS, args);
  expect(second.stdout).toContain("CORS rules: nothing to change");
});

it("writes a lifecycle rule that the check finds right", async () => {
  let written = "";
  const endpoint = await planted({
    instead: (request, body) => {
      if (!request.url.searchParams.has("lifecycle")) return undefined;
      if (request.method === "PUT") written = body.toString();
      const answer = { status: 200, headers: { "content-type": "application/xml" } };
      if (request.method === "PUT") return { ...answer, body: Buffer.alloc(0) };
      return written === ""
        ? s3Error(404, "NoSuchLifecycleConfiguration")
        : { ...answer, body: Buffer.from(written) };
    },
  });
  expect((await backhaul("setup", "--endpoint", endpoint, "--yes")).stdout).toContain(
    "lifecycle rules: written",
  );
  expect((await backhaul("check", "--endpoint", endpoint)).stdout).toContain(
    "lifecycle rule: aborts uploads that never ended after 8 days",
  );
  expect((await backhaul("setup", "--endpoint", endpoint, "--yes")).stdout).toContain(
    "lifecycle rules: nothing to change",
  );
});

it.skipIf(!isCephInstalled() && process.env.CI === undefined)(
  "sets up a bucket of Ceph, and finds that its signed URLs allow more than they say",
  async () => {
    const { endpoint, accessKeyId, secretAccessKey, stop } = await startCeph({ sts: false });
    onTestFinished(stop);
    const credentials = { accessKeyId, secretAccessKey };
    const ceph = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
    await ceph.send(new CreateBucketCommand({ Bucket: BUCKET }));
    ceph.destroy();
    const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    const common = ["--bucket", BUCKET, "--origin", ORIGIN, "--endpoint", endpoint];
    const { stdout, stderr } = await run(env, ["setup", ...common, "--yes"]);
    expect({ stdout, stderr }).toMatchObject({ stderr: "" });
    const { stdout: said, failures } = await run(env, ["check", ...common]);
    expect(failures, said).toEqual([
      expect.stringMatching(/^FAILURE {2}unsigned headers: .*x-amz-copy-source/),
    ]);
    expect(said).toContain("one PUT, checksum sha256: stored, but the engine does not compare it");
  },
);
