/** The demo's server, which whoever tries it has running beside all else that they do. */
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type AppServer, startAppServer } from "../../demo/app-server.ts";
import { relayServerOptions } from "../../server/node.ts";
import { raw } from "./raw-http.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { SECRET } from "./upload-server.ts";

let engine: S3Engine;
let app: AppServer;
let port: number;
const folder = mkdtempSync(join(tmpdir(), "backhaul-demo-"));

beforeAll(async () => {
  const root = join(folder, "root");
  for (const path of ["root/assets", "outside"]) mkdirSync(join(folder, path), { recursive: true });
  writeFileSync(join(root, "index.html"), "the page");
  writeFileSync(join(root, "assets/a b.js"), "the script");
  writeFileSync(join(folder, "outside/secret.txt"), "the secret");
  writeFileSync(join(folder, "outside/index.html"), "the secret");
  symlinkSync(join(folder, "outside/secret.txt"), join(root, "link.txt"));
  symlinkSync(join(folder, "outside/index.html"), join(root, "page.html"));
  symlinkSync(join(folder, "outside"), join(root, "folder"));
  symlinkSync(join(root, "assets"), join(root, "inside"));
  engine = await startS3();
  const credentials = await engine.client.config.credentials();
  const s3 = { endpoint: engine.endpoint, region: "us-east-1", bucket: engine.bucket, credentials };
  app = await startAppServer({ port: 0, root, s3, secret: SECRET });
  port = Number(new URL(app.url).port);
});

afterAll(async () => {
  await app.close();
  await engine.close();
  rmSync(folder, { recursive: true });
});

const get = (path: string, host = `localhost:${port}`) =>
  raw(port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);

describe("files", () => {
  test.each([
    ["/", "the page"],
    ["/index.html", "the page"],
    ["/assets/a%20b.js", "the script"],
    ["/inside/a%20b.js", "the script"],
  ])("%s is served", async (path, content) => {
    expect(await get(path)).toMatch(new RegExp(`^HTTP/1\\.1 200 [^]*${content}$`));
  });

  test.each([
    "/link.txt",
    "/page",
    "/page.html",
    "/folder",
    "/folder/",
    "/folder/secret.txt",
    "/folder/index.html",
    "/assets/../link.txt",
    "/../outside/secret.txt",
    "/%2e%2e/outside/secret.txt",
    "/..%2foutside%2fsecret.txt",
    "/%",
  ])("%s leads nowhere", async (path) => {
    const answer = await get(path);
    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
    expect(answer).not.toContain("secret");
  });
});

describe("a name that leads here", () => {
  test.each(["localhost", "127.0.0.1", "[::1]"])("may be %s", async (name) => {
    expect(await get("/", `${name}:${port}`)).toMatch(/^HTTP\/1\.1 200 /);
  });

  test.each(["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "evil.example:80"])(
    "may not be %s",
    async (host) => {
      expect(await get("/", host)).toMatch(/^HTTP\/1\.1 421 /);
      expect(await get("/uploads/begin", host)).toMatch(/^HTTP\/1\.1 421 /);
    },
  );
});

describe("a request's head that never ends", () => {
  test("is given up with relayServerOptions, while a whole request may take its time", async () => {
    const server = createServer(relayServerOptions);
    expect([server.headersTimeout, server.requestTimeout]).toEqual([60_000, 0]);
  });

  test("is given up by Node with such options", async () => {
    // The same, but sooner.
    const server = createServer({
      ...relayServerOptions,
      headersTimeout: 50,
      connectionsCheckingInterval: 20,
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    socket.write("POST /uploads/begin HTTP/1.1\r\nHost: x\r\nX-Never: ");
    const [answer] = await once(socket, "data");
    expect(String(answer)).toMatch(/^HTTP\/1\.1 408 /);
    socket.destroy();
  });
});
