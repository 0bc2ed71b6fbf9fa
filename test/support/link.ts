import { once } from "node:events";
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from "node:net";

/** The most that may go at once after a pause. */
const BURST_MS = 20;

export interface LinkOptions {
  /** From clients to servers, over all connections. @default unlimited */
  readonly bytesPerSecond?: number;
  /** The same, for each connection. @default unlimited */
  readonly connectionBytesPerSecond?: number;
  /** The delay of every byte, in each direction, in milliseconds: half a round trip. @default 0 */
  readonly latencyMs?: number;
}

/** A network link of limited speed that can be cut: TCP ports in front of servers on this machine. */
export class Link {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #all: Meter;
  readonly #connectionBytesPerSecond: number;
  readonly #latencyMs: number;
  #isCut = false;
  #bytesSent = 0;

  constructor({ bytesPerSecond, connectionBytesPerSecond, latencyMs = 0 }: LinkOptions = {}) {
    this.#all = new Meter(bytesPerSecond ?? Number.POSITIVE_INFINITY);
    this.#connectionBytesPerSecond = connectionBytesPerSecond ?? Number.POSITIVE_INFINITY;
    this.#latencyMs = latencyMs;
  }

  /** Bytes that went from clients to servers. */
  get bytesSent(): number {
    return this.#bytesSent;
  }

  setSpeed(bytesPerSecond: number): void {
    this.#all.bytesPerSecond = bytesPerSecond;
  }

  /** Breaks all connections and refuses new ones until `mend`. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  /** The way to a port of this machine over the link, as `http://localhost:PORT`. */
  async to(port: number): Promise<string> {
    // Small writes must not wait for the acknowledgement of the ones before: they would take 40 ms each.
    const server = createServer({ pauseOnConnect: true, noDelay: true }, (near) => this.#connect(near, port));
    this.#servers.push(server);
    server.listen(0, "localhost");
    await once(server, "listening");
    return `http://localhost:${(server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = this.#servers.map((server) => once(server.close(), "close"));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  #connect(near: Socket, port: number): void {
    if (this.#isCut) {
      near.resetAndDestroy();
      return;
    }
    const far = createConnection({ host: "localhost", port, noDelay: true });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    if (this.#latencyMs === 0) far.pipe(near);
    else {
      far.on("data", (chunk: Buffer) => this.#later(() => near.write(chunk)));
      far.on("end", () => this.#later(() => near.end()));
    }
    const own = new Meter(this.#connectionBytesPerSecond);
    near.on("data", (chunk: Buffer) => {
      this.#bytesSent += chunk.length;
      this.#later(() => far.write(chunk));
      const waitMs = Math.max(this.#all.take(chunk.length), own.take(chunk.length), 0);
      const isFull = far.writableNeedDrain;
      if (!isFull && waitMs === 0) return;
      near.pause();
      const drained = isFull ? once(far, "drain").catch(() => {}) : Promise.resolve();
      setTimeout(() => void drained.then(() => near.resume()), waitMs);
    });
    near.on("end", () => this.#later(() => far.end()));
    near.resume();
  }

  #later(act: () => void): void {
    if (this.#latencyMs === 0) act();
    else setTimeout(act, this.#latencyMs);
  }
}

class Meter {
  bytesPerSecond: number;
  /** When it has carried all that was given to it so far. */
  #freeAt = 0;

  constructor(bytesPerSecond: number) {
    this.bytesPerSecond = bytesPerSecond;
  }

  /** Milliseconds until `bytes` more have passed. */
  take(bytes: number): number {
    const now = performance.now();
    this.#freeAt = Math.max(this.#freeAt, now - BURST_MS) + (bytes / this.bytesPerSecond) * 1_000;
    return this.#freeAt - now;
  }
}
