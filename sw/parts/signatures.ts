import type { Checksum } from "../../src/core/checksum.ts";
import {
  MAX_SIGNED_PARTS,
  type PartToSign,
  type SignedPart,
  StorageFault,
  type UploadStorage,
} from "../../src/core/storage.ts";
import type { Clock } from "../platform/index.ts";

/** A PUT must have arrived at S3 before its signature expires, so an old one isn't started with. */
const SAFETY_MS = 60_000;

/** Parts that were presigned when their upload began. */
export interface Presigned {
  readonly parts: readonly SignedPart[];
  /** When the request that they are the answer to went out, by `clock.now()`. */
  readonly askedAt: number;
}

interface Signature {
  readonly part: SignedPart;
  readonly checksum: Checksum | null;
  readonly staleAt: number;
}

/** Presigned requests of one upload, asked for in batches just before they are used; for one run of its sending. */
export class Signatures {
  readonly #storage: Pick<UploadStorage, "sign">;
  readonly #clock: Pick<Clock, "now">;
  readonly #token: string;
  readonly #signed = new Map<number, Signature>();
  /** Parts that wait for the answer that is under way, to go together into the next request. */
  readonly #wanted = new Map<number, Checksum | null>();
  #asking: Promise<void> | undefined;
  /** Why the server has signed nothing. The run that asks is over with that, and its other parts need not ask again. */
  #fault: { readonly error: unknown } | undefined;

  constructor(
    storage: Pick<UploadStorage, "sign">,
    token: string,
    clock: Pick<Clock, "now">,
    presigned?: Presigned | undefined,
  ) {
    this.#storage = storage;
    this.#token = token;
    this.#clock = clock;
    for (const part of presigned?.parts ?? []) this.#keep(part, null, presigned?.askedAt ?? 0);
  }

  /**
   * @param upcoming Parts that will be wanted soon, to go into the same batch.
   * @throws {StorageFault}
   */
  async get(wanted: PartToSign, upcoming: () => readonly number[]): Promise<SignedPart> {
    const { partNumber, checksum } = wanted;
    for (;;) {
      const found = this.#fresh(partNumber, checksum);
      if (found) return found;
      this.#wanted.set(partNumber, checksum);
      if (this.#fault) throw this.#fault.error;
      // Parts that start together share one request, if it was asked for all of them; else the next one is theirs.
      if (this.#asking) {
        await this.#asking;
        continue;
      }
      for (const next of upcoming()) if (!this.#fresh(next, null)) this.#wanted.set(next, null);
      const batch = [...this.#wanted].slice(0, MAX_SIGNED_PARTS);
      this.#wanted.clear();
      this.#asking = this.#ask(batch.map(([number, digest]) => ({ partNumber: number, checksum: digest })));
      try {
        await this.#asking;
      } catch (error) {
        this.#fault = { error };
        throw error;
      } finally {
        this.#asking = undefined;
      }
      if (!this.#fresh(partNumber, checksum))
        throw new StorageFault("transient", "SERVER_RESPONSE_INVALID", {
          detail: `no signature for part ${partNumber}`,
        });
    }
  }

  /** Forgets a signature: it may be why S3 refused, or why the browser says nothing but "failed to fetch". */
  drop(partNumber: number): void {
    this.#signed.delete(partNumber);
  }

  #fresh(partNumber: number, checksum: Checksum | null): SignedPart | undefined {
    const entry = this.#signed.get(partNumber);
    if (entry && entry.staleAt > this.#clock.now() && entry.checksum === checksum) return entry.part;
    this.#signed.delete(partNumber);
    return undefined;
  }

  async #ask(parts: readonly PartToSign[]): Promise<void> {
    const askedAt = this.#clock.now();
    const checksums = new Map(parts.map(({ partNumber, checksum }) => [partNumber, checksum]));
    for (const part of await this.#storage.sign(this.#token, parts))
      this.#keep(part, checksums.get(part.partNumber) ?? null, askedAt);
  }

  #keep(part: SignedPart, checksum: Checksum | null, askedAt: number): void {
    const usableMs = Math.max(part.expiresInMs - SAFETY_MS, part.expiresInMs / 2);
    this.#signed.set(part.partNumber, { part, checksum, staleAt: askedAt + usableMs });
  }
}
