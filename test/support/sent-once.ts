import type { RequestEntry } from "../../demo/store/server.ts";

/** When a worker was stopped: somewhere between the order and its confirmation. Milliseconds since 1970. */
export interface Death {
  readonly orderedAt: number;
  readonly confirmedAt: number;
}

/** The facts about a request to S3 that the check needs. */
type SentRequest = Pick<
  RequestEntry,
  "operation" | "key" | "uploadId" | "partNumber" | "stored" | "startedAt" | "endedAt"
> & { readonly headers?: RequestEntry["headers"] };

/**
 * Parts that were sent again although S3 had them. A part may be stored twice only if a worker died while its first PUT
 * was still running, since that worker's successor could not see it; or if the worker's PUT and one of the relay's were on
 * their way at the same time, since S3 lists neither before it is over.
 */
export function partsSentTwice<T extends SentRequest>(
  requests: readonly T[],
  deaths: readonly Death[] = [],
): T[] {
  const stored = new Map<string, T[]>();
  for (const request of requests) {
    if (!request.stored || (request.operation !== "UploadPart" && request.operation !== "PutObject"))
      continue;
    const id = `${request.key} ${request.uploadId ?? ""} ${request.partNumber ?? ""}`;
    stored.set(id, [...(stored.get(id) ?? []), request]);
  }
  return [...stored.values()].flatMap((puts) => {
    puts.sort((a, b) => a.startedAt - b.startedAt);
    return puts.slice(1).filter((later, index) => {
      const earlier = puts[index] as T;
      const haveMet = isRelayed(earlier) !== isRelayed(later) && later.startedAt < earlier.endedAt;
      const hasDied = deaths.some(
        (death) => death.confirmedAt >= earlier.startedAt && death.orderedAt <= earlier.endedAt,
      );
      return !haveMet && !hasDied;
    });
  });
}

/** Browsers say where a request comes from; the relay's S3 client does not. */
function isRelayed({ headers }: SentRequest): boolean {
  return headers !== undefined && headers["sec-fetch-mode"] === undefined;
}
