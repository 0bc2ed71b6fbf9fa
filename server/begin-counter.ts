import { StorageFault } from "../src/core/storage.ts";

const MINUTE_MS = 60_000;

interface Minute {
  readonly endsAt: number;
  begun: number;
}

/**
 * Counts the uploads that each owner begins, in minutes that start with the first of them.
 *
 * @param now milliseconds of a clock that never goes back
 * @throws {StorageFault} transient, `RATE_LIMITED`, if the owner has begun too many
 */
export type BeginCounter = (owner: string | null, now: number) => void;

export function tooManyBegins(perMinute: number, retryAfterMs: number): StorageFault {
  return new StorageFault("transient", "RATE_LIMITED", {
    detail: `the limit is ${perMinute} per minute`,
    retryAfterMs,
  });
}

export function createBeginCounter(perMinute: number): BeginCounter {
  const minutes = new Map<string | null, Minute>();
  let sweepAt = Number.NEGATIVE_INFINITY;

  /** Forgets past minutes, so that at most the owners of the last two minutes are held. */
  function sweep(now: number): void {
    if (now < sweepAt) return;
    for (const [owner, { endsAt }] of minutes) if (endsAt <= now) minutes.delete(owner);
    sweepAt = now + MINUTE_MS;
  }

  return (owner, now) => {
    sweep(now);
    const minute = minutes.get(owner);
    if (minute === undefined || minute.endsAt <= now) {
      minutes.set(owner, { endsAt: now + MINUTE_MS, begun: 1 });
      return;
    }
    if (minute.begun >= perMinute) throw tooManyBegins(perMinute, minute.endsAt - now);
    minute.begun++;
  };
}
