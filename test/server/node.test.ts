import { request as httpRequest, type RequestListener } from "node:http";
import { connect } from "node:net";
import express from "express";
import { afterEach, expect, test, vi } from "vitest";
import { toNodeListener } from "../../server/node.ts";
import { listen } from "./listen.ts";
import { raw } from "./raw-http.ts";

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = await listen(listener);
  closers.push(server.close);
  return server.url;
}

/** Answers with what it got. */
const echo = async (request: Request) =>
  Response.json({
    method: request.method,
    url: request.url,
    headers: Object.fromEntries(request.headers),
    body: await request.text(),
  });

test("method, URL, headers and body arrive, and so does the answer", async () => {
  const url = await serve(toNodeListener(echo));
  const response = await fetch(`${url}/a%20b?c=d`, {
    method: "POST",
    body: "hällo",
    headers: { "x-test": "1" },
  });
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(await response.json()).toMatchObject({
    method: "POST",
    url: `${url}/a%20b?c=d`,
    headers: { "x-test": "1", host: new URL(url).host },
    body: "hällo",
  });
});

test("headers in which proxies claim a host or a scheme are ignored", async () => {
  const url = await serve(toNodeListener(echo));
  const headers = {
    "x-forwarded-host": "evil.example",
    "x-forwarded-proto": "https",
    forwarded: "host=evil.example",
  };
  expect(await (await fetch(`${url}/x`, { headers })).json()).toMatchObject({ url: `${url}/x` });
});

test("a request target never changes the host", async () => {
  const url = await serve(toNodeListener(echo));
  const { host, port } = new URL(url);
  for (const [target, expected] of [
    ["//evil.example/x", `http://${host}//evil.example/x`],
    ["http://evil.example/x?y", `http://${host}/x?y`],
  ]) {
    const body = await raw(
      Number(port),
      `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    );
    expect(body).toContain(JSON.stringify(expected));
  }
});

test.each([
  ["GET /x HTTP/1.1\r\nHost: a b\r\n", "a Host that is none"],
  ["GET /x HTTP/1.1\r\nHost: user@evil.example\r\n", "a Host with a user"],
  ["GET /x HTTP/1.1\r\nHost: evil.example/y?\r\n", "a Host with a path"],
  ["GET /x HTTP/1.1\r\nHost: evil.example#\r\n", "a Host with a fragment"],
  ["GET /x HTTP/1.1\r\nHost: evil.example\\y\r\n", "a Host with a backslash"],
  ["GET /x/y HTTP/1.1\r\nHost:\r\n", "an empty Host, in whose place the path would come"],
  ["GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n", "two Hosts"],
  ["TRACE /x HTTP/1.1\r\nHost: x\r\n", "a method that Request refuses"],
  ["OPTIONS * HTTP/1.1\r\nHost: x\r\n", "a target that is no path"],
])("the host %j is answered with 400", async (head) => {
  const url = await serve(toNodeListener(echo));
  expect(await raw(Number(new URL(url).port), `${head}Connection: close\r\n\r\n`)).toMatch(
    /^HTTP\/1\.1 400 /,
  );
});

test("the handler works mounted in Express, with the body parsed or not", async () => {
  for (const parser of [
    undefined,
    express.json(),
    express.text({ type: "*/*" }),
    express.raw({ type: "*/*" }),
  ]) {
    const app = express();
    if (parser) app.use(parser);
    app.use("/app/uploads", toNodeListener(echo));
    const url = await serve(app);
    const init = { method: "POST", body: '{"a":"ü"}', headers: { "content-type": "application/json" } };
    const seen = await (await fetch(`${url}/app/uploads/begin`, init)).json();
    expect(seen).toMatchObject({ url: `${url}/app/uploads/begin`, body: '{"a":"ü"}' });
  }
});

test("an empty `body` that Express 4 sets without reading is not taken for the body", async () => {
  const listener = toNodeListener(echo);
  const url = await serve((req, res) => listener(Object.assign(req, { body: {} }), res));
  expect(await (await fetch(url, { method: "POST", body: "text" })).json()).toMatchObject({ body: "text" });
});

test("a client that goes aborts the request's signal and ends its body", async () => {
  const seen = vi.fn();
  const url = await serve(
    toNodeListener(async (request) => {
      request.signal.addEventListener("abort", () => seen("aborted"));
      await request.text().catch(() => seen("broken"));
      return new Response("late");
    }),
  );
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nfew");
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.end();
  await vi.waitFor(() => expect(seen.mock.calls.flat().sort()).toEqual(["aborted", "broken"]));
});

test("a complete answer aborts nothing", async () => {
  let signal: AbortSignal | undefined;
  const url = await serve(
    toNodeListener(async (request) => {
      signal = request.signal;
      return new Response("done");
    }),
  );
  await (await fetch(url)).text();
  await closers.pop()?.();
  expect(signal?.aborted).toBe(false);
});

test("the request's body comes no faster than it is read", async () => {
  const chunk = Buffer.alloc(64 * 1024);
  const total = 512;
  let written = 0;
  let writtenWhileUnread = -1;
  let started = () => {};
  const stalled = new Promise<void>((resolve) => {
    started = resolve;
  });
  const url = await serve(
    toNodeListener(async (request) => {
      await stalled;
      writtenWhileUnread = written;
      let bytes = 0;
      for await (const part of request.body ?? []) bytes += part.byteLength;
      return Response.json(bytes);
    }),
  );
  const body = await new Promise<string>((resolve, reject) => {
    const request = httpRequest(url, { method: "POST" }, async (response) => {
      let text = "";
      for await (const part of response) text += part;
      resolve(text);
    });
    request.on("error", reject);
    const fill = () => {
      while (written < total) {
        written++;
        if (!request.write(chunk)) {
          // The kernel's buffers take some megabytes; after that, nothing drains until it is read.
          const quiet = setTimeout(started, 300);
          request.once("drain", () => {
            clearTimeout(quiet);
            fill();
          });
          return;
        }
      }
      started();
      request.end();
    };
    fill();
  });
  expect(Number(body)).toBe(total * chunk.length);
  expect(writtenWhileUnread).toBeLessThan(total);
});

test("the answer is made no faster than it is taken, and given up when the client goes", async () => {
  let made = 0;
  const canceled = vi.fn();
  const url = await serve(
    toNodeListener(
      async () =>
        new Response(
          new ReadableStream({
            pull(controller) {
              made++;
              controller.enqueue(new Uint8Array(64 * 1024));
            },
            cancel: canceled,
          }),
        ),
    ),
  );
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.pause();
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await vi.waitFor(
    async () => {
      const before = made;
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(before).toBeGreaterThan(0);
      expect(made).toBe(before);
    },
    { timeout: 5_000 },
  );
  socket.destroy();
  await vi.waitFor(() => expect(canceled).toHaveBeenCalled());
});

test("a body that the handler does not read does not block the connection", async () => {
  const url = await serve(toNodeListener(async () => new Response("no", { status: 415 })));
  for (let turn = 0; turn < 3; turn++) {
    const response = await fetch(url, { method: "POST", body: new Uint8Array(4_000_000) });
    expect([response.status, await response.text()]).toEqual([415, "no"]);
  }
});

test("a handler that fails is a bare 500, or Express's to answer", async () => {
  const fail = toNodeListener(async () => {
    throw new Error("secret");
  });
  const bare = await fetch(await serve(fail));
  expect([bare.status, await bare.text()]).toEqual([500, ""]);
  const next = vi.fn();
  const passed = await fetch(
    await serve((req, res) =>
      fail(req, res, (error) => {
        next(error);
        res.writeHead(500).end("Express's");
      }),
    ),
  );
  expect(await passed.text()).toBe("Express's");
  expect(next).toHaveBeenCalledWith(expect.objectContaining({ message: "secret" }));
});

test("an answer that breaks off breaks the connection", async () => {
  const url = await serve(
    toNodeListener(
      async () =>
        new Response(
          new ReadableStream({
            start(controller) {
              controller.enqueue(new TextEncoder().encode("half"));
            },
            pull(controller) {
              controller.error(new Error("no more"));
            },
          }),
        ),
    ),
  );
  await expect(fetch(url).then((response) => response.text())).rejects.toThrow();
});

test("several cookies stay several", async () => {
  const headers = new Headers([
    ["set-cookie", "a=1"],
    ["set-cookie", "b=2"],
  ]);
  const url = await serve(toNodeListener(async () => new Response(null, { status: 204, headers })));
  expect((await fetch(url)).headers.getSetCookie()).toEqual(["a=1", "b=2"]);
});
