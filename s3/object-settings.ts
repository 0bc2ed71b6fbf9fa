import * as v from "valibot";
import { isFoldedText } from "./media-type.ts";

/** A header's value as it can be signed: printable ASCII without blanks at the ends or in a row. */
const headerValue = v.pipe(v.string(), v.maxLength(1_024), v.check(isFoldedText));

/** Metadata of each object, `x-amz-meta-backhaul-upload`: the page's id of the upload that made it. */
export const UPLOAD_ID_METADATA = "backhaul-upload";

/** Headers and metadata that an object gets besides its type. They are signed, so the browser can't change them. */
export interface ObjectSettings {
  /**
   * The app's own metadata, `x-amz-meta-*`: names of small letters, digits and "-", values of ASCII, 2,048
   * bytes in all. The name `backhaul-upload` is reserved.
   * @default what the client sent with `begin`
   */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** `Cache-Control`, such as "private, max-age=3600". @default none */
  readonly cacheControl?: string | undefined;
  /** `Content-Disposition`, such as "attachment". @default none */
  readonly contentDisposition?: string | undefined;
  /** `Content-Encoding`, where the files are compressed already. @default none */
  readonly contentEncoding?: string | undefined;
  /**
   * A canned ACL, such as "private". Ceph accepts an unsigned ACL from anybody who holds a signed URL, unless
   * the URL has a signed one; Amazon's buckets without ACLs (the default) refuse any.
   * @default none
   */
  readonly acl?: ObjectAcl | undefined;
  /**
   * Whether to never replace an object that is there already; the upload then fails with `OBJECT_EXISTS`. Also
   * stops a signed URL from being used again once the upload is complete. A single PUT is refused by the engine,
   * if it knows `If-None-Match`.
   * @default false
   */
  readonly ifNoneMatch?: boolean | undefined;
}

const ACLS = [
  "private",
  "public-read",
  "public-read-write",
  "authenticated-read",
  "aws-exec-read",
  "bucket-owner-read",
  "bucket-owner-full-control",
] as const;
/** The canned ACLs (https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl). */
export type ObjectAcl = (typeof ACLS)[number];

// Amazon S3's limit, which counts names and values.
const MAX_METADATA_BYTES = 2_048;
const isSmall = (metadata: Readonly<Record<string, string>>) =>
  Object.entries(metadata).join("").length <= MAX_METADATA_BYTES;
const metadataName = v.pipe(v.string(), v.regex(/^[a-z\d][a-z\d-]{0,127}$/), v.notValue(UPLOAD_ID_METADATA));

/** Metadata of an object as it may be signed. */
export const objectMetadata = v.pipe(v.record(metadataName, headerValue), v.check(isSmall));

export const objectSettings = v.strictObject({
  metadata: v.optional(objectMetadata),
  cacheControl: v.optional(headerValue),
  contentDisposition: v.optional(headerValue),
  contentEncoding: v.optional(headerValue),
  acl: v.optional(v.picklist(ACLS)),
  ifNoneMatch: v.optional(v.boolean()),
}) satisfies v.GenericSchema<unknown, ObjectSettings>;

/** The settings as fields of the SDK's inputs, for PutObject and CreateMultipartUpload. */
export function settingFields({ cacheControl, contentDisposition, contentEncoding, acl }: ObjectSettings) {
  return {
    ...(cacheControl !== undefined && { CacheControl: cacheControl }),
    ...(contentDisposition !== undefined && { ContentDisposition: contentDisposition }),
    ...(contentEncoding !== undefined && { ContentEncoding: contentEncoding }),
    ...(acl !== undefined && { ACL: acl }),
  };
}

/** The condition under which a request may make the object. */
export function conditionFields({ ifNoneMatch = false }: ObjectSettings): { readonly IfNoneMatch?: "*" } {
  return ifNoneMatch ? { IfNoneMatch: "*" } : {};
}

/** The settings as headers of a single PUT, which are to be signed. */
export function settingHeaders(settings: ObjectSettings): Readonly<Record<string, string>> {
  const { cacheControl, contentDisposition, contentEncoding, acl, ifNoneMatch = false } = settings;
  const metadataHeaders = Object.entries(settings.metadata ?? {}).map(([name, value]) => [
    `x-amz-meta-${name}`,
    value,
  ]);
  return {
    ...Object.fromEntries(metadataHeaders),
    ...(cacheControl !== undefined && { "cache-control": cacheControl }),
    ...(contentDisposition !== undefined && { "content-disposition": contentDisposition }),
    ...(contentEncoding !== undefined && { "content-encoding": contentEncoding }),
    ...(acl !== undefined && { "x-amz-acl": acl }),
    ...(ifNoneMatch && { "if-none-match": "*" }),
  };
}

/** All of the object's metadata. */
export function metadataOf(uploadId: string, { metadata = {} }: ObjectSettings): Record<string, string> {
  return { ...metadata, [UPLOAD_ID_METADATA]: uploadId };
}

/** The answer to HeadObject, as far as it is compared. */
interface StoredHeaders {
  readonly Metadata?: Readonly<Record<string, string>> | undefined;
  readonly CacheControl?: string | undefined;
  readonly ContentDisposition?: string | undefined;
  readonly ContentEncoding?: string | undefined;
  readonly ContentLanguage?: string | undefined;
  readonly ExpiresString?: string | undefined;
}

/**
 * The first header that the object has, or lacks, against the settings; null if all are as they should be.
 */
export function strayHeader(settings: ObjectSettings, stored: StoredHeaders): string | null {
  const { cacheControl, contentDisposition, contentEncoding } = settings;
  const isBrowsersOwn = cacheControl === undefined && BROWSERS_OWN.has(stored.CacheControl ?? "");
  const headers: readonly (readonly [
    name: string,
    wanted: string | undefined,
    stored: string | undefined,
  ])[] = [
    ["Cache-Control", cacheControl, isBrowsersOwn ? undefined : stored.CacheControl],
    ["Content-Disposition", contentDisposition, stored.ContentDisposition],
    // Some engines keep the coding of the transfer itself.
    ["Content-Encoding", contentEncoding, stored.ContentEncoding?.replace(/(^|, *)aws-chunked\b,? */, "")],
    ["Content-Language", undefined, stored.ContentLanguage],
    ["Expires", undefined, stored.ExpiresString],
  ];
  const stray = headers.find(([, wanted = "", is = ""]) => wanted !== is);
  if (stray !== undefined) return stray[0];
  return isSameMetadata(settings.metadata ?? {}, stored.Metadata ?? {}) ? null : "metadata";
}

function isSameMetadata(
  wanted: Readonly<Record<string, string>>,
  { [UPLOAD_ID_METADATA]: _, ...stored }: Readonly<Record<string, string>>,
): boolean {
  const names = Object.keys(wanted);
  return names.length === Object.keys(stored).length && names.every((name) => stored[name] === wanted[name]);
}

/**
 * Values that browsers add to a request of their own accord: with `If-None-Match` in it
 * (https://fetch.spec.whatwg.org), on a reload, and with the cache switched off in their developer tools.
 */
const BROWSERS_OWN = new Set(["no-cache", "max-age=0"]);
