import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** Stands between a client and S3, and passes bytes on as they come. */
export interface TcpProxy {
  readonly url: string;
  /** Connections that are open. */
  readonly open: number;
  /** Bytes that a connection passes on to S3 before it stands still. Holds for those that are opened from now on. */
  limit: number;
  /** Lets those that stand still go on, without a limit. */
  release(): void;
  close(): Promise<void>;
}

export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port: targetPort } = new URL(target);
  const sockets = new Set<Socket>();
  let releases: (() => void)[] = [];
  const server = createServer((client) => {
    const upstream = connect(Number(targetPort), hostname);
    let left = proxy.limit;
    sockets.add(client);
    client.on("close", () => {
      sockets.delete(client);
      upstream.destroy();
    });
    upstream.on("close", () => client.destroy());
    for (const socket of [client, upstream]) socket.on("error", () => {});
    upstream.pipe(client);
    client.on("data", (chunk) => {
      left -= chunk.length;
      const hasRoom = upstream.write(chunk);
      if (left <= 0) {
        client.pause();
        releases.push(() => {
          left = Number.POSITIVE_INFINITY;
          client.resume();
        });
      } else if (!hasRoom) {
        client.pause();
        upstream.once("drain", () => client.resume());
      }
    });
    client.on("end", () => upstream.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const proxy: TcpProxy = {
    url: `http://127.0.0.1:${port}`,
    get open() {
      return sockets.size;
    },
    limit: Number.POSITIVE_INFINITY,
    release() {
      proxy.limit = Number.POSITIVE_INFINITY;
      for (const release of releases) release();
      releases = [];
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return proxy;
}
