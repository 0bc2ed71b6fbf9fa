import type { RetryPolicy } from "../../src/core/options.ts";
import { type StorageCall, StorageFault, type UploadStorage } from "../../src/core/storage.ts";
import { Breaker, isPassing } from "../model/index.ts";
import type { Platform } from "../platform/index.ts";

/** The ways out that all uploads share. While one is shut, a single request now and then finds out whether it opens. */
export class Gates {
  /** The app's server. */
  readonly server: Breaker;
  /** S3, as far as parts are sent to it. */
  readonly s3: Breaker;
  /** The user's sign-in. */
  readonly auth: Breaker;
  readonly #platform: Pick<Platform, "clock" | "random">;
  /** The fault that has shut the server's gate. */
  #serverFault: { readonly operation: StorageCall; readonly isNetwork: boolean } | undefined;

  constructor(platform: Pick<Platform, "clock" | "random">, policy: RetryPolicy) {
    this.#platform = platform;
    this.server = new Breaker(policy);
    this.s3 = new Breaker(policy);
    this.auth = new Breaker({ baseMs: FIRST_SIGN_IN_MS, maxMs: LAST_SIGN_IN_MS });
  }

  get #all(): readonly Breaker[] {
    return [this.server, this.s3, this.auth];
  }

  /** Milliseconds until an upload may be tried; 0 if now. */
  get waitMs(): number {
    const now = this.#platform.clock.elapsed();
    return Math.max(...this.#all.map((gate) => gate.waitMs(now)));
  }

  /** The same for an upload that needs no user any more, but its token. */
  get waitMsUnattended(): number {
    const now = this.#platform.clock.elapsed();
    return Math.max(this.server.waitMs(now), this.s3.waitMs(now));
  }

  /** Whether a gate is shut, so that uploads are tried one at a time. */
  get areShut(): boolean {
    return this.#all.some(({ isOpen }) => isOpen);
  }

  get isSignedOut(): boolean {
    return this.auth.isOpen;
  }

  /** Something has changed outside: one upload may find out at once. */
  probeNow(): void {
    const now = this.#platform.clock.elapsed();
    for (const gate of this.#all) if (gate.isOpen) gate.probeNow(now);
  }

  /** A worker that has just started doesn't know how things stand, so one upload finds out for all. */
  startShut(): void {
    this.#serverFault = undefined;
    this.server.probeNow(this.#platform.clock.elapsed());
  }

  failed(
    gate: Breaker,
    startedAt: number,
    fault: Partial<Pick<StorageFault, "kind" | "retryAfterMs">>,
  ): void {
    gate.failed(this.#platform.clock.elapsed(), startedAt, this.#platform.random(), fault);
  }

  /**
   * A storage whose calls tell the gates how they end.
   *
   * @param onOpened called when a gate that was shut has opened
   */
  guard(storage: UploadStorage, onOpened: () => void): UploadStorage {
    const watch = async <T>(operation: StorageCall, call: Promise<T>): Promise<T> => {
      const startedAt = this.#platform.clock.elapsed();
      const understood = () => {
        if (this.#succeeded(operation, startedAt, storage.isUnattended)) onOpened();
      };
      try {
        const answer = await call;
        understood();
        return answer;
      } catch (error) {
        if (error instanceof StorageFault) this.#heard(error, operation, startedAt, understood);
        throw error;
      }
    };
    const { beginMany } = storage;
    return {
      begin: (intent) => watch("begin", storage.begin(intent)),
      ...(beginMany && {
        beginMany: async (intents) => {
          let outcomes: Awaited<ReturnType<typeof beginMany>> = [];
          const all = beginMany.call(storage, intents).then((answer) => {
            outcomes = answer;
            const faults = answer.filter((outcome) => outcome instanceof StorageFault);
            // One that has begun shows that the way is open, whatever was wrong with the others.
            if (faults[0] && faults.length === answer.length) throw faults[0];
          });
          await watch("begin", all).catch((error: unknown) => {
            if (outcomes.length === 0) throw error;
          });
          return outcomes;
        },
      }),
      sign: (token, parts) => watch("sign", storage.sign(token, parts)),
      uploadedParts: (token, after) => watch("uploadedParts", storage.uploadedParts(token, after)),
      complete: (token, parts) => watch("complete", storage.complete(token, parts)),
      abort: (token) => watch("abort", storage.abort(token)),
    };
  }

  /** @param understood called if the server has understood the request, whatever it thinks of this upload */
  #heard(fault: StorageFault, operation: StorageCall, startedAt: number, understood: () => void): void {
    if (fault.kind === "unauthorized") this.failed(this.auth, startedAt, fault);
    else if (isPassing(fault)) {
      this.failed(this.server, startedAt, fault);
      this.#serverFault = { operation, isNetwork: fault.kind === "network" };
    } else understood();
  }

  /**
   * @param isUnattended whether it says nothing about the user's sign-in
   * @returns whether a gate that was shut has opened
   */
  #succeeded(operation: StorageCall, startedAt: number, isUnattended = false): boolean {
    if (isUnattended) this.auth.leave(startedAt);
    const hasSignedIn = !isUnattended && this.auth.succeeded();
    const { server } = this;
    const isTelling =
      this.#serverFault === undefined ||
      this.#serverFault.isNetwork ||
      this.#serverFault.operation === operation ||
      ASKS_S3.has(operation);
    const isServerBack = isTelling && server.succeeded();
    if (!isTelling) server.leave(startedAt);
    return hasSignedIn || isServerBack;
  }
}

/** The operations for which the server needs S3. That it can do others says nothing about these. */
const ASKS_S3: ReadonlySet<StorageCall> = new Set(["uploadedParts", "complete", "abort"]);

/** A user who has to sign in does so by a page, which tells; these are for apps whose pages don't. */
const FIRST_SIGN_IN_MS = 60_000;
const LAST_SIGN_IN_MS = 900_000;
