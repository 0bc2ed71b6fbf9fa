import { pipeline, Readable, Transform } from "node:stream";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { invalidAnswer } from "../s3/s3-answer.ts";
import { clientGone } from "./range-body.ts";

/** Default deadline of a call to S3; the worker waits for the server's answer as long. */
export const STORAGE_TIMEOUT_SECONDS = 30;
// S3 may take minutes to put 10,000 parts together.
const COMPLETE_TIMES = 8;
// A page of 1,000 uploads whose keys are all as long as they may be has some 4 MB.
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** The SDK's options of one request, as far as they are used here. */
interface SendOptions {
  readonly abortSignal?: AbortSignal;
}

type Send = (command: object, options?: SendOptions) => Promise<unknown>;

export interface CallLimits {
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
}

/**
 * The app's client, as it is used for one request of a browser: each call of S3 has a deadline, whatever
 * time-outs the app's request handler has, and reads no answer that is larger than S3's can be.
 *
 * @param limits.timeoutSeconds how long S3 may take for a call with all retries of the SDK; eight times as
 *   long to complete
 * @param limits.signal ends calls whose caller has gone. Those that open, complete or abort an upload go on,
 *   since S3 may carry them out nevertheless, and nobody would know what came of them.
 */
export function boundedClient(client: S3Client, limits: CallLimits = {}): S3Client {
  const { timeoutSeconds = STORAGE_TIMEOUT_SECONDS, signal } = limits;
  const timeoutMs = timeoutSeconds * 1_000;
  const bounded = withBoundedAnswers(client);
  const send: Send = (command, options = {}) => {
    const isAbort = command instanceof AbortMultipartUploadCommand;
    const isComplete = command instanceof CompleteMultipartUploadCommand;
    const isWrite = isAbort || isComplete || command instanceof CreateMultipartUploadCommand;
    if (signal?.aborted && !isAbort) return Promise.reject(clientGone());
    return withDeadline(
      isComplete ? timeoutMs * COMPLETE_TIMES : timeoutMs,
      [options.abortSignal, isWrite ? undefined : signal],
      (abortSignal) => (bounded.send as Send)(command, { ...options, abortSignal }),
    );
  };
  return Object.create(bounded, { send: { value: send } });
}

/** The same client, which shares its settings and connections, but reads no answer of more than 8 MiB. */
export function withBoundedAnswers(client: S3Client): S3Client {
  const middlewareStack = client.middlewareStack.clone();
  middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const response = result.response as { body?: unknown };
      response.body = boundedBody(response.body);
      return result;
    },
    // Nearest to the connection, so that whatever of the SDK reads the body reads this one.
    { step: "deserialize", priority: "low", name: "backhaulBoundedAnswer" },
  );
  return Object.create(client, { middlewareStack: { value: middlewareStack } });
}

async function withDeadline<T>(
  deadlineMs: number,
  signals: readonly (AbortSignal | undefined)[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let onAbort = () => {};
  const ended = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new Error(`S3 did not answer within ${deadlineMs / 1_000} s`);
      error.name = "TimeoutError";
      reject(error);
      controller.abort(error);
    }, deadlineMs);
    onAbort = () => {
      reject(clientGone());
      controller.abort();
    };
    for (const signal of signals) signal?.addEventListener("abort", onAbort, { once: true });
    if (signals.some((signal) => signal?.aborted)) onAbort();
  });
  try {
    // The SDK may also wait for credentials, or between its own retries, where no signal reaches it.
    return await Promise.race([work(controller.signal), ended]);
  } finally {
    clearTimeout(timer);
    for (const signal of signals) signal?.removeEventListener("abort", onAbort);
  }
}

function boundedBody(body: unknown): unknown {
  let length = 0;
  /** @throws {StorageFault} */
  const count = (chunk: Uint8Array) => {
    length += chunk.byteLength;
    if (length > MAX_ANSWER_BYTES) throw invalidAnswer(`it is larger than ${MAX_ANSWER_BYTES} bytes`);
  };
  if (body instanceof Readable) {
    const counter = new Transform({
      transform(chunk, _encoding, done) {
        try {
          count(chunk);
          done(null, chunk);
        } catch (error) {
          done(error as Error);
        }
      },
    });
    // Destroys the connection as well where the reader gives up. Whoever reads the counter is told of an
    // error.
    pipeline(body, counter, () => {});
    return counter;
  }
  if (body instanceof ReadableStream) {
    return body.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          count(chunk);
          controller.enqueue(chunk);
        },
      }),
    );
  }
  return body;
}
