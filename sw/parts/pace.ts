import type { StorageFault } from "../../src/core/storage.ts";
import { Concurrency, TELLING_BYTES, type TimedPart } from "../model/index.ts";
import type { Clock } from "../platform/index.ts";
import { PartSlots, type PartSlotsOptions, type Slot } from "./slots.ts";

export interface PartPaceOptions<Turn> extends PartSlotsOptions<Turn> {
  readonly clock: Pick<Clock, "elapsed">;
  readonly onChange: (parts: number) => void;
}

/** How many parts are on their way at once, and whose: over all uploads, as many as the link and S3 take well. */
export class PartPace<Turn extends { readonly id: string }> {
  readonly #concurrency: Concurrency;
  readonly #slots: PartSlots<Turn>;
  readonly #onChange: (parts: number) => void;
  readonly #clock: Pick<Clock, "elapsed">;
  /** The speed of one part among the others, in bytes per second; null until one has arrived. */
  #partSpeed: number | null = null;
  #steadySpeed: number | null = null;
  #lastFault: StorageFault | undefined;

  constructor(options: PartPaceOptions<Turn>) {
    this.#concurrency = new Concurrency(options.capacity);
    this.#slots = new PartSlots({ ...options, capacity: this.#concurrency.limit });
    this.#onChange = options.onChange;
    this.#clock = options.clock;
  }

  get partSpeed(): number | null {
    return this.#partSpeed;
  }

  /**
   * The part speed, smoothed over parts that are large enough to tell the link's speed; null until there was
   * one.
   */
  get steadySpeed(): number | null {
    return this.#steadySpeed;
  }

  /** The last fault of any part. */
  get lastFault(): StorageFault | undefined {
    return this.#lastFault;
  }

  /** Waits for a place; undefined if the signal aborts first. */
  acquire(turn: Turn, signal: AbortSignal): Promise<Slot | undefined> {
    return this.#slots.acquire(turn, signal);
  }

  arrived(part: TimedPart): void {
    // An empty part has no speed.
    if (part.bytes === 0) return;
    const speed = (part.bytes / Math.max(part.endedAt - part.startedAt, 1)) * 1_000;
    // An empty file's part says nothing of the link.
    if (part.bytes > 0) this.#partSpeed = speed;
    if (part.bytes >= TELLING_BYTES) this.#steadySpeed = ((this.#steadySpeed ?? speed) + speed) / 2;
    this.#change(() => this.#concurrency.arrived(part));
  }

  failed(fault: StorageFault): void {
    this.#lastFault = fault;
    const { code } = fault;
    if (code !== "SLOW_DOWN" && code !== "STALLED") return;
    // A fast link may have become slow, so the next parts get the time that a slow one needs.
    this.#partSpeed = null;
    this.#change(() => this.#concurrency.refused(this.#clock.elapsed()));
  }

  #change(change: () => void): void {
    const before = this.#concurrency.limit;
    change();
    const { limit } = this.#concurrency;
    if (limit === before) return;
    this.#slots.capacity = limit;
    this.#onChange(limit);
  }
}
