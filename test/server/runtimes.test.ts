/** The handler behind the frameworks that apps use: an upload from begin through the relay to complete. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import express from "express";
import express4 from "express4";
import Fastify from "fastify";
import { Hono } from "hono";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { createUploadHandler, type UploadHandler } from "../../server/index.ts";
import { relayServerOptions, toNodeListener } from "../../server/node.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { SECRET, someBytes } from "./upload-server.ts";

let s3: S3Engine;
let handler: UploadHandler;
const errors: string[] = [];

beforeAll(async () => {
  s3 = await startS3();
  handler = createUploadHandler({
    client: s3.client,
    bucket: s3.bucket,
    secret: SECRET,
    basePath: "/uploads",
    authorize: (_request, { key }) => ({ key }),
    onError: (error) => errors.push(`${error.message}: ${error.cause}`),
  });
});

afterAll(() => s3.close());

async function serve(listener: RequestListener): Promise<string> {
  return listening(createServer(relayServerOptions, listener));
}

async function listening(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/uploads`;
}

async function serveFastify(): Promise<string> {
  const listener = toNodeListener(handler);
  const app = Fastify();
  // Fastify would read bodies before the handler does.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => done(null));
  app.all("/uploads/*", (request, reply) => {
    reply.hijack();
    listener(request.raw, reply.raw);
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  onTestFinished(() => app.close());
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/uploads`;
}

const RUNTIMES: Readonly<Record<string, () => Promise<string>>> = {
  "node:http": () => serve(toNodeListener(handler)),
  "Express 4": () => serve(express4().use("/uploads", toNodeListener(handler))),
  "Express 4, behind its JSON parser": () =>
    serve(express4().use(express4.json()).use("/uploads", toNodeListener(handler))),
  "Express 5": () => serve(express().use("/uploads", toNodeListener(handler))),
  "Express 5, behind its JSON parser": () =>
    serve(express().use(express.json()).use("/uploads", toNodeListener(handler))),
  Fastify: serveFastify,
  Hono: () =>
    serve(getRequestListener(new Hono().all("/uploads/*", (context) => handler(context.req.raw)).fetch)),
};

test.each(Object.keys(RUNTIMES))(
  "%s carries an upload from begin through the relay to complete",
  async (name) => {
    const url = (await RUNTIMES[name]?.()) ?? "";
    const body = someBytes(300_000);
    const uploadId = randomUUID();
    const post = async (operation: string, content: unknown) => {
      const response = await fetch(`${url}/${operation}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(content),
      });
      return { status: response.status, content: (await response.json()) as Record<string, unknown> };
    };
    const begun = await post("begin", {
      ...{ uploadId, key: `runtimes/${uploadId}`, name: "a", type: "text/plain", method: "single" },
      ...{ size: body.length, partSize: body.length, checksum: "md5", triedForMs: null },
    });
    expect(begun).toMatchObject({ status: 200, content: { key: `runtimes/${uploadId}` } });
    const { token } = begun.content;
    const relayed = await fetch(`${url}/relay?upload=${uploadId}&first=1&count=1&fetch=${randomUUID()}`, {
      method: "PUT",
      headers: { "x-backhaul-token": String(token) },
      body: new Blob([Buffer.from(body)]),
    });
    const { parts } = (await relayed.json()) as { parts: unknown };
    expect(relayed.status).toBe(200);
    expect(await post("complete", { token, parts })).toMatchObject({
      status: 200,
      content: { size: body.length },
    });
    expect(await post("unknown", {})).toMatchObject({ status: 404 });
  },
);

/** Reads what is no JSON, as parsers of uploads do, and leaves nothing of it. */
const dropBody: express.RequestHandler = (request, _response, next) => {
  if (request.is("json")) next();
  else request.resume().once("end", () => next());
};

test.each([
  ["Express 4", () => express4().use(dropBody)],
  ["Express 5", () => express().use(dropBody)],
] as const)("%s: relayed bytes that a parser has read are refused, and why", async (_name, app) => {
  const url = await serve(app().use("/uploads", toNodeListener(handler)));
  const uploadId = randomUUID();
  const begun = await fetch(`${url}/begin`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      ...{ uploadId, key: `runtimes/${uploadId}`, name: "a", type: "text/plain", method: "single" },
      ...{ size: 5, partSize: 5, checksum: "md5", triedForMs: null },
    }),
  });
  const { token } = (await begun.json()) as { token: string };
  const response = await fetch(`${url}/relay?upload=${uploadId}&first=1&count=1&fetch=${randomUUID()}`, {
    method: "PUT",
    headers: { "x-backhaul-token": token },
    body: new Blob(["bytes"]),
  });
  // The upload waits until the server is mended.
  expect(response.status).toBe(503);
  expect(errors.join()).toContain("the body was read before it came here");
});
