import { createHash, type Hash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { crc32 } from "node:zlib";
import type { Payload } from "./authenticate.ts";
import { S3Error } from "./errors.ts";

/** Hashes a body as it streams by, and compares with what the client announced in headers and trailers. */
export class BodyDigests {
  readonly #headers: IncomingHttpHeaders;
  readonly #payload: Payload;
  readonly #md5 = createHash("md5");
  readonly #sha256: Hash | undefined;
  #crc32: number | undefined;

  constructor(headers: IncomingHttpHeaders, payload: Payload) {
    this.#headers = headers;
    this.#payload = payload;
    const announced = (name: string) =>
      headers[name] !== undefined || String(headers["x-amz-trailer"]).includes(name);
    if (payload.kind === "sha256" || announced("x-amz-checksum-sha256")) this.#sha256 = createHash("sha256");
    if (announced("x-amz-checksum-crc32")) this.#crc32 = 0;
    checkFormat(headers);
  }

  update(chunk: Buffer): void {
    this.#md5.update(chunk);
    this.#sha256?.update(chunk);
    if (this.#crc32 !== undefined) this.#crc32 = crc32(chunk, this.#crc32);
  }

  /** The body's MD5 in hex, once every announced digest has been found right. */
  finish(trailers: ReadonlyMap<string, string>): string {
    const md5 = this.#md5.digest();
    const sha256 = this.#sha256?.digest();
    if (this.#payload.kind === "sha256" && sha256?.toString("hex") !== this.#payload.hex) {
      throw new S3Error("XAmzContentSHA256Mismatch", undefined, {
        ClientComputedContentSHA256: this.#payload.hex,
        S3ComputedContentSHA256: sha256?.toString("hex") ?? "",
      });
    }
    const expectedMd5 = this.#headers["content-md5"];
    if (typeof expectedMd5 === "string" && expectedMd5 !== md5.toString("base64")) {
      throw new S3Error("BadDigest", undefined, {
        ExpectedDigest: expectedMd5,
        CalculatedDigest: md5.toString("base64"),
      });
    }
    const calculated = { sha256: sha256?.toString("base64"), crc32: this.#crc32Base64() };
    for (const [kind, value] of Object.entries(calculated)) {
      const expected = this.#headers[`x-amz-checksum-${kind}`] ?? trailers.get(`x-amz-checksum-${kind}`);
      if (expected !== undefined && expected !== value) {
        throw new S3Error(
          "BadDigest",
          `The ${kind.toUpperCase()} you specified did not match the calculated checksum.`,
        );
      }
    }
    return md5.toString("hex");
  }

  #crc32Base64(): string | undefined {
    if (this.#crc32 === undefined) return undefined;
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(this.#crc32);
    return bytes.toString("base64");
  }
}

function checkFormat(headers: IncomingHttpHeaders): void {
  const md5 = headers["content-md5"];
  if (md5 !== undefined && !isBase64Of(md5, 16)) throw new S3Error("InvalidDigest");
  for (const [name, bytes] of [
    ["x-amz-checksum-crc32", 4],
    ["x-amz-checksum-sha256", 32],
  ] as const) {
    const value = headers[name];
    if (value !== undefined && !isBase64Of(value, bytes)) {
      throw new S3Error("InvalidRequest", `Value for ${name} header is invalid.`);
    }
  }
}

function isBase64Of(value: string | string[], bytes: number): boolean {
  return (
    typeof value === "string" &&
    Buffer.from(value, "base64").length === bytes &&
    value.length === Math.ceil(bytes / 3) * 4
  );
}
