import type { Hours } from "../../src/core/options.ts";

/** When an upload may move. Everything that is set must hold. */
export interface UploadConditions {
  /** Not over a network that is known to cost by the byte, nor while the user wants to save data. */
  readonly unmetered: boolean;
  /** Milliseconds since 1970. */
  readonly notBefore: number | null;
  readonly hours: Hours | null;
}

/** How things stand outside. */
export interface Circumstances {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Milliseconds since the local midnight. */
  readonly msOfDay: number;
  readonly isMetered: boolean;
}

export interface ConditionsCheck {
  /** The condition that does not hold; null if the upload may move. */
  readonly unmet: keyof UploadConditions | null;
  /** When the clock may change this, in milliseconds since 1970; null if only the network can, or nothing. */
  readonly recheckAt: number | null;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export function checkConditions(
  conditions: UploadConditions,
  { now, msOfDay, isMetered }: Circumstances,
): ConditionsCheck {
  const { unmetered, notBefore, hours } = conditions;
  if (unmetered && isMetered) return { unmet: "unmetered", recheckAt: null };
  if (notBefore !== null && now < notBefore) return { unmet: "notBefore", recheckAt: notBefore };
  if (hours === null) return { unmet: null, recheckAt: null };
  const isOpen = isWithin(hours, msOfDay);
  // An hour off if the clocks are changed on the way. Too early is looked at again; too late is so once a year.
  const wait = untilHour(isOpen ? hours.to : hours.from, msOfDay);
  return { unmet: isOpen ? null : "hours", recheckAt: now + wait };
}

/** Whether what may move now may have to stop again. */
export function canBecomeUnmet({ unmetered, hours }: UploadConditions): boolean {
  return unmetered || hours !== null;
}

/** Properties of the Network Information API. Only Chromium has it, and `type` only on mobile systems. */
export interface ConnectionFacts {
  readonly type?: string;
  readonly saveData?: boolean;
}

/**
 * An unknown network counts as unmetered: on desktops the type is never known, and nothing would ever be
 * sent.
 */
export function isMetered(connection: ConnectionFacts | undefined): boolean {
  return connection?.saveData === true || METERED_TYPES.includes(connection?.type ?? "");
}

/** Bluetooth is what a tethered phone is reached by. */
const METERED_TYPES = ["cellular", "bluetooth", "wimax"];

function isWithin({ from, to }: Hours, msOfDay: number): boolean {
  const [start, end] = [msOf(from), msOf(to)];
  if (start < end) return start <= msOfDay && msOfDay < end;
  return start <= msOfDay || msOfDay < end;
}

/** Whole ones, as the clock gives them: a twelfth of an hour would else never quite come. */
function msOf(hour: number): number {
  return Math.round(hour * HOUR_MS);
}

/** Milliseconds until it is next this hour; a whole day if it is now. */
function untilHour(hour: number, msOfDay: number): number {
  const ahead = (msOf(hour) - msOfDay) % DAY_MS;
  return ahead > 0 ? ahead : ahead + DAY_MS;
}
