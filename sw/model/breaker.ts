import { RETRY_POLICY, type RetryPolicy } from "../../src/core/options.ts";
import type { StorageFault } from "../../src/core/storage.ts";
import { retryDelayMs } from "./retry.ts";

/**
 * How one origin feels, for all uploads together. It opens at the first sign that the origin is overloaded, out of reach, or
 * wants something first; stays open as long as was asked for, or ever longer; then lets one request through, and closes once
 * that succeeds. So a queue of thousands makes no more requests in an outage than one upload would.
 *
 * All times are in milliseconds of one clock that only goes forward.
 */
export class Breaker {
  readonly #policy: RetryPolicy;
  #isOpen = false;
  #openedAt = Number.NEGATIVE_INFINITY;
  #until = 0;
  /** Failed rounds in a row. */
  #attempts = 0;
  /** When the one request was let through; undefined while none is under way. */
  #probedAt: number | undefined;

  constructor(policy: RetryPolicy = RETRY_POLICY) {
    this.#policy = policy;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether a request may go out now. Asking changes nothing; who sends one says so by `enter`. */
  isPassable(now: number): boolean {
    return !this.#isOpen || (this.#probedAt === undefined && now >= this.#until);
  }

  /** How long requests have to wait; 0 if one may go out now. */
  waitMs(now: number): number {
    if (!this.#isOpen) return 0;
    // The probe under way decides; should it never end, the next one goes out after a while.
    if (this.#probedAt !== undefined) return PROBE_MS;
    return Math.max(0, this.#until - now);
  }

  /** A request goes out. */
  enter(now: number): void {
    if (this.#isOpen) this.#probedAt = now;
  }

  /**
   * A request is over, and says nothing about the origin.
   *
   * @param startedAt when it went out: one from before the probe leaves the probe its place
   */
  leave(startedAt: number): void {
    if (this.#probedAt !== undefined && startedAt >= this.#probedAt) this.#probedAt = undefined;
  }

  /** The origin has done what it was asked. Returns whether this has closed the breaker. */
  succeeded(): boolean {
    const wasOpen = this.#isOpen;
    this.#isOpen = false;
    this.#attempts = 0;
    this.#probedAt = undefined;
    return wasOpen;
  }

  /**
   * @param startedAt when the request that failed went out: one from before the breaker opened is of the same round
   * @param random from 0 up to, not including, 1
   * @param fault the kind of failure, and the wait that the origin asked for
   */
  failed(
    now: number,
    startedAt: number,
    random: number,
    fault: Partial<Pick<StorageFault, "kind" | "retryAfterMs">> = {},
  ): void {
    const { retryAfterMs } = fault;
    // After `probeNow` the next round begins with whatever is sent from that moment on.
    const isEarlier = this.#attempts > 0 ? startedAt <= this.#openedAt : startedAt < this.#openedAt;
    const isSameRound = this.#isOpen && isEarlier;
    if (isSameRound) {
      if (retryAfterMs !== undefined) this.#until = Math.max(this.#until, now + retryAfterMs);
      return;
    }
    this.#isOpen = true;
    this.#openedAt = now;
    this.#attempts += 1;
    this.#probedAt = undefined;
    this.#until = now + retryDelayMs(this.#attempts, random, fault, this.#policy);
  }

  /** Something has changed outside: one request may find out at once. */
  probeNow(now: number): void {
    this.#isOpen = true;
    this.#openedAt = now;
    this.#attempts = 0;
    this.#probedAt = undefined;
    this.#until = now;
  }
}

/** How long the others look away while a probe is under way. */
const PROBE_MS = 1_000;
