import { type Checksum, isSigned } from "../../src/core/checksum.ts";
import { UploadError } from "../../src/core/errors.ts";
import { classifyPut } from "../../src/core/outcome.ts";
import { partByteRange } from "../../src/core/part-plan.ts";
import { type PartReceipt, StorageFault, type UploadStorage } from "../../src/core/storage.ts";
import { putTimeoutMs, type Uploading } from "../model/index.ts";
import { type PutAnswer, putPart, type Transport } from "../platform/index.ts";
import { type ChecksumAlgorithm, hexOf } from "./checksums.ts";
import { type Presigned, Signatures } from "./signatures.ts";

/** The outcome of one try to send a part. */
export type Delivery =
  | { readonly type: "stored"; readonly receipt: PartReceipt }
  /** S3 took it, but its ETag is not the bytes' MD5: SSE-KMS, or something on the way has changed the answer. */
  | { readonly type: "storedOddly"; readonly receipt: PartReceipt }
  /** S3 refuses this signature. */
  | { readonly type: "refused"; readonly detail: string }
  /** `mayBeStored`: S3 may have the part all the same. */
  | { readonly type: "fault"; readonly fault: StorageFault; readonly mayBeStored: boolean }
  /** The signal has broken it off, somewhere on its way. */
  | { readonly type: "brokenOff" }
  /** Nothing was sent: the upload is not being sent any more. */
  | { readonly type: "unclaimed" };

export interface PartDeliveryOptions {
  readonly record: Uploading;
  readonly bytes: Blob;
  readonly algorithm: ChecksumAlgorithm;
  readonly storage: UploadStorage;
  readonly presigned?: Presigned | undefined;
  /** Notes the part as on its way; false if the upload is not being sent any more. */
  readonly claim: (partNumber: number) => Promise<boolean>;
  readonly stallTimeoutMs: number;
  readonly transport: Transport;
  readonly signal: AbortSignal;
}

/** Hashes, signs and sends the parts of one upload, one try at a time. */
export class PartDelivery {
  readonly #options: PartDeliveryOptions;
  readonly #signatures: Signatures;
  /** Digests of parts that S3 found damaged. */
  readonly #damaged = new Map<number, Checksum>();

  constructor(options: PartDeliveryOptions) {
    this.#options = options;
    const { storage, record, transport, presigned } = options;
    this.#signatures = new Signatures(storage, record.remote.token, transport.clock, presigned);
  }

  /**
   * @param partSpeed bytes per second of parts before it, or null
   * @param upcoming the parts after it
   * @throws {StorageFault} of the app's server
   * @throws {UploadError} `FILE_LOST`, `FILE_CHANGED`, `CHECKSUM_UNAVAILABLE`
   */
  async send(partNumber: number, partSpeed: number | null, upcoming: () => number[]): Promise<Delivery> {
    const { algorithm, claim, signal, stallTimeoutMs, transport } = this.#options;
    const { kind } = algorithm;
    const body = this.#bytesOf(partNumber);
    const checksum = await this.digestOf(partNumber);
    if (signal.aborted) return { type: "unclaimed" };
    const signed = await (isSigned(kind)
      ? this.#signatures.get({ partNumber, checksum }, () => [])
      : this.#signatures.get({ partNumber, checksum: null }, upcoming));
    if (signal.aborted || !(await claim(partNumber))) return { type: "unclaimed" };

    const headers: Record<string, string> = kind === "md5" && checksum ? { "content-md5": checksum } : {};
    const timeoutMs = putTimeoutMs(body.size, stallTimeoutMs, partSpeed);
    try {
      const answer = await putPart(transport, signed, body, { headers, signal, timeoutMs });
      return this.#judge(answer, partNumber, checksum);
    } catch (error) {
      if (signal.aborted) return { type: "brokenOff" };
      const cause = await readError(body);
      if (cause) throw this.#fileError(cause);
      if (!(error instanceof StorageFault)) throw error;
      // An expired signature looks like a network fault where the engine's 403 has no CORS headers.
      this.#signatures.drop(partNumber);
      return { type: "fault", fault: error, mayBeStored: true };
    }
  }

  /**
   * The digest of the bytes that the device holds; null for the kind `none`.
   *
   * @throws {UploadError} `FILE_LOST`, `FILE_CHANGED`, `CHECKSUM_UNAVAILABLE`
   */
  async digestOf(partNumber: number): Promise<Checksum | null> {
    const { digest } = this.#options.algorithm;
    if (!digest) return null;
    const checksum = await digest(this.#bytesOf(partNumber)).catch((cause: unknown) => {
      throw cause instanceof UploadError ? cause : this.#fileError(cause);
    });
    // S3 got other bytes than were hashed. If they hash to something else now, it was the file that changed in between.
    const before = this.#damaged.get(partNumber);
    if (before !== undefined && before !== checksum) throw new UploadError("FILE_CHANGED");
    return checksum;
  }

  /** S3 has it; its signature is of no more use. */
  arrived(partNumber: number): void {
    this.#signatures.drop(partNumber);
    this.#damaged.delete(partNumber);
  }

  #judge(answer: PutAnswer, partNumber: number, checksum: Checksum | null): Delivery {
    const outcome = classifyPut(answer);
    if (outcome.kind === "fault" || outcome.kind === "notStored") {
      const { fault, kind } = outcome;
      // S3 may not have liked it; but one that is merely busy has not looked at it.
      if (kind === "fault") this.#signatures.drop(partNumber);
      if (fault.code === "BAD_DIGEST" && checksum) this.#damaged.set(partNumber, checksum);
      return { type: "fault", fault, mayBeStored: kind === "fault" };
    }
    if (outcome.kind === "signature") {
      this.#signatures.drop(partNumber);
      return { type: "refused", detail: `${answer.status} ${answer.s3Code ?? ""}`.trim() };
    }
    const { etag } = answer;
    if (etag === null) return { type: "fault", fault: etagHidden(), mayBeStored: true };
    const isOdd = this.#options.algorithm.kind === "md5" && checksum !== null && etag !== hexOf(checksum);
    return { type: isOdd ? "storedOddly" : "stored", receipt: { partNumber, etag, checksum } };
  }

  #bytesOf(partNumber: number): Blob {
    const { record, bytes } = this.#options;
    const { start, end } = partByteRange(record.plan, partNumber);
    // To make a Blob, Chromium's worker waits for the browser process: milliseconds, for each of thousands of small files.
    if (end - start === bytes.size && bytes.type === "") return bytes;
    // Untyped: with a type the browser sends a Content-Type that was not signed, which AWS and Ceph 20 refuse.
    return bytes.slice(start, end);
  }

  /**
   * Browsers notice that a file on disk was written to, and refuse it from then on. Our own copy never changes; if it can't
   * be read, the browser has cleared it away.
   */
  #fileError(cause: unknown): UploadError {
    const isChanged =
      this.#options.record.durability !== "stored" &&
      cause instanceof DOMException &&
      cause.name === "NotReadableError";
    return new UploadError(isChanged ? "FILE_CHANGED" : "FILE_LOST", undefined, { cause });
  }
}

function etagHidden(): StorageFault {
  console.warn("backhaul: a PUT was answered without an ETag. Do the bucket's CORS rules expose it?");
  return new StorageFault("transient", "STORAGE_RESPONSE_INVALID", { detail: "no ETag" });
}

/** Whether a failed `fetch` was the file's fault: browsers report an unreadable body like a broken network. */
async function readError(body: Blob): Promise<unknown> {
  try {
    await body.slice(0, 1).arrayBuffer();
    return undefined;
  } catch (error) {
    return error;
  }
}
