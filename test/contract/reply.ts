import { request as httpRequest, type IncomingHttpHeaders } from "node:http";

/** An answer off the wire. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface RawRequest {
  readonly method: string;
  readonly headers?: Record<string, string | number>;
  readonly body?: string | Buffer;
}

/** By node:http, because fetch sets and forbids headers of its own. */
export function send(url: string, { method, headers = {}, body }: RawRequest): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ ...rawTarget(url), method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString(),
        }),
      );
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Announces `length` bytes, sends `sent`, and cuts the connection once those have left. */
export function sendHalf(
  url: string,
  headers: Record<string, string | number>,
  sent: Buffer,
  length: number,
): Promise<void> {
  return new Promise((resolve) => {
    const request = httpRequest({
      ...rawTarget(url),
      method: "PUT",
      headers: { ...headers, "content-length": length },
      agent: false,
    });
    request.on("error", () => {});
    request.on("close", resolve);
    request.write(sent, () => request.destroy());
  });
}

/** `404 NoSuchKey`; the status alone for a success or an error without a body. */
export function verdict({ status, text }: Pick<Reply, "status" | "text">): string {
  const code = /<Error>.*?<Code>(.*?)<\/Code>/s.exec(text)?.[1];
  return code === undefined ? String(status) : `${status} ${code}`;
}

/** The same of a call of the SDK. */
export async function verdictOf(call: Promise<{ $metadata: { httpStatusCode?: number } }>): Promise<string> {
  try {
    return String((await call).$metadata.httpStatusCode);
  } catch (error) {
    const { name, $metadata } = error as { name: string; $metadata?: { httpStatusCode?: number } };
    if ($metadata === undefined) throw error;
    return `${$metadata.httpStatusCode} ${name}`;
  }
}

/** The path exactly as signed: `new URL` would fold the dots that object keys may hold. */
function rawTarget(url: string): { hostname: string; port: string; path: string } {
  const { hostname, port, origin } = new URL(url);
  return { hostname, port, path: url.slice(origin.length) };
}
