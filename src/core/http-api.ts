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
import { MAX_BEGUN_TOGETHER, MAX_SIGNED_PARTS } from "./storage.ts";

/**
 * The storage port over HTTP: `POST {endpoint}/{operation}` with a JSON body, answered 200 with JSON, or an error status
 * with an `ErrorAnswer`. Both ends check what they receive against these schemas.
 *
 * The operations `relay`, a `PUT` of bytes (`relayUrl`), and `release`, which ends such, are not part of the port.
 */
export const OPERATIONS = [
  "begin",
  "begin-many",
  "sign",
  "parts",
  "complete",
  "abort",
  "relay",
  "release",
  "probe",
] as const;
/** A call of the API between client and server, by the last segment of its path. */
export type Operation = (typeof OPERATIONS)[number];

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const partNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(10_000));
const token = v.pipe(v.string(), v.minLength(1), v.maxLength(8_192));
const etag = v.pipe(v.string(), v.regex(/^[\w+/=.-]{1,256}$/));
/** 4 to 32 bytes in base64. */
const checksum = v.optional(v.nullable(v.pipe(v.string(), v.regex(/^[A-Za-z\d+/]{6,43}={0,2}$/))), null);
const receipt = v.object({ partNumber, etag, checksum }) satisfies v.GenericSchema<unknown, PartReceipt>;
/** The client has no user's headers, and asks by the token alone. */
const unattended = v.optional(v.boolean());
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

/** Several uploads of one user. Each is allowed, counted and begun on its own. */
export const beginManyRequest = v.object({
  uploads: v.pipe(v.array(beginRequest), v.minLength(1), v.maxLength(MAX_BEGUN_TOGETHER)),
});

export const signRequest = v.object({
  token,
  parts: v.pipe(
    v.array(v.object({ partNumber, checksum }) satisfies v.GenericSchema<unknown, PartToSign>),
    v.minLength(1),
    v.maxLength(MAX_SIGNED_PARTS),
  ),
  unattended,
});

export const partsRequest = v.object({ token, after: v.pipe(count, v.maxValue(10_000)), unattended });

const sha256 = v.pipe(v.string(), v.regex(/^[A-Za-z\d+/]{43}=$/));
const listedParts = v.object({
  count: partNumber,
  etags: sha256,
  checksums: v.nullable(sha256),
}) satisfies v.GenericSchema<unknown, ListedParts>;

const completeByList = v.object({
  token,
  parts: v.pipe(v.array(receipt), v.minLength(1), v.maxLength(10_000)),
  unattended,
});
const completeByDigests = v.object({ token, listed: listedParts, unattended });

/** The parts that were sent: by their list, or where that is long, by digests of it. */
export const completeRequest = v.lazy((body) =>
  typeof body === "object" && body !== null && "listed" in body ? completeByDigests : completeByList,
);

export const abortRequest = v.object({ token });

/** Uploads that one `release` may name. */
export const MAX_RELEASED = 50;

/**
 * Ends the relaying of the uploads with these tokens, in these Background Fetches: with the part that is being read, or at
 * once. Who has a token may do so, whoever is signed in.
 */
export const releaseRequest = v.object({
  tokens: v.pipe(v.array(token), v.minLength(1), v.maxLength(MAX_RELEASED)),
  fetches: v.pipe(v.array(v.pipe(v.string(), v.maxLength(64))), v.minLength(1), v.maxLength(16)),
  ending: v.picklist(["afterPart", "now"]),
});
export type ReleaseRequest = v.InferOutput<typeof releaseRequest>;

const signedPart = v.object({
  partNumber,
  url: v.pipe(v.string(), v.url()),
  headers: v.record(v.string(), v.string()),
  expiresInMs: count,
}) satisfies v.GenericSchema<unknown, SignedPart>;

export const beginAnswer = v.object({
  token,
  key: text(4_096),
  signed: v.optional(v.pipe(v.array(signedPart), v.readonly())),
}) satisfies v.GenericSchema<unknown, BeginAnswer>;

export const signAnswer = v.object({ parts: v.array(signedPart) });

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

/** The answer to `probe`, a `PUT` of as many bytes: they have come through to the relay. */
export interface ProbeAnswer {
  readonly bytes: number;
}

/** The query of a `relayUrl`. */
export const relayQuery = v.pipe(
  v.object({ upload: v.pipe(v.string(), v.uuid()), first: partCount, count: partCount }),
  v.transform(({ upload, first, count }): PartRange => ({ uploadId: upload, first, count })),
);

/**
 * The parts of a range that are stored, and beside them an `error` if some are not. The answer to a range that was read to its
 * end is 200 in either case: of one that fails Chromium gives no body, and may crash over its copies. Checksums are what S3
 * says of the bytes that came to it, to be compared with one's own; for `md5` there is none, but the ETag.
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

/** For each upload, in the order they were asked for, what `begin` would have answered. */
export const beginManyAnswer = v.object({ uploads: v.array(v.union([beginAnswer, errorAnswer])) });
export type BeginManyAnswer = v.InferOutput<typeof beginManyAnswer>;
