import type { UploadErrorWire } from "../../src/core/errors.ts";
import { type PartPlan, partBytes } from "../../src/core/part-plan.ts";
import type { PartTrouble } from "../../src/core/snapshot.ts";
import type { PartReceipt, UploadedPart } from "../../src/core/storage.ts";
import type { PartRecord } from "./record.ts";

/**
 * Which parts of one upload S3 has, which are on their way, and which come next. Each call costs the same with 10 parts
 * as with 10,000.
 *
 *   pending → flying → done
 *      ↑         ↓       ↑
 *      └──── in doubt ───┘   (a look-up at S3 decides)
 */
export class PartLedger {
  readonly plan: PartPlan;
  /** Receipts by part number − 1. */
  readonly #receipts: (PartReceipt | undefined)[] = [];
  readonly #flying = new Set<number>();
  readonly #doubtful = new Map<number, Doubt>();
  /** Parts to send again, before `#cursor` goes on. */
  readonly #returned = new Set<number>();
  /** Flying parts that somebody else may send as well: should they come back, S3 is asked first. */
  readonly #suspected = new Set<number>();
  /** The faults of parts that are pending or flying again. */
  readonly #troubles = new Map<number, Trouble>();
  #cursor = 1;
  #doneParts = 0;
  #doneBytes = 0;

  constructor(plan: PartPlan, rows: Iterable<PartRecord> = []) {
    this.plan = plan;
    for (const row of rows) {
      if (row.partNumber > plan.partCount) continue;
      if (row.state === "done") this.done(row);
      else this.#doubtful.set(row.partNumber, { attempts: 0, error: null, dueAt: 0 });
    }
  }

  get doneParts(): number {
    return this.#doneParts;
  }

  /** Bytes that S3 confirmed. */
  get doneBytes(): number {
    return this.#doneBytes;
  }

  get isComplete(): boolean {
    return this.#doneParts === this.plan.partCount;
  }

  isDone(partNumber: number): boolean {
    return this.#receipts[partNumber - 1] !== undefined;
  }

  get flyingParts(): ReadonlySet<number> {
    return this.#flying;
  }

  get hasPending(): boolean {
    return this.upcoming(1).length > 0;
  }

  /** Puts the next pending part into flight; undefined if there is none. */
  startNext(): number | undefined {
    const [partNumber] = this.upcoming(1);
    if (partNumber === undefined) return undefined;
    if (!this.#returned.delete(partNumber)) this.#cursor = partNumber + 1;
    this.#flying.add(partNumber);
    return partNumber;
  }

  /** The pending parts that `startNext` would give next, at most `limit`. */
  upcoming(limit: number): number[] {
    // Never looked at again, or a wake-up near the end would walk over all that is done with every part.
    while (this.#receipts[this.#cursor - 1] !== undefined) this.#cursor += 1;
    const parts = [...this.#returned].slice(0, limit);
    for (let next = this.#cursor; parts.length < limit; next++) {
      const partNumber = this.#peekFrom(next);
      if (partNumber === undefined) break;
      parts.push(partNumber);
      next = partNumber;
    }
    return parts;
  }

  /** S3 has the part. */
  done({ partNumber, etag, checksum }: PartReceipt): void {
    this.#leave(partNumber);
    if (this.#receipts[partNumber - 1] === undefined) {
      this.#doneParts += 1;
      this.#doneBytes += partBytes(this.plan, partNumber);
    }
    this.#receipts[partNumber - 1] = { partNumber, etag, checksum };
  }

  /**
   * Its PUT had no clear end, or a fault. It is looked up from `dueAt` on, by `Clock.elapsed`.
   *
   * @param error null if nothing went wrong but that it was broken off
   */
  doubt(partNumber: number, dueAt: number, error: UploadErrorWire | null = null): void {
    const before = this.#troubleOf(partNumber);
    this.#leave(partNumber);
    // Another way of sending it has succeeded meanwhile.
    if (this.isDone(partNumber)) return;
    const trouble = error ? { attempts: before.attempts + 1, error } : before;
    this.#doubtful.set(partNumber, { ...trouble, dueAt });
  }

  /** Somebody else may have sent the part, or be sending it. From `dueAt` on it is looked up before it is sent. */
  suspect(partNumber: number, dueAt: number): void {
    if (this.isDone(partNumber)) return;
    if (this.#flying.has(partNumber)) {
      this.#suspected.add(partNumber);
      return;
    }
    const trouble = this.#troubleOf(partNumber);
    this.#leave(partNumber);
    this.#doubtful.set(partNumber, { ...trouble, dueAt, isOthers: true });
  }

  /** Whether somebody else is still sending parts of it, for which it is worth to wait. */
  get awaitsOthers(): boolean {
    for (const { isOthers } of this.#doubtful.values()) if (isOthers) return true;
    return false;
  }

  /** Faults in a row that this part has had. */
  attemptsOf(partNumber: number): number {
    return this.#troubleOf(partNumber).attempts;
  }

  /** Parts that have had faults and have not arrived since, at most `limit`. */
  troubled(limit: number): PartTrouble[] {
    const troubled: PartTrouble[] = [];
    for (const parts of [this.#doubtful, this.#troubles])
      for (const [partNumber, { attempts, error }] of parts)
        if (error && troubled.length < limit) troubled.push({ partNumber, attempts, error });
    return troubled;
  }

  /** Parts in doubt whose time has come, ascending. */
  doubtfulAt(now: number): number[] {
    const due = [...this.#doubtful]
      .filter(([, doubt]) => doubt.dueAt <= now)
      .map(([partNumber]) => partNumber);
    return due.sort((a, b) => a - b);
  }

  /** The doubt about a part, another object with each new one; undefined if there is none. */
  doubtOf(partNumber: number): object | undefined {
    return this.#doubtful.get(partNumber);
  }

  /** When the next part in doubt may be looked up, by `Clock.elapsed`; undefined if none is in doubt. */
  get nextDoubtAt(): number | undefined {
    let next: number | undefined;
    for (const { dueAt } of this.#doubtful.values())
      next = next === undefined ? dueAt : Math.min(next, dueAt);
    return next;
  }

  /** Whether S3's entry is this plan's part, whole. */
  matches(part: UploadedPart): boolean {
    return part.partNumber <= this.plan.partCount && part.size === partBytes(this.plan, part.partNumber);
  }

  /** The part is pending again: S3 does not have the whole of it, or nothing of it was sent. */
  giveBack(partNumber: number): void {
    const trouble = this.#troubleOf(partNumber);
    const isSuspected = this.#suspected.has(partNumber);
    this.#leave(partNumber);
    if (this.isDone(partNumber)) return;
    if (isSuspected) {
      this.#doubtful.set(partNumber, { ...trouble, dueAt: 0 });
      return;
    }
    if (trouble.attempts > 0) this.#troubles.set(partNumber, trouble);
    if (partNumber < this.#cursor) this.#returned.add(partNumber);
  }

  /** S3 has something else under its number than the device has. */
  retract(partNumber: number): void {
    if (!this.isDone(partNumber)) return;
    this.#receipts[partNumber - 1] = undefined;
    this.#doneParts -= 1;
    this.#doneBytes -= partBytes(this.plan, partNumber);
    this.giveBack(partNumber);
  }

  /** Parts that S3 has, but of which nobody has compared the bytes. */
  unverified(): PartReceipt[] {
    return this.receipts().filter(({ checksum }) => checksum === null);
  }

  /** The receipts that completing needs, in ascending order of part numbers. */
  receipts(): PartReceipt[] {
    return this.#receipts.filter((receipt) => receipt !== undefined);
  }

  #leave(partNumber: number): void {
    this.#flying.delete(partNumber);
    this.#suspected.delete(partNumber);
    this.#doubtful.delete(partNumber);
    this.#returned.delete(partNumber);
    this.#troubles.delete(partNumber);
  }

  #troubleOf(partNumber: number): Trouble {
    return this.#doubtful.get(partNumber) ?? this.#troubles.get(partNumber) ?? NO_TROUBLE;
  }

  /** The first part from `start` on that is neither done, flying nor in doubt. */
  #peekFrom(start: number): number | undefined {
    for (let n = start; n <= this.plan.partCount; n++)
      if (this.#receipts[n - 1] === undefined && !this.#flying.has(n) && !this.#doubtful.has(n)) return n;
    return undefined;
  }
}

interface Trouble {
  readonly attempts: number;
  readonly error: UploadErrorWire | null;
}

const NO_TROUBLE: Trouble = { attempts: 0, error: null };

interface Doubt extends Trouble {
  readonly dueAt: number;
  /** Another than this worker may be sending the part. */
  readonly isOthers?: true;
}
