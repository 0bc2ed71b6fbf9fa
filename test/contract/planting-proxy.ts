import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { listen } from "../server/listen.ts";

export interface ProxiedAnswer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

export interface ProxiedRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage["headers"];
}

/** What is wrong with the store: either end of an exchange may be changed, or the whole of it answered. */
export interface Plant {
  readonly instead?: (request: ProxiedRequest, body: Buffer) => ProxiedAnswer | undefined;
  readonly before?: (request: ProxiedRequest) => void;
  readonly after?: (request: ProxiedRequest, answer: ProxiedAnswer) => void;
}

/** S3's error, in XML. */
export function s3Error(status: number, code: string, headers: Record<string, string> = {}): ProxiedAnswer {
  const body = Buffer.from(`<Error><Code>${code}</Code><Message>planted</Message></Error>`);
  return { status, headers: { "content-type": "application/xml", ...headers }, body };
}

/** A store with a fault, in front of one without. */
export function startPlantingProxy(target: string, plant: Plant) {
  const { hostname, port } = new URL(target);
  return listen((req, res) => void pass(req, res).catch(() => res.destroy()));

  async function pass(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = await bytesOf(req);
    const { method = "GET", headers } = req;
    const request = { method, url: new URL(req.url ?? "/", target), headers };
    let answer = plant.instead?.(request, body);
    if (answer === undefined) {
      plant.before?.(request);
      answer = await new Promise<ProxiedAnswer>((resolve, reject) => {
        const options = { hostname, port, method, path: req.url, headers, agent: false };
        httpRequest(options, (incoming) => {
          bytesOf(incoming).then(
            (bytes) => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: bytes }),
            reject,
          );
        })
          .on("error", reject)
          .end(body);
      });
      plant.after?.(request, answer);
    }
    res.writeHead(answer.status, answer.headers as Record<string, string>).end(answer.body);
  }
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
