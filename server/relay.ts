import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { ListPartsCommand, PutObjectCommand, type S3Client, UploadPartCommand } from "@aws-sdk/client-s3";
import { algorithmOf, partChecksum, reportedChecksum } from "../s3/checksums.ts";
import type { UploadClaims } from "../s3/claims.ts";
import { invalidAnswer, required, unquote } from "../s3/s3-answer.ts";
import { toStorageFault } from "../s3/s3-faults.ts";
import { planOf } from "../s3/s3-uploads.ts";
import { objectInput, partInput } from "../s3/signer.ts";
import { isSigned } from "../src/core/checksum.ts";
import { type PartPlan, partBytes } from "../src/core/part-plan.ts";
import { partNumbersOf, partRangeBytes } from "../src/core/part-ranges.ts";
import { type PartReceipt, StorageFault } from "../src/core/storage.ts";
import { withBoundedAnswers } from "./bounded-client.ts";
import type { OwnerCounts } from "./owner-counts.ts";
import { createOwnerPlaces } from "./owner-places.ts";
import { createPatience, type Patience } from "./patience.ts";
import { clientGone, type PartBody, type RangeBody, rangeBody } from "./range-body.ts";
import type { RelayHead } from "./read-request.ts";
import { RequestRefused } from "./refused.ts";
import { relayClient } from "./relay-client.ts";
import { createRelayEndings, type RangeEnding, takenBack } from "./relay-endings.ts";
import { createRelaySlots } from "./relay-slots.ts";

// A look-up that takes longer is not worth the wait.
const LIST_TIMEOUT_MS = 5_000;

/**
 * Passes part ranges on to S3, for the browser's own transfers (Background Fetch), which can't go to another
 * origin. The server keeps no bytes: a chunk is read when S3 has room for it.
 */
export interface Relay {
  /**
   * Stores the parts of a range, one after another. A part that S3 did not take is passed over. Copies of a
   * request are held unread, and get the same result.
   *
   * @throws {StorageFault | RequestRefused} before a byte has been read, if the head does not fit the upload, if S3
   *   has its parts already, or if the owner has too many requests under way
   * @throws {RangeBroken} if the range was not read to its end
   */
  store(head: RelayHead, request: RelayRequest): Promise<RangeResult>;
  /**
   * Ends what is under way of an upload in these background fetches, and refuses what comes of it later. Settles
   * once nothing more is read or stored.
   */
  end(uploadId: string, fetchIds: readonly string[], ending: RangeEnding): Promise<void>;
}

export interface RelayRequest {
  readonly request: Request;
  /**
   * Returns what the token says, if its user may relay now. Asked before each part; a rejection ends the request.
   *
   * @throws {StorageFault}
   */
  readonly permit: () => Promise<UploadClaims>;
  /** Is told of each passed-over part but the first, which the result is about. */
  readonly onPassedOver: (fault: StorageFault) => void;
}

/** A part range that was read to its end. */
export interface RangeResult {
  /** Receipts of the parts that S3 holds. */
  readonly parts: readonly PartReceipt[];
  /** Why parts are missing among them; null if none are. */
  readonly fault: StorageFault | null;
}

/** A part range that was not read to its end. */
export class RangeBroken extends Error {
  override readonly name = "RangeBroken";

  constructor(
    readonly fault: StorageFault,
    /** Receipts of the parts that S3 holds. */
    readonly parts: readonly PartReceipt[],
    /** Why the client sends no more; null if it was not the client that broke off. */
    readonly client: "gone" | "slow" | null,
  ) {
    super(fault.message, { cause: fault });
  }
}

export interface RelayOptions {
  readonly client: S3Client;
  readonly bucket: string;
  /** How long either end may move no byte, in seconds. */
  readonly idleSeconds: number;
  /** The rate that either end has to keep up while it is waited for. */
  readonly bytesPerSecond: number;
  /** The most requests that one owner may have under way. */
  readonly mostPerOwner: number;
  /** Shared by all servers; undefined if each counts for itself. */
  readonly counts: OwnerCounts | undefined;
  /** How long a request that fails is held, unread, while another process may read a copy of it; in seconds. */
  readonly holdSeconds: number;
}

export function createRelay(options: RelayOptions): Relay {
  const { client: appsClient, bucket, idleSeconds, bytesPerSecond, mostPerOwner, holdSeconds } = options;
  const holdMs = holdSeconds * 1_000;
  const slots = createRelaySlots<RangeResult>({
    // The next copy may be of a browser that is still there. One that is too slow has not gone: to fail it while
    // the next one is read would crash the browser.
    isTakenOver: (error) => error instanceof RangeBroken && error.client === "gone",
    isHeldBack: (error) => error instanceof RangeBroken,
    holdMs,
  });
  const endings = createRelayEndings();
  const places = createOwnerPlaces(mostPerOwner, options.counts);
  let made: Promise<S3Client> | undefined;
  const clientForParts = () => {
    made ??= relayClient(appsClient).then(withBoundedAnswers);
    return made;
  };
  const patience = (onExhausted: () => void) =>
    createPatience(idleSeconds * 1_000, bytesPerSecond, onExhausted);

  return {
    store(head, relayed) {
      const { first, count } = head.range;
      // Copies are told by their token before anything can refuse them.
      const range = [head.token, head.fetchId, first, count].join("\n");
      return slots.run(range, relayed.request.signal, async (end) => {
        await refuseIfEnded(head, relayed.request.signal);
        const claims = await relayed.permit();
        const plan = planOf(claims);
        checkHead(claims, plan, head);
        requireUnread(relayed.request, head.contentLength);
        return places.run(claims.owner, async () => {
          await refuseIfStored(claims, plan, head);
          return readRange(claims, plan, head, relayed, end);
        });
      });
    },

    async end(uploadId, fetchIds, ending) {
      await Promise.all(fetchIds.map((fetchId) => endings.end(fetchId, uploadId, ending)));
    },
  };

  /**
   * Refuses a range that is not wanted any more. In the first seconds it may be a copy of one that another process
   * still reads, and is held until that one is over.
   *
   * @throws {RequestRefused} 409
   */
  async function refuseIfEnded({ range, fetchId, isEnded }: RelayHead, signal: AbortSignal): Promise<void> {
    if (isEnded) endings.note(fetchId, range.uploadId);
    const endedAt = endings.at(fetchId, range.uploadId);
    if (endedAt === undefined) return;
    await sleep(endedAt + holdMs - performance.now(), signal);
    // The bytes need not come: the connection ends with the answer.
    throw new RequestRefused(409, "this background fetch was taken back", { connection: "close" });
  }

  /**
   * Refuses a range of which S3 has each part, so that its bytes need not come: the worker has sent them meanwhile,
   * or another process has read a copy.
   *
   * @throws {RequestRefused} 409
   */
  async function refuseIfStored(claims: UploadClaims, plan: PartPlan, { range }: RelayHead): Promise<void> {
    if (claims.method === "single") return;
    const { first, count } = range;
    const client = await clientForParts();
    const listed = await client
      .send(
        new ListPartsCommand({
          Bucket: bucket,
          Key: claims.key,
          UploadId: claims.s3UploadId,
          PartNumberMarker: String(first - 1),
          MaxParts: Math.min(count, 1_000),
        }),
        { abortSignal: AbortSignal.timeout(LIST_TIMEOUT_MS) },
      )
      // Whatever is wrong shows when the parts are stored.
      .catch(() => undefined);
    const sizes = new Map((listed?.Parts ?? []).map(({ PartNumber, Size }) => [PartNumber, Size]));
    if (partNumbersOf(range).every((partNumber) => sizes.get(partNumber) === partBytes(plan, partNumber)))
      throw new RequestRefused(409, "S3 has these parts already", { connection: "close" });
  }

  async function readRange(
    claims: UploadClaims,
    plan: PartPlan,
    { range, fetchId }: RelayHead,
    { request, permit, onPassedOver }: RelayRequest,
    end: AbortSignal,
  ): Promise<RangeResult> {
    const { first } = range;
    const body: RangeBody = rangeBody(
      request.body,
      patience(() => body.end(tooSlow)),
    );
    const tooSlow = new StorageFault("network", "NETWORK", {
      detail: `the client sent nothing for ${idleSeconds} s, or less than ${bytesPerSecond} bytes a second`,
    });
    const gone = clientGone();
    const onGone = () => body.end(gone);
    const onEnd = () => body.end(end.reason as StorageFault);
    request.signal.addEventListener("abort", onGone, { once: true });
    end.addEventListener("abort", onEnd, { once: true });
    if (request.signal.aborted) onGone();
    if (end.aborted) onEnd();
    let isEndedAfterPart = false;
    let isOver = () => {};
    const over = new Promise<void>((resolve) => {
      isOver = resolve;
    });
    const unwatch = endings.watch(fetchId, range.uploadId, (ending) => {
      if (ending === "now") body.end(takenBack());
      isEndedAfterPart = true;
      return over;
    });
    const parts: PartReceipt[] = [];
    const faults: StorageFault[] = [];
    try {
      for (const partNumber of partNumbersOf(range)) {
        if (isEndedAfterPart) throw takenBack();
        // The user may have signed out since, or the token may have expired.
        if (partNumber !== first) await permit();
        const part = body.part(partBytes(plan, partNumber));
        try {
          parts.push(await storePart(claims, plan, partNumber, part));
        } catch (error) {
          if (body.broken !== null) throw body.broken;
          const fault = toStorageFault(error);
          faults.push(fault);
          // The other parts would fare the same.
          if (fault.kind === "gone" || fault.kind === "permanent") throw fault;
          await part.skip();
        }
      }
    } catch (error) {
      const fault = toStorageFault(error);
      for (const other of faults) if (other !== fault) onPassedOver(other);
      const isGone = request.signal.aborted || (fault === body.broken && fault.code === "NETWORK");
      throw new RangeBroken(fault, parts, fault === tooSlow ? "slow" : isGone ? "gone" : null);
    } finally {
      unwatch();
      request.signal.removeEventListener("abort", onGone);
      end.removeEventListener("abort", onEnd);
      // The rest of the body, if any, goes nowhere.
      body.end(gone);
      isOver();
    }
    const [fault = null, ...others] = faults;
    for (const other of others) onPassedOver(other);
    return { parts, fault };
  }

  async function storePart(
    claims: UploadClaims,
    plan: PartPlan,
    partNumber: number,
    part: PartBody,
  ): Promise<PartReceipt> {
    const kind = claims.checksum;
    const client = await clientForParts();
    const sending = new AbortController();
    // S3 may stop reading as well, or never answer.
    const storage = patience(() => sending.abort());
    const Body = readableOf(part, isSigned(kind) ? MIN_CHUNK_BYTES : 1, storage, () => sending.abort());
    const options = {
      abortSignal: sending.signal,
      // The app's own limit is for requests that don't have to wait for a client.
      requestTimeout: 0,
    };
    // The SDK calculates the checksum as the bytes go by, and sends it behind them.
    const checksum = isSigned(kind) && { ChecksumAlgorithm: algorithmOf(kind) };
    storage.start();
    try {
      const answer =
        claims.method === "single"
          ? await client.send(
              new PutObjectCommand({ ...objectInput(bucket, claims), ...checksum, Body }),
              options,
            )
          : await client.send(
              new UploadPartCommand({ ...partInput(bucket, claims, plan, partNumber), ...checksum, Body }),
              options,
            );
      if (!part.isRead) throw invalidAnswer("it came before the part's last byte");
      return {
        partNumber,
        etag: unquote(required(answer.ETag, "ETag")),
        checksum: partChecksum(kind, reportedChecksum(kind, answer)),
      };
    } catch (error) {
      // An answer may come before the whole part was sent. The rest must not go there, nor hold the socket.
      sending.abort();
      throw error;
    } finally {
      storage.stop(0);
      Body.destroy();
    }
  }
}

/** Waits, unless the client goes first. */
async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await delay(ms, undefined, { signal }).catch(() => {});
}

/** @throws {StorageFault | RequestRefused} */
function checkHead(claims: UploadClaims, plan: PartPlan, { range, contentLength }: RelayHead): void {
  if (range.uploadId !== claims.uploadId)
    throw new StorageFault("permanent", "TOKEN_INVALID", { detail: "it belongs to another upload" });
  const { first, count } = range;
  if (first + count - 1 > plan.partCount)
    throw new RequestRefused(
      400,
      `parts ${first} to ${first + count - 1} of an upload of ${plan.partCount} parts`,
    );
  const expected = partRangeBytes(plan, first, count);
  if (contentLength !== expected)
    throw new RequestRefused(400, `the body has ${contentLength} bytes; these parts have ${expected}`);
}

function requireUnread(request: Request, bytes: number): void {
  if (request.bodyUsed || request.body?.locked || (request.body === null && bytes > 0))
    throw new StorageFault("transient", "SERVER_ERROR", {
      cause: new TypeError("the body was read before it came here: by authorize, or by a parser"),
    });
}

/**
 * S3 refuses a body with a trailer if one of its chunks but the last is smaller
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html). The SDK can put small ones together
 * by itself (`requestStreamBufferSize`), but then takes all that comes, whether or not S3 takes it.
 */
const MIN_CHUNK_BYTES = 8 * 1024;

/**
 * The part as a Node stream, which the SDK wants. The stream never fails, since the SDK would leave the
 * request hanging: `onBroken` has to end that.
 */
function readableOf(
  part: PartBody,
  minChunkBytes: number,
  storage: Patience,
  onBroken: () => void,
): Readable {
  let sent = 0;
  const readable = new Readable({
    read() {
      // S3 has taken what it was given, and the client is waited for.
      storage.stop(sent);
      nextChunk(part, minChunkBytes).then((chunk) => {
        if (readable.destroyed) return;
        sent = chunk?.length ?? 0;
        storage.start();
        readable.push(chunk);
      }, onBroken);
    },
  });
  return readable;
}

/** The part's next bytes, at least so many unless they are its last; null after those. */
async function nextChunk(part: PartBody, minBytes: number): Promise<Uint8Array | null> {
  let chunk = await part.next();
  while (chunk !== null && chunk.length < minBytes) {
    const more = await part.next();
    if (more === null) break;
    chunk = Buffer.concat([chunk, more]);
  }
  return chunk;
}
