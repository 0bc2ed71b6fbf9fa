import type { Life } from "./life.ts";

interface Request {
  readonly owner: Life;
  readonly clientId: string;
  readonly mode: "exclusive" | "shared";
  readonly grant: () => void;
}

/** Web Locks of one origin. */
export class LockManager {
  readonly #held = new Map<string, Request[]>();
  readonly #waiting = new Map<string, Request[]>();

  /** As `navigator.locks.request`; the lock of a life that ends is given back. */
  hold(
    owner: Life,
    name: string,
    {
      clientId,
      mode,
      signal,
    }: { readonly clientId: string; readonly mode: "exclusive" | "shared"; readonly signal?: AbortSignal },
    work: () => Promise<void> | void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const request: Request = {
        owner,
        clientId,
        mode,
        grant: () => {
          signal?.removeEventListener("abort", giveUp);
          const end = () => this.#release(name, request);
          owner.soon(() =>
            Promise.resolve()
              .then(work)
              .finally(end)
              .then(() => owner.isAlive && resolve(), reject),
          );
        },
      };
      const giveUp = () => {
        this.#remove(this.#waiting, name, request);
        reject(new DOMException("aborted", "AbortError"));
      };
      if (signal?.aborted) return giveUp();
      signal?.addEventListener("abort", giveUp, { once: true });
      owner.onEnd(() => {
        this.#remove(this.#waiting, name, request);
        this.#release(name, request);
      });
      this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), request]);
      this.#grantNext(name);
    });
  }

  holders(name: string): Life[] {
    return (this.#held.get(name) ?? []).map(({ owner }) => owner);
  }

  clientIds(name: string): string[] {
    return (this.#held.get(name) ?? []).map(({ clientId }) => clientId);
  }

  #release(name: string, request: Request): void {
    if (this.#remove(this.#held, name, request)) this.#grantNext(name);
  }

  #grantNext(name: string): void {
    for (;;) {
      const held = this.#held.get(name) ?? [];
      const [next, ...rest] = this.#waiting.get(name) ?? [];
      if (!next) return;
      const isFree = held.length === 0;
      if (!isFree && !(next.mode === "shared" && held.every(({ mode }) => mode === "shared"))) return;
      this.#waiting.set(name, rest);
      this.#held.set(name, [...held, next]);
      next.grant();
    }
  }

  #remove(from: Map<string, Request[]>, name: string, request: Request): boolean {
    const requests = from.get(name) ?? [];
    const left = requests.filter((each) => each !== request);
    from.set(name, left);
    return left.length < requests.length;
  }
}
