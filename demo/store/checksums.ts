import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { createCRC32, createCRC64 } from "hash-wasm";
import { S3Error } from "./errors.ts";
import type { Element } from "./xml.ts";

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html */
const ALGORITHMS = {
  CRC32: { bytes: 4, types: ["COMPOSITE", "FULL_OBJECT"], hasher: () => createCRC32() },
  CRC32C: { bytes: 4, types: ["COMPOSITE", "FULL_OBJECT"], hasher: () => createCRC32(0x82f63b78) },
  CRC64NVME: { bytes: 8, types: ["FULL_OBJECT"], hasher: () => createCRC64("9a6c9329ac4bc9b5") },
  SHA256: { bytes: 32, types: ["COMPOSITE"], hasher: async () => createHash("sha256") },
} as const;

export type ChecksumAlgorithm = keyof typeof ALGORITHMS;
export const CHECKSUM_ALGORITHMS = Object.keys(ALGORITHMS) as ChecksumAlgorithm[];

export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64; that of a COMPOSITE object has its number of parts at its end. */
  readonly value: string;
}

/** COMPOSITE: the digest of the parts' digests. */
export type ChecksumType = "COMPOSITE" | "FULL_OBJECT";

/** How an upload's parts and its object are hashed. */
export interface ChecksumPlan {
  readonly algorithm: ChecksumAlgorithm;
  readonly type: ChecksumType;
}

export interface ObjectChecksum extends Checksum {
  readonly type: ChecksumType;
}

/** A checksum as a request announces it; `value` is null where it comes in the trailer. */
export interface AnnouncedChecksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly value: string | null;
}

/** @throws {S3Error} for two of them, and for one that is not what it says */
export function announcedChecksum(headers: IncomingHttpHeaders): AnnouncedChecksum | undefined {
  const trailer = String(headers["x-amz-trailer"] ?? "").toLowerCase();
  const announced = CHECKSUM_ALGORITHMS.flatMap((algorithm): AnnouncedChecksum[] => {
    const name = checksumHeader(algorithm);
    const value = headers[name];
    return [
      ...(value === undefined ? [] : [{ algorithm, value: String(value) }]),
      ...(trailer === name ? [{ algorithm, value: null }] : []),
    ];
  });
  const [first, second] = announced;
  if (second !== undefined) {
    throw new S3Error(
      "InvalidRequest",
      "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    );
  }
  if (first !== undefined && first.value !== null && !isChecksum(first.algorithm, first.value)) {
    throw new S3Error("InvalidRequest", `Value for ${checksumHeader(first.algorithm)} header is invalid.`);
  }
  return first;
}

/** The checksums that a CreateMultipartUpload asks for. */
export function checksumPlan(headers: IncomingHttpHeaders): ChecksumPlan | undefined {
  const named = headers["x-amz-checksum-algorithm"];
  const wanted = headers["x-amz-checksum-type"];
  if (named === undefined) {
    if (wanted === undefined) return undefined;
    throw new S3Error(
      "InvalidRequest",
      "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
    );
  }
  const algorithm = CHECKSUM_ALGORITHMS.find((each) => each === String(named).toUpperCase());
  if (algorithm === undefined) {
    throw new S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.");
  }
  const { types } = ALGORITHMS[algorithm];
  const type = wanted === undefined ? types[0] : types.find((each) => each === String(wanted).toUpperCase());
  if (type === undefined) {
    throw new S3Error(
      "InvalidRequest",
      `The ${String(wanted).toUpperCase()} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
    );
  }
  return { algorithm, type };
}

export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

/** The headers that report a checksum. */
export function checksumHeaders(checksum: Checksum | ObjectChecksum | undefined): Record<string, string> {
  if (checksum === undefined) return {};
  return {
    [checksumHeader(checksum.algorithm)]: checksum.value,
    ...("type" in checksum && { "x-amz-checksum-type": checksum.type }),
  };
}

/** The XML elements that report a checksum. */
export function checksumElements(checksum: Checksum | ObjectChecksum | undefined): Element[] {
  if (checksum === undefined) return [];
  const type: Element[] = "type" in checksum ? [["ChecksumType", checksum.type]] : [];
  return [[`Checksum${checksum.algorithm}`, checksum.value], ...type];
}

/** Whether it is a digest of the algorithm's length, in base64. */
export function isChecksum(algorithm: ChecksumAlgorithm, value: string): boolean {
  const digest = Buffer.from(value, "base64");
  return digest.length === ALGORITHMS[algorithm].bytes && digest.toString("base64") === value;
}

/** Hashes bytes as they come. */
export interface ChecksumHasher {
  readonly algorithm: ChecksumAlgorithm;
  update(chunk: Uint8Array): void;
  /** The checksum of all bytes. No call may follow it. */
  finish(): Checksum;
}

export async function checksumHasher(algorithm: ChecksumAlgorithm): Promise<ChecksumHasher> {
  const hasher: Hasher = await ALGORITHMS[algorithm].hasher();
  return {
    algorithm,
    update: (chunk) => void hasher.update(chunk),
    finish: () => ({ algorithm, value: Buffer.from(hasher.digest("hex"), "hex").toString("base64") }),
  };
}

/** The methods that Node's hashes and those of hash-wasm share. */
interface Hasher {
  update(chunk: Uint8Array): unknown;
  digest(encoding: "hex"): string;
}
