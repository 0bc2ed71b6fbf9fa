import { once } from "node:events";
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from "node:net";

/** The most that may go at once after a pause. */
const BURST_MS = 20;

/** A network link of limited speed that can be cut: TCP ports in front of servers on this machine. */
export class Link {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #bytesPerSecond: number;
  #isCut = false;
  #bytesSent = 0;
  /** When the link has carried all that was given to it so far. */
  #freeAt = 0;

  /** @param bytesPerSecond from clients to servers, over all connections */
  constructor(bytesPerSecond = Number.POSITIVE_INFINITY) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Bytes that went from clients to servers. */
  get bytesSent(): number {
    return this.#bytesSent;
  }

  setSpeed(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
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
    far.pipe(near);
    near.on("data", (chunk: Buffer) => {
      this.#bytesSent += chunk.length;
      const isFull = !far.write(chunk);
      const waitMs = this.#take(chunk.length);
      if (!isFull && waitMs <= 0) return;
      near.pause();
      const drained = isFull ? once(far, "drain").catch(() => {}) : Promise.resolve();
      setTimeout(() => void drained.then(() => near.resume()), Math.max(waitMs, 0));
    });
    near.on("end", () => far.end());
    near.resume();
  }

  /** Milliseconds until `bytes` more have passed. */
  #take(bytes: number): number {
    const now = performance.now();
    this.#freeAt = Math.max(this.#freeAt, now - BURST_MS) + (bytes / this.#bytesPerSecond) * 1_000;
    return this.#freeAt - now;
  }
}
