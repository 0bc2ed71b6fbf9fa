import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as wait } from "node:timers/promises";
import { brokenOff, corrupted, drained, slowed, whole } from "./bodies.ts";
import type { Action, Answer, Line, NamedRequest } from "./fault.ts";
import type { Armed, FaultPlan } from "./fault-plan.ts";
import { nameControlRequest, nameS3Request } from "./name-request.ts";

/** One request, as far as it got. */
export interface ProxyEntry extends NamedRequest {
  /**
   * The status that S3 or the server answered with, whether or not it was passed on; 0 if there was no
   * answer.
   */
  readonly status: number;
  /** S3 has taken a body. */
  readonly stored: boolean;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly endedAt: number;
}

const OUTAGE_MS = 300;

/**
 * Stands on one line and passes everything on as it is, `Host` included since that is signed, but for the requests that a
 * fault is planned for. Each request has a connection of its own: on one that was used before browsers repeat
 * a request by themselves.
 */
export class FaultProxy {
  readonly url: string;
  readonly entries: ProxyEntry[] = [];
  readonly #line: Line;
  readonly #target: URL;
  readonly #plan: FaultPlan;
  readonly #server = createServer({ requestTimeout: 0 }, (req, res) => {
    this.#handle(req, res).catch(() => res.socket?.resetAndDestroy());
  });

  static async start(line: Line, target: string, plan: FaultPlan): Promise<FaultProxy> {
    const proxy = new FaultProxy(line, target, plan);
    await proxy.#listen(0);
    const { port } = proxy.#server.address() as AddressInfo;
    return Object.assign(proxy, { url: `http://localhost:${port}` });
  }

  private constructor(line: Line, target: string, plan: FaultPlan) {
    this.url = "";
    this.#line = line;
    this.#target = new URL(target);
    this.#plan = plan;
  }

  async close(): Promise<void> {
    const closed = once(this.#server.close(), "close");
    this.#server.closeAllConnections();
    await closed;
  }

  async #listen(port: number): Promise<void> {
    this.#server.listen(port, "localhost");
    await once(this.#server, "listening");
  }

  async #handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const small = this.#line === "control" ? await whole(req) : undefined;
    const body = small ? Readable.from(small.length > 0 ? [small] : []) : req;
    const name = small ? nameControlRequest(req, small) : nameS3Request(this.#line, req);
    const armed = name && this.#plan.meet(name);
    const exchange = { req, res, body, name };
    if (name) await armed?.fault.meanwhile?.(name);
    await this.#perform(exchange, armed?.fault.action ?? { do: "pass" }, armed);
  }

  async #perform(exchange: Exchange, action: Action, armed: Armed | undefined): Promise<void> {
    const { req, res, body } = exchange;
    switch (action.do) {
      case "pass":
        return this.#passOn(exchange, body);
      case "refuse":
        return this.#refuse(res, armed);
      case "reset":
        return this.#reset(exchange, action.at);
      case "stall":
        if (action.acted) (await this.#forward(exchange, body)).resume();
        await once(res, "close");
        return;
      case "delay":
        await wait(action.ms);
        return this.#passOn(exchange, body);
      case "limit":
        return this.#passOn(exchange, Readable.from(slowed(body, action.bytesPerSecond)));
      case "corrupt":
        return this.#passOn(exchange, Readable.from(corrupted(body)));
      case "lose": {
        const { md5 } = await drained(body);
        return this.#answer(exchange, { status: 200, headers: { etag: `"${md5}"` } });
      }
      case "answer":
        if (action.acted) (await this.#forward(exchange, body)).resume();
        else await drained(body);
        return this.#answer(exchange, action, action.cors);
      case "change": {
        const answer = await this.#forward(exchange, body);
        const { "content-length": _, "transfer-encoding": __, ...headers } = answer.headers;
        const text = (await whole(answer)).toString();
        const changed = action.change({
          status: answer.statusCode ?? 0,
          body: text,
          headers: headers as Record<string, string>,
        });
        const kept = req.method === "HEAD" ? { "content-length": answer.headers["content-length"] } : {};
        res.writeHead(changed.status, { ...kept, ...changed.headers, connection: "close" }).end(changed.body);
        return;
      }
      default:
        return action satisfies never;
    }
  }

  async #passOn(exchange: Exchange, body: Readable): Promise<void> {
    const { res } = exchange;
    const answer = await this.#forward(exchange, body);
    res.writeHead(answer.statusCode ?? 0, { ...answer.headers, connection: "close" });
    await pipeline(answer, res);
  }

  async #refuse(res: ServerResponse, armed: Armed | undefined): Promise<void> {
    res.socket?.resetAndDestroy();
    // Others may have met it at the same time.
    if (!this.#server.listening) return;
    const { port } = this.#server.address() as AddressInfo;
    this.#server.close();
    await (armed?.fault.times === "always" ? armed.lifted : wait(OUTAGE_MS));
    await this.#listen(port);
  }

  async #reset(exchange: Exchange, at: Extract<Action, { do: "reset" }>["at"]): Promise<void> {
    const { req, res, body } = exchange;
    if (at === "middle") {
      const half = Math.ceil(Number(req.headers["content-length"] ?? 0) / 2);
      await this.#forward(exchange, Readable.from(brokenOff(body, half))).catch(() => {});
    } else if (at !== "before") {
      const answer = await this.#forward(exchange, body);
      const text = await whole(answer);
      if (at === "answer") {
        const length = { "content-length": String(text.length), connection: "close" };
        res.writeHead(answer.statusCode ?? 0, { ...answer.headers, ...length });
        await new Promise<void>((resolve) => {
          res.write(text.subarray(0, text.length / 2), () => resolve());
        });
      }
    }
    res.socket?.resetAndDestroy();
  }

  #answer({ req, res }: Exchange, { status, headers, body = "" }: Answer, cors = true): void {
    const { origin } = req.headers;
    const allowed =
      this.#line === "data" && cors && origin !== undefined
        ? { "access-control-allow-origin": origin, "access-control-expose-headers": "ETag" }
        : {};
    res.writeHead(status, { ...allowed, ...headers, connection: "close" }).end(body);
  }

  /** Settles with the head of the answer. */
  async #forward({ req, name }: Exchange, body: Readable): Promise<IncomingMessage> {
    const startedAt = Date.now();
    const { hostname, port } = this.#target;
    const { method, url: path } = req;
    const forwarded = httpRequest({
      hostname,
      port,
      method,
      path,
      agent: false,
      setHost: false,
      headers: { ...req.headers, connection: "close" },
    });
    const sent = pipeline(body, forwarded);
    const answered = once(forwarded, "response") as Promise<[IncomingMessage]>;
    // S3 may answer before it has read everything, and then takes the rest.
    const [answer] = await Promise.race([answered, sent.then(() => answered)]);
    sent.catch(() => {});
    const status = answer.statusCode ?? 0;
    const isOk = status >= 200 && status < 300;
    if (name) {
      const stored = isOk && (name.operation === "UploadPart" || name.operation === "PutObject");
      this.entries.push({ ...name, status, stored, startedAt, endedAt: Date.now() });
    }
    return answer;
  }
}

interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly body: Readable;
  readonly name: NamedRequest | undefined;
}
