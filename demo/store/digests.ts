import { createHash, type Hash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { Payload } from "./authenticate.ts";
import {
  type AnnouncedChecksum,
  announcedChecksum,
  type Checksum,
  type ChecksumAlgorithm,
  type ChecksumHasher,
  checksumHasher,
  checksumHeader,
  isChecksum,
} from "./checksums.ts";
import { S3Error } from "./errors.ts";

/** The size and digests of a body that was read. */
export interface Digests {
  /** Hex. */
  readonly md5: string;
  /** The one that was announced or asked for. */
  readonly checksum: Checksum | undefined;
}

/** Hashes a body as it streams by, and compares with what the client announced in headers and trailers. */
export class BodyDigests {
  readonly #headers: IncomingHttpHeaders;
  readonly #payload: Payload;
  readonly #announced: AnnouncedChecksum | undefined;
  readonly #md5 = createHash("md5");
  readonly #sha256: Hash | undefined;
  readonly #checksum: ChecksumHasher | undefined;

  private constructor(
    headers: IncomingHttpHeaders,
    payload: Payload,
    announced: AnnouncedChecksum | undefined,
    checksum: ChecksumHasher | undefined,
  ) {
    this.#headers = headers;
    this.#payload = payload;
    this.#announced = announced;
    this.#checksum = checksum;
    if (payload.kind === "sha256") this.#sha256 = createHash("sha256");
  }

  /** @param algorithm is calculated even if the client announces none */
  static async of(
    headers: IncomingHttpHeaders,
    payload: Payload,
    algorithm?: ChecksumAlgorithm,
  ): Promise<BodyDigests> {
    const md5 = headers["content-md5"];
    if (md5 !== undefined && !isMd5(String(md5))) throw new S3Error("InvalidDigest");
    const announced = announcedChecksum(headers);
    const calculated = announced?.algorithm ?? algorithm;
    const checksum = calculated === undefined ? undefined : await checksumHasher(calculated);
    return new BodyDigests(headers, payload, announced, checksum);
  }

  update(chunk: Buffer): void {
    this.#md5.update(chunk);
    this.#sha256?.update(chunk);
    this.#checksum?.update(chunk);
  }

  /** Once every announced digest has been found right. */
  finish(trailers: ReadonlyMap<string, string>): Digests {
    const md5 = this.#md5.digest();
    const sha256 = this.#sha256?.digest("hex");
    if (this.#payload.kind === "sha256" && sha256 !== this.#payload.hex) {
      throw new S3Error("XAmzContentSHA256Mismatch", undefined, {
        ClientComputedContentSHA256: this.#payload.hex,
        S3ComputedContentSHA256: sha256 ?? "",
      });
    }
    const expectedMd5 = this.#headers["content-md5"];
    if (typeof expectedMd5 === "string" && expectedMd5 !== md5.toString("base64")) {
      throw new S3Error("BadDigest", undefined, {
        ExpectedDigest: expectedMd5,
        CalculatedDigest: md5.toString("base64"),
      });
    }
    const checksum = this.#checksum?.finish();
    if (this.#announced !== undefined && expectedValue(this.#announced, trailers) !== checksum?.value) {
      throw new S3Error(
        "BadDigest",
        `The ${this.#announced.algorithm} you specified did not match the calculated checksum.`,
      );
    }
    return { md5: md5.toString("hex"), checksum };
  }
}

function expectedValue(
  { algorithm, value }: AnnouncedChecksum,
  trailers: ReadonlyMap<string, string>,
): string {
  if (value !== null) return value;
  const name = checksumHeader(algorithm);
  const trailer = trailers.get(name);
  if (trailer === undefined) throw new S3Error("MalformedTrailerError");
  if (!isChecksum(algorithm, trailer))
    throw new S3Error("InvalidRequest", `Value for ${name} trailing header is invalid.`);
  return trailer;
}

function isMd5(value: string): boolean {
  return Buffer.from(value, "base64").length === 16 && value.length === 24;
}
