import * as v from "valibot";
import { CHECKSUM_KINDS } from "./checksum.ts";
import type { UploadErrorCode } from "./errors.ts";
import { looksLikeErrorCode } from "./errors.ts";
import { MAX_FILE_NAME_LENGTH } from "./file-name.ts";
import type { ListedParts } from "./listed-parts.ts";
import { MAX_MEDIA_TYPE_LENGTH, toMediaType } from "./media-type.ts";
import type { PartRange } from "./part-ranges.ts";
import type {
  BeginAnswer,
  BeginIntent,
  FaultKind,
  PartReceipt,
  PartToSign,
  SignedPart,
  StoredObject,
  UploadedPartsPage,
} from "./storage.ts";
import { MAX_SIGNED_PARTS } from "./storage.ts";

/**
 * The storage port over HTTP: `POST {endpoint}/{operation}` with a JSON body, answered 200 with JSON, or an error status
 * with an `ErrorAnswer`. Both ends check what they receive against these schemas.
 *
 * The operation `relay`, a `PUT` of bytes (`relayUrl`), is not part of the port.
 */
export const OPERATIONS = ["begin", "sign", "parts", "complete", "abort", "relay"] as const;
/** A call of the API between client and server, by the last segment of its path. */
export type Operation = (typeof OPERATIONS)[number];

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const partNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(10_000));
const token = v.pipe(v.string(), v.minLength(1), v.maxLength(8_192));
const etag = v.pipe(v.string(), v.regex(/^[\w+/=.-]{1,256}$/));
/** 4 to 32 bytes in base64. */
const checksum = v.optional(v.nullable(v.pipe(v.string(), v.regex(/^[A-Za-z\d+/]{6,43}={0,2}$/))), null);
const receipt = v.object({ partNumber, etag, checksum }) satisfies v.GenericSchema<unknown, PartReceipt>;
const text = (maxLength: number) => v.pipe(v.string(), v.maxLength(maxLength));

/** A file's name, and its type, as `begin` accepts them; by the same schemas the worker refuses what it would have to fail. */
export const fileName = text(MAX_FILE_NAME_LENGTH);
export const mediaType = v.pipe(
  text(MAX_MEDIA_TYPE_LENGTH),
  v.check((type) => toMediaType(type) !== null, 'expected a MIME type such as "image/png"'),
);

export const beginRequest = v.object({
  uploadId: v.pipe(v.string(), v.uuid()),
  key: text(4_096),
  size: count,
  type: mediaType,
  name: fileName,
  metadata: v.optional(v.record(text(128), text(2_048))),
  method: v.picklist(["single", "multipart"]),
  partSize: count,
  checksum: v.optional(v.picklist(CHECKSUM_KINDS), "md5"),
  triedForMs: v.nullable(count),
}) satisfies v.GenericSchema<unknown, BeginIntent>;

export const signRequest = v.object({
  token,
  parts: v.pipe(
    v.array(v.object({ partNumber, checksum }) satisfies v.GenericSchema<unknown, PartToSign>),
    v.minLength(1),
    v.maxLength(MAX_SIGNED_PARTS),
  ),
});

export const partsRequest = v.object({ token, after: v.pipe(count, v.maxValue(10_000)) });

const sha256 = v.pipe(v.string(), v.regex(/^[A-Za-z\d+/]{43}=$/));
const listedParts = v.object({
  count: partNumber,
  etags: sha256,
  checksums: v.nullable(sha256),
}) satisfies v.GenericSchema<unknown, ListedParts>;

const completeByList = v.object({
  token,
  parts: v.pipe(v.array(receipt), v.minLength(1), v.maxLength(10_000)),
});
const completeByDigests = v.object({ token, listed: listedParts });

/** The parts that were sent: by their list, or where that is long, by digests of it. */
export const completeRequest = v.lazy((body) =>
  typeof body === "object" && body !== null && "listed" in body ? completeByDigests : completeByList,
);

export const abortRequest = v.object({ token });

export const beginAnswer = v.object({ token, key: text(4_096) }) satisfies v.GenericSchema<
  unknown,
  BeginAnswer
>;

export const signAnswer = v.object({
  parts: v.array(
    v.object({
      partNumber,
      url: v.pipe(v.string(), v.url()),
      headers: v.record(v.string(), v.string()),
      expiresInMs: count,
    }) satisfies v.GenericSchema<unknown, SignedPart>,
  ),
});

export const partsAnswer = v.object({
  parts: v.array(v.object({ partNumber, etag, size: count, checksum })),
  next: v.nullable(count),
}) satisfies v.GenericSchema<unknown, UploadedPartsPage>;

export const completeAnswer = v.object({
  key: text(4_096),
  size: count,
  etag,
  location: text(8_192),
}) satisfies v.GenericSchema<unknown, StoredObject>;

export const abortAnswer = v.object({});

const partCount = v.pipe(v.string(), v.regex(/^\d{1,5}$/), v.transform(Number), partNumber);

/** The query of a `relayUrl`. */
export const relayQuery = v.pipe(
  v.object({ upload: v.pipe(v.string(), v.uuid()), first: partCount, count: partCount }),
  v.transform(({ upload, first, count }): PartRange => ({ uploadId: upload, first, count })),
);

/**
 * The parts of a run that are stored: all of them if the answer is 200. An error answer has them too (beside its `error`)
 * once the run had begun; without them, nothing was stored. Their checksums are what S3 says of the bytes that came to it,
 * to be compared with one's own; for `md5` there is none, but the ETag.
 */
export const relayAnswer = v.object({
  parts: v.array(receipt),
});
export type RelayAnswer = v.InferOutput<typeof relayAnswer>;

export const errorAnswer = v.object({
  error: v.object({
    kind: v.picklist([
      "network",
      "transient",
      "unauthorized",
      "gone",
      "partsMismatch",
      "permanent",
    ] satisfies FaultKind[]),
    code: v.custom<UploadErrorCode>(looksLikeErrorCode),
    /** For people who look at the traffic. */
    message: text(4_096),
    detail: text(4_096),
  }),
});
export type ErrorAnswer = v.InferOutput<typeof errorAnswer>;
