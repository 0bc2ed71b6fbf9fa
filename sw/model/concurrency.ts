import { MIB } from "../../src/core/limits.ts";

/** Smaller parts take as long as their requests do, whatever the link carries. */
export const TELLING_BYTES = MIB;

/** A part that S3 has taken. Times in milliseconds, of one clock. */
export interface TimedPart {
  readonly bytes: number;
  /** When it got its place, before it was hashed and signed: all of that is what more parts at once can overlap. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** All places were taken when it arrived. A part that went alone says nothing about more at once. */
  readonly wasFull: boolean;
}

const START = 2;
/** The factor by which one more part at once must raise the speed to be kept. */
const WORTHWHILE = 1.05;
const FIRST_HOLD_MS = 10_000;
const LONGEST_HOLD_MS = 300_000;

/**
 * How many parts go at once: as many as make it faster, and as S3 takes. It doubles from 2 while that pays, then tries one
 * more from time to time; what does not pay, or is refused, is taken back and left alone for a while, each time for longer.
 * For small parts only what is refused is too much.
 */
export class Concurrency {
  readonly #max: number;
  #limit: number;
  /** When the limit was set. Parts that began before it ran beside fewer or more. */
  #since = Number.NEGATIVE_INFINITY;
  #sample = { parts: 0, bytes: 0, ms: 0 };
  /** The limit before it was raised, and its speed, until the effect of raising it is known. */
  #before: { readonly limit: number; readonly bytesPerMs: number } | undefined;
  #isDoubling = true;
  #holdUntil = 0;
  #holdMs = FIRST_HOLD_MS;

  /** @param max 1 or more */
  constructor(max: number) {
    this.#max = max;
    this.#limit = Math.min(START, max);
  }

  get limit(): number {
    return this.#limit;
  }

  arrived({ bytes, startedAt, endedAt, wasFull }: TimedPart): void {
    if (!wasFull || startedAt < this.#since) return;
    const { parts, bytes: soFar, ms } = this.#sample;
    this.#sample = { parts: parts + 1, bytes: soFar + bytes, ms: ms + Math.max(endedAt - startedAt, 1) };
    // The limit is judged after one round of all slots: the speed of each, times their number, is known
    // sooner than the bytes that arrive in a span of time.
    if (this.#sample.parts >= this.#limit) this.#judge(endedAt);
  }

  /** S3 asked for less (429, 503), or a part stalled. Of several at once each one says that there was one too many. */
  refused(now: number): void {
    const isProbe = this.#before !== undefined && !this.#isDoubling;
    this.#hold(now, isProbe);
    this.#set(Math.max(1, this.#limit - 1), now);
  }

  #judge(now: number): void {
    const bytesPerMs = (this.#limit * this.#sample.bytes) / this.#sample.ms;
    // More requests at once always pay where each takes a round trip.
    const isTelling = this.#sample.bytes >= this.#sample.parts * TELLING_BYTES;
    const before = isTelling ? this.#before : undefined;
    if (before && bytesPerMs < before.bytesPerMs * WORTHWHILE) {
      this.#hold(now, !this.#isDoubling);
      this.#set(before.limit, now);
    } else if (this.#limit < this.#max && now >= this.#holdUntil) {
      const next = this.#isDoubling ? this.#limit * 2 : this.#limit + 1;
      this.#set(Math.min(next, this.#max), now, { limit: this.#limit, bytesPerMs });
    } else this.#set(this.#limit, now);
  }

  #hold(now: number, isProbe: boolean): void {
    this.#isDoubling = false;
    if (isProbe) this.#holdMs = Math.min(this.#holdMs * 2, LONGEST_HOLD_MS);
    this.#holdUntil = now + this.#holdMs;
  }

  #set(limit: number, now: number, before?: { readonly limit: number; readonly bytesPerMs: number }): void {
    if (limit !== this.#limit) this.#since = now;
    this.#limit = limit;
    this.#before = before;
    this.#sample = { parts: 0, bytes: 0, ms: 0 };
  }
}
