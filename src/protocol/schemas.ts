import * as v from "valibot";
import { fileName, mediaType } from "../core/http-api.ts";
import { MAX_ADDED, type Source } from "./protocol.ts";

/**
 * Schemas of everything that the worker accepts from pages, since any script of the origin may imitate a
 * page.
 */

const finite = v.pipe(v.number(), v.finite());
const partNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(10_000));
const hours = v.pipe(
  v.object({
    from: v.pipe(v.number(), v.minValue(0), v.ltValue(24)),
    to: v.pipe(v.number(), v.minValue(0), v.maxValue(24)),
  }),
  v.check(({ from, to }) => from !== to, "no hours at all"),
);

export const uploadId = v.pipe(v.string(), v.uuid());
/** An upload's id, or null for all uploads. */
export const anyId = v.nullable(uploadId);
/** By `tokenMark`; uploads are added by up to `MAX_ADDED` at once. */
export const tokenMarks = v.pipe(v.array(v.pipe(v.string(), v.maxLength(32))), v.maxLength(MAX_ADDED));

export const ownerName = v.pipe(v.string(), v.maxLength(1_024));
export const believedOwner = v.nullable(ownerName);

const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
// `fetch` refuses all others, which would look like a broken network.
const HEADER_VALUE = /^[\t -~\x80-\xff]*$/;
// Valibot's own message would quote the value, which may be a secret.
const NOT_A_VALUE = "not a header's value";
export const headerRecord = v.pipe(
  v.record(
    v.pipe(v.string(), v.regex(HEADER_NAME)),
    v.pipe(v.string(NOT_A_VALUE), v.regex(HEADER_VALUE, NOT_A_VALUE)),
  ),
  v.check((headers) => Object.keys(headers).length <= 32),
);

// Not every browser has file handles.
export const source = v.custom<Source>(
  (value) => value instanceof Blob || value instanceof (globalThis.FileSystemFileHandle ?? Blob),
  "not a file",
);

const addOptions = v.object({
  key: v.string(),
  name: v.optional(fileName),
  type: v.optional(mediaType),
  partSize: v.optional(v.number()),
  lane: v.optional(v.picklist(["auto", "worker", "browser"])),
  priority: v.optional(finite),
  requireDurable: v.optional(v.boolean()),
  conditions: v.optional(
    v.object({
      unmetered: v.optional(v.boolean()),
      notBefore: v.optional(v.union([finite, v.date()])),
      hours: v.optional(hours),
    }),
  ),
});

export const addRequests = v.pipe(
  v.array(v.object({ id: uploadId, source, options: addOptions, hasEnded: v.exactOptional(v.boolean()) })),
  v.maxLength(MAX_ADDED),
);

export const listRestId = v.pipe(v.string(), v.uuid());
export const listPlace = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const batchId = v.pipe(v.string(), v.uuid());
export const stagedBatch = v.nullish(
  v.object({ id: batchId, count: v.pipe(v.number(), v.safeInteger(), v.minValue(1)) }),
);

/**
 * A call of one of the API's own functions. Comlink would accept longer paths too, which could reach any
 * constructor.
 */
export const callMessage = v.looseObject({
  id: v.string(),
  type: v.literal("APPLY"),
  path: v.pipe(v.array(v.string()), v.length(1)),
  // Others would be unpacked by Comlink, which answers nothing when it stumbles over them.
  argumentList: v.array(v.looseObject({ type: v.literal("RAW") })),
});

export const handedOver = v.looseObject({
  isImmediate: v.boolean(),
  fetchId: v.string(),
  ranges: v.pipe(v.array(v.object({ uploadId, first: partNumber, count: partNumber })), v.maxLength(1_000)),
});
