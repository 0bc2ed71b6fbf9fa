import * as v from "valibot";
import { CHECKSUM_KINDS } from "../src/core/checksum.ts";
import { objectSettings } from "./object-settings.ts";

const common = {
  bucket: v.string(),
  key: v.string(),
  /** The page's id of the upload, which the object carries as metadata. */
  uploadId: v.string(),
  /** Bytes. */
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  checksum: v.picklist(CHECKSUM_KINDS),
  /** The object's headers and metadata besides its type; where absent, none. */
  object: v.optional(objectSettings),
  /** The owner that `authorize` named at `begin`; null if none. */
  owner: v.nullable(v.string()),
  /** Milliseconds since the epoch. */
  expiresAt: v.number(),
  /** Made by the server at `begin`; tokens of a server have it. */
  id: v.optional(v.string()),
  /** Milliseconds since the epoch; tokens of a server have it. */
  issuedAt: v.optional(v.number()),
  /** Whether the token alone is enough to complete the upload; it is not where this is absent. */
  unattended: v.optional(v.boolean()),
  /** Which of the app's handlers the token is for. */
  audience: v.optional(v.string()),
};

export const claimsSchema = v.variant("method", [
  v.object({ ...common, method: v.literal("single"), type: v.string() }),
  v.object({
    ...common,
    method: v.literal("multipart"),
    /** Bytes of every part but the last. */
    partSize: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
    s3UploadId: v.pipe(v.string(), v.minLength(1)),
    /** Where it is absent, the object's type is not compared: whoever opened the upload has set it. */
    type: v.optional(v.string()),
  }),
]);

/** The content of a token: one upload, and all that the server must know of it, since it keeps no state. */
export type UploadClaims = v.InferOutput<typeof claimsSchema>;
export type SingleClaims = Extract<UploadClaims, { method: "single" }>;
export type MultipartClaims = Extract<UploadClaims, { method: "multipart" }>;
