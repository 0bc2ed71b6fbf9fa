import type { Checksum, ChecksumKind } from "../../src/core/checksum.ts";
import type { PartReceipt, UploadStorage } from "../../src/core/storage.ts";
import { hexOf } from "./checksums.ts";
import { listParts } from "./list-parts.ts";

export interface VerifyOptions {
  readonly kind: ChecksumKind;
  readonly storage: Pick<UploadStorage, "uploadedParts">;
  readonly token: string;
  readonly signal: AbortSignal;
  /** The digest of the bytes that the device holds. */
  readonly digestOf: (partNumber: number) => Promise<Checksum | null>;
  readonly onEqual: (receipt: PartReceipt) => Promise<void>;
  readonly onDifferent: (partNumber: number) => Promise<void>;
}

/**
 * Compares what S3 holds of parts that nobody here has hashed: those that the browser's own transfers have sent, or a worker
 * that died before the answer. Stops early when the signal aborts.
 *
 * @param receipts ascending by part number
 * @throws {StorageFault}
 * @throws {UploadError} as `digestOf`
 */
export async function verifyParts(receipts: readonly PartReceipt[], options: VerifyOptions): Promise<void> {
  const { kind, signal, digestOf, onEqual, onDifferent } = options;
  const held = await checksumsHeld(receipts, options);
  for (const receipt of receipts) {
    if (signal.aborted) return;
    const { partNumber } = receipt;
    const checksum = (await digestOf(partNumber)) ?? "";
    if (held.get(partNumber) === (kind === "md5" ? hexOf(checksum) : checksum))
      await onEqual({ ...receipt, checksum });
    else await onDifferent(partNumber);
  }
}

/** S3's digests of these parts: the ETag for MD5, else the checksum that S3 keeps. */
async function checksumsHeld(
  receipts: readonly PartReceipt[],
  { kind, storage, token }: VerifyOptions,
): Promise<ReadonlyMap<number, string>> {
  if (kind === "md5") return new Map(receipts.map(({ partNumber, etag }) => [partNumber, etag]));
  const held = new Map<number, string>();
  const partNumbers = receipts.map(({ partNumber }) => partNumber);
  for await (const page of listParts(storage, token, partNumbers))
    for (const { partNumber, checksum } of page) if (checksum) held.set(partNumber, checksum);
  return held;
}
