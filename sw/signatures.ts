import { MAX_SIGNED_PARTS, type SignedPart, StorageFault, type UploadStorage } from "../src/core/storage.ts";
import { now } from "./clock.ts";

/** A PUT must have arrived at S3 before its signature expires, so an old one isn't started with. */
const SAFETY_MS = 60_000;

/** Presigned requests of one upload, asked for in batches just before they are used. */
export class Signatures {
  readonly #storage: UploadStorage;
  readonly #token: string;
  readonly #signed = new Map<number, { readonly part: SignedPart; readonly staleAt: number }>();
  #asking: Promise<void> | undefined;

  constructor(storage: UploadStorage, token: string) {
    this.#storage = storage;
    this.#token = token;
  }

  /**
   * @param upcoming Parts that will be wanted soon, to go into the same batch.
   * @throws {StorageFault}
   */
  async get(partNumber: number, upcoming: () => readonly number[]): Promise<SignedPart> {
    for (;;) {
      const found = this.#fresh(partNumber);
      if (found) return found;
      // Parts that start together share one request, if it was asked for all of them; else the next one is theirs.
      if (this.#asking) {
        await this.#asking.catch(() => {});
        continue;
      }
      const wanted = [
        partNumber,
        ...upcoming().filter((other) => other !== partNumber && !this.#fresh(other)),
      ];
      this.#asking = this.#ask(wanted.slice(0, MAX_SIGNED_PARTS));
      try {
        await this.#asking;
      } finally {
        this.#asking = undefined;
      }
      if (!this.#fresh(partNumber))
        throw new StorageFault("busy", "SERVER_RESPONSE_INVALID", {
          detail: `no signature for part ${partNumber}`,
        });
    }
  }

  /** The signature may be why S3 refused; or why the browser says nothing but "failed to fetch". */
  drop(partNumber: number): void {
    this.#signed.delete(partNumber);
  }

  #fresh(partNumber: number): SignedPart | undefined {
    const entry = this.#signed.get(partNumber);
    if (entry && entry.staleAt > now()) return entry.part;
    this.#signed.delete(partNumber);
    return undefined;
  }

  async #ask(partNumbers: readonly number[]): Promise<void> {
    const askedAt = now();
    for (const part of await this.#storage.sign(
      this.#token,
      partNumbers.map((partNumber) => ({ partNumber, checksum: null })),
    )) {
      const usableMs = Math.max(part.expiresInMs - SAFETY_MS, part.expiresInMs / 2);
      this.#signed.set(part.partNumber, { part, staleAt: askedAt + usableMs });
    }
  }
}
