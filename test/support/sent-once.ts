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
>;

/**
 * Parts that were sent again although S3 had them. A part may be stored twice only if a worker died while its first PUT
 * was still running: that worker's successor could not see it.
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
    return puts.slice(1).filter((_, index) => {
      const earlier = puts[index] as T;
      return !deaths.some(
        (death) => death.confirmedAt >= earlier.startedAt && death.orderedAt <= earlier.endedAt,
      );
    });
  });
}
