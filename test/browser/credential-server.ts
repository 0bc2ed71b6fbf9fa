import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TemporaryCredentials } from "../../sw/s3-storage.ts";

/** The part of an app's server that hands out credentials, on an origin of its own. */
export interface CredentialServer {
  readonly url: string;
  /** All that it has handed out. */
  readonly given: readonly TemporaryCredentials[];
  close(): Promise<void>;
}

/** @param next the answer to the nth request (from 1), or an HTTP status */
export async function startCredentialServer(
  next: (nth: number, authorization: string | undefined) => Promise<TemporaryCredentials | number>,
): Promise<CredentialServer> {
  const given: TemporaryCredentials[] = [];
  let requests = 0;
  const server = createServer(async (request, response) => {
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-allow-headers", "*, authorization");
    if (request.method === "OPTIONS") return void response.end();
    requests += 1;
    const answer = await next(requests, request.headers.authorization);
    if (typeof answer === "number") return void response.writeHead(answer).end();
    given.push(answer);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(answer));
  });
  server.listen(0, "localhost");
  await once(server, "listening");
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    given,
    async close() {
      const closed = once(server.close(), "close");
      server.closeAllConnections();
      await closed;
    },
  };
}
