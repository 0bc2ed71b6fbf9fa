import type { StoredHeaders } from "./bucket.ts";
import { encryptionHeaders } from "./encryption.ts";
import { S3Error } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { MAX_METADATA_BYTES } from "./limits.ts";

const KEPT = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-type",
  "expires",
];
const META = "x-amz-meta-";

/** The headers that an object keeps: some of the request's, and the store's own. */
export function storedHeaders({ headers, target, sse }: Exchange): StoredHeaders {
  const stored: Record<string, string> = {
    "content-type": "binary/octet-stream",
    ...encryptionHeaders(sse),
  };
  for (const name of KEPT) {
    const value = headers[name];
    if (typeof value === "string" && value !== "") stored[name] = value;
  }
  const encoding = stored["content-encoding"]
    ?.split(",")
    .filter((each) => each.trim() !== "aws-chunked")
    .join(",");
  if (encoding === "") delete stored["content-encoding"];
  else if (encoding !== undefined) stored["content-encoding"] = encoding.trim();

  // A presigner moves metadata into the query, and S3 takes it from there. (A checksum in the query it ignores.)
  const candidates = [...target.parameters, ...Object.entries(headers)];
  let metadataBytes = 0;
  for (const [candidate, value] of candidates) {
    const name = candidate.toLowerCase();
    if (!name.startsWith(META) || value === undefined) continue;
    stored[name] = String(value);
    metadataBytes += Buffer.byteLength(name) - META.length + Buffer.byteLength(String(value));
  }
  if (metadataBytes > MAX_METADATA_BYTES)
    throw new S3Error("MetadataTooLarge", undefined, { MaxSizeAllowed: MAX_METADATA_BYTES });
  return stored;
}
