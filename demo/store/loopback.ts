import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

const IPV4 = "127.0.0.1";
const IPV6 = "::1";
/** A port that is free on one of the two may be taken on the other. */
const ATTEMPTS = 20;

export interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Listens on `host`, or on every address that `localhost` may mean: a browser tries ::1, Node 127.0.0.1, and neither
 * should reach the network. A machine without IPv6 has the one address only.
 */
export async function listenOnLoopback(
  create: () => Server,
  port: number,
  host?: string,
): Promise<Listening> {
  for (let attempt = 1; ; attempt++) {
    const servers: Server[] = [];
    try {
      const first = await listen(create(), port, host ?? IPV4);
      servers.push(first);
      const chosen = (first.address() as AddressInfo).port;
      if (host === undefined) servers.push(...(await listenIfPresent(create(), chosen)));
      return { port: chosen, close: () => closeAll(servers) };
    } catch (error) {
      await closeAll(servers);
      if (port !== 0 || attempt === ATTEMPTS || !hasCode(error, "EADDRINUSE")) throw error;
    }
  }
}

async function listen(server: Server, port: number, host: string): Promise<Server> {
  server.listen(port, host);
  await once(server, "listening");
  return server;
}

async function listenIfPresent(server: Server, port: number): Promise<Server[]> {
  try {
    return [await listen(server, port, IPV6)];
  } catch (error) {
    if (hasCode(error, "EADDRNOTAVAIL", "EAFNOSUPPORT")) return [];
    throw error;
  }
}

async function closeAll(servers: readonly Server[]): Promise<void> {
  await Promise.all(
    servers.map((server) => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      return closed;
    }),
  );
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}
