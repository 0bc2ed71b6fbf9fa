import { Readable } from "node:stream";
import { PutObjectCommand, type S3Client, UploadPartCommand } from "@aws-sdk/client-s3";
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
import { createPatience, type Patience } from "./patience.ts";
import { clientGone, type PartBody, type RangeBody, rangeBody } from "./range-body.ts";
import type { RelayHead } from "./read-request.ts";
import { RequestRefused } from "./refused.ts";
import { relayClient } from "./relay-client.ts";
import { createRelaySlots } from "./relay-slots.ts";

/**
 * Passes part ranges on to S3, for the browser's own transfers (Background Fetch), which can't go to another
 * origin. The server keeps no bytes: a chunk is read when S3 has room for it.
 */
export interface Relay {
  /**
   * Stores the parts of a range, one after another, and returns their receipts. A part that S3 did not take
   * is passed over.
   *
   * @param request.mayGoOn is asked before each part but the first, and rejects with a `StorageFault` to end
   *   the request
   * @param request.onPassedOver is told of each passed-over part but the first, which `RangeBroken` is about
   * @throws {StorageFault | RequestRefused} before a byte has been read, if the head does not fit the upload,
   *   or if the owner has too many requests under way
   * @throws {RangeBroken} if not all are stored
   */
  store(claims: UploadClaims, head: RelayHead, request: RelayRequest): Promise<readonly PartReceipt[]>;
}

export interface RelayRequest {
  readonly request: Request;
  readonly mayGoOn: () => Promise<void>;
  readonly onPassedOver: (fault: StorageFault) => void;
}

/** A part range that was not stored, or only in part. */
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
}

export function createRelay(options: RelayOptions): Relay {
  const { client: appsClient, bucket, idleSeconds, bytesPerSecond, mostPerOwner } = options;
  const slots = createRelaySlots<readonly PartReceipt[]>(
    mostPerOwner,
    // The next copy may be of a browser that is still there.
    (error) => error instanceof RangeBroken && error.client !== null,
  );
  let made: Promise<S3Client> | undefined;
  const clientForParts = () => {
    made ??= relayClient(appsClient).then(withBoundedAnswers);
    return made;
  };
  const patience = (onExhausted: () => void) =>
    createPatience(idleSeconds * 1_000, bytesPerSecond, onExhausted);

  return {
    store(claims, head, { request, mayGoOn, onPassedOver }) {
      const plan = planOf(claims);
      checkHead(claims, plan, head);
      requireUnread(request, head.contentLength);
      const { first, count } = head.range;
      const range = [claims.key, claims.uploadId, first, count].join("\n");
      return slots.run(claims.owner, range, request.signal, async () => {
        const body: RangeBody = rangeBody(
          request.body,
          patience(() => body.end(tooSlow)),
        );
        const tooSlow = new StorageFault("network", "NETWORK", {
          detail: `the client sent nothing for ${idleSeconds} s, or less than ${bytesPerSecond} bytes a second`,
        });
        const onGone = () => body.end(clientGone());
        request.signal.addEventListener("abort", onGone, { once: true });
        if (request.signal.aborted) onGone();
        const parts: PartReceipt[] = [];
        const faults: StorageFault[] = [];
        try {
          for (const partNumber of partNumbersOf(head.range)) {
            if (partNumber !== first) await mayGoOn();
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
          const isClients = fault === body.broken;
          throw new RangeBroken(fault, parts, fault === tooSlow ? "slow" : isClients ? "gone" : null);
        } finally {
          request.signal.removeEventListener("abort", onGone);
          // The rest of the body, if any, goes nowhere.
          body.end(clientGone());
        }
        const [firstFault, ...others] = faults;
        for (const fault of others) onPassedOver(fault);
        if (firstFault !== undefined) throw new RangeBroken(firstFault, parts, null);
        return parts;
      });
    },
  };

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
