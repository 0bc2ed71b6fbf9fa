import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { listen } from "./listen.ts";

export interface FakedAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The plan for one request: `answer` is sent, or, if "lost", the connection is cut. */
export interface Fault {
  /** "before": S3 does not see the request. "after": S3 carries it out, and its answer is thrown away. */
  readonly when: "before" | "after";
  readonly answer: FakedAnswer | "lost";
}

export interface S3Proxy {
  readonly url: string;
  /** The requests that went through, such as `POST /bucket/key?uploads`. */
  readonly requests: string[];
  /** Decides about each request; may take its time. */
  fault: (request: string) => Promise<Fault | null> | Fault | null;
  close(): Promise<void>;
}

/** Stands between a client and S3 and passes everything on as it is, `Host` included, except where `fault` says otherwise. */
export async function startProxy(target: string): Promise<S3Proxy> {
  const upstream = new URL(target);
  const server = await listen((req, res) => void relay(req, res).catch(() => res.destroy()));
  const proxy: S3Proxy = { url: server.url, requests: [], fault: () => null, close: server.close };
  return proxy;

  async function relay(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const name = `${req.method} ${req.url}`;
    proxy.requests.push(name);
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk);
    const fault = await proxy.fault(name);
    if (fault?.when === "before") return reply(res, fault.answer);
    const answer = await forward(req, Buffer.concat(chunks));
    if (fault?.when === "after") return reply(res, fault.answer);
    res.writeHead(answer.status, answer.headers).end(answer.body);
  }

  function forward(req: IncomingMessage, body: Buffer) {
    return new Promise<{ status: number; headers: IncomingMessage["headers"]; body: Buffer }>(
      (resolve, reject) => {
        const { hostname, port } = upstream;
        const { method, url: path, headers } = req;
        const forwarded = httpRequest(
          { hostname, port, method, path, headers, agent: false },
          async (answer) => {
            const chunks: Buffer[] = [];
            for await (const chunk of answer) chunks.push(chunk);
            resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) });
          },
        );
        forwarded.on("error", reject).end(body);
      },
    );
  }
}

function reply(res: ServerResponse, answer: FakedAnswer | "lost"): void {
  if (answer === "lost") res.destroy();
  else res.writeHead(answer.status, answer.headers).end(answer.body);
}
