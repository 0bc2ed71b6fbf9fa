import { Readable } from "node:stream";
import { PutObjectCommand, type S3Client, UploadPartCommand } from "@aws-sdk/client-s3";
import { algorithmOf, partChecksum, reportedChecksum } from "../s3/checksums.ts";
import type { UploadClaims } from "../s3/claims.ts";
import { invalidAnswer, required, unquote } from "../s3/s3-answer.ts";
import { toStorageFault } from "../s3/s3-faults.ts";
import { planOf } from "../s3/s3-uploads.ts";
import { bareClient, objectInput, partInput } from "../s3/signer.ts";
import { isSigned } from "../src/core/checksum.ts";
import { type PartPlan, partBytes } from "../src/core/part-plan.ts";
import { partNumbersOf, partRangeBytes } from "../src/core/part-ranges.ts";
import { type PartReceipt, StorageFault } from "../src/core/storage.ts";
import { type RelayHead, RequestRefused } from "./read-request.ts";
import { clientGone, type PartBody, type RunBody, runBody } from "./run-body.ts";

/**
 * Passes runs of parts on to S3, for the browser's own transfers (Background Fetch), which can't go to another origin.
 * Nothing is kept of them: a chunk is read when S3 has room for it.
 */
export interface Relay {
  /**
   * Stores the parts of a run, one after another, and gives their receipts. A part that S3 did not take is passed over.
   *
   * @param onPassedOver is told of each such part but the first, of which `RunBroken` tells
   * @throws {StorageFault | RequestRefused} before a byte has been read, if the head does not fit the upload
   * @throws {RunBroken} if not all are stored
   */
  store(
    claims: UploadClaims,
    head: RelayHead,
    request: Request,
    onPassedOver: (fault: StorageFault) => void,
  ): Promise<readonly PartReceipt[]>;
}

/** A run that was not stored, or only in part. */
export class RunBroken extends Error {
  override readonly name = "RunBroken";

  constructor(
    readonly fault: StorageFault,
    /** Those that S3 holds. */
    readonly parts: readonly PartReceipt[],
    /** The client sent nothing for too long. */
    readonly isIdle: boolean,
  ) {
    super(fault.message, { cause: fault });
  }
}

export interface RelayOptions {
  readonly client: S3Client;
  readonly bucket: string;
  readonly idleSeconds: number;
}

export function createRelay({ client: appsClient, bucket, idleSeconds }: RelayOptions): Relay {
  const client = bareClient(appsClient);

  return {
    async store(claims, head, request, onPassedOver) {
      const plan = planOf(claims);
      checkHead(claims, plan, head);
      const body = takeBody(request, head.contentLength, () => idle.refresh());
      const parts: PartReceipt[] = [];
      const faults: StorageFault[] = [];
      const sentAway = new StorageFault("network", "NETWORK", {
        detail: `the client sent nothing for ${idleSeconds} s`,
      });
      let sending = new AbortController();
      const idle = setTimeout(() => {
        // Either end may have stopped. One that reads nothing holds up the other.
        if (body.isAwaited) body.end(sentAway);
        else sending.abort();
        idle.refresh();
      }, idleSeconds * 1_000);
      const onGone = () => body.end(clientGone());
      request.signal.addEventListener("abort", onGone, { once: true });
      if (request.signal.aborted) onGone();

      try {
        for (const partNumber of partNumbersOf(head.run)) {
          sending = new AbortController();
          const part = body.part(partBytes(plan, partNumber));
          try {
            parts.push(await storePart(claims, plan, partNumber, part, sending));
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
        throw new RunBroken(fault, parts, fault === sentAway);
      } finally {
        clearTimeout(idle);
        request.signal.removeEventListener("abort", onGone);
        // What is left of it, if anything, goes nowhere.
        body.end(clientGone());
      }
      const [first, ...others] = faults;
      for (const fault of others) onPassedOver(fault);
      if (first !== undefined) throw new RunBroken(first, parts, false);
      return parts;
    },
  };

  async function storePart(
    claims: UploadClaims,
    plan: PartPlan,
    partNumber: number,
    part: PartBody,
    sending: AbortController,
  ): Promise<PartReceipt> {
    const kind = claims.checksum;
    const Body = readableOf(part, isSigned(kind) ? MIN_CHUNK_BYTES : 1, () => sending.abort());
    const options = {
      abortSignal: sending.signal,
      // The app's own limit is for requests that don't have to wait for a client.
      requestTimeout: 0,
    };
    // The SDK calculates it as the bytes go by, and sends it behind them.
    const checksum = isSigned(kind) && { ChecksumAlgorithm: algorithmOf(kind) };
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
      if (!part.isTaken) throw invalidAnswer("it came before the part's last byte");
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
      Body.destroy();
    }
  }
}

/** @throws {StorageFault | RequestRefused} */
function checkHead(claims: UploadClaims, plan: PartPlan, { run, contentLength }: RelayHead): void {
  if (run.uploadId !== claims.uploadId)
    throw new StorageFault("permanent", "TOKEN_INVALID", { detail: "it is another upload's" });
  const { first, count } = run;
  if (first + count - 1 > plan.partCount)
    throw new RequestRefused(
      400,
      `parts ${first} to ${first + count - 1} of an upload of ${plan.partCount} parts`,
    );
  const expected = partRangeBytes(plan, first, count);
  if (contentLength !== expected)
    throw new RequestRefused(400, `${contentLength} bytes, while these parts have ${expected}`);
}

function takeBody(request: Request, bytes: number, onMove: () => void): RunBody {
  if (request.bodyUsed || request.body?.locked || (request.body === null && bytes > 0))
    throw new StorageFault("transient", "SERVER_ERROR", {
      cause: new TypeError("the body was read before it came here: by authorize, or by a parser"),
    });
  return runBody(request.body, onMove);
}

/**
 * S3 refuses a body with a trailer if one of its chunks but the last is smaller
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html). The SDK can put small ones together by itself
 * (`requestStreamBufferSize`), but then takes all that comes, whether or not S3 takes it.
 */
const MIN_CHUNK_BYTES = 8 * 1024;

/**
 * For the SDK, which wants a Node stream. It never fails, since the SDK would leave the request hanging: `onBroken` has to
 * end that.
 */
function readableOf(part: PartBody, minChunkBytes: number, onBroken: () => void): Readable {
  const readable = new Readable({
    read() {
      nextChunk(part, minChunkBytes).then((chunk) => {
        if (!readable.destroyed) readable.push(chunk);
      }, onBroken);
    },
  });
  return readable;
}

/** At least so many bytes, unless they are the last; null after those. */
async function nextChunk(part: PartBody, minBytes: number): Promise<Uint8Array | null> {
  let chunk = await part.next();
  while (chunk !== null && chunk.length < minBytes) {
    const more = await part.next();
    if (more === null) break;
    chunk = Buffer.concat([chunk, more]);
  }
  return chunk;
}
