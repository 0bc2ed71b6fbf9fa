/** No-break space: a number never stands on another line than its unit. */
const NBSP = "\u00a0";

const UNITS = ["B", "kB", "MB", "GB", "TB"] as const;
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const ONE_DIGIT = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const TWO_DIGITS = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** Formats bytes in powers of 1000, as networks and file managers count: "8.4 MB". */
export function formatBytes(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  // From 999.5 on it would read "1,000 kB".
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? WHOLE : unit >= 3 && value < 10 ? TWO_DIGITS : ONE_DIGIT;
  return `${digits.format(value)}${NBSP}${UNITS[unit]}`;
}

export function formatSpeed(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** Coarser as it gets longer, so that it doesn't flicker: "42 s", "3 min", "2 h 10 min", "3 d 4 h". */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}${NBSP}s`;
  if (whole < 600 && whole % 60 >= 1) return pair(Math.floor(whole / 60), "min", whole % 60, "s");
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return `${minutes}${NBSP}min`;
  if (minutes < 24 * 60) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(minutes / 60);
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  const first = `${large}${NBSP}${largeUnit}`;
  return small === 0 ? first : `${first}${NBSP}${small}${NBSP}${smallUnit}`;
}

/** Whole percent, rounded down: 100 is for what is there to the last byte. */
export function wholePercent(part: number, whole: number): number {
  if (whole === 0) return 0;
  return Math.min(100, Math.floor((part / whole) * 100));
}

export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${WHOLE.format(count)}${NBSP}${count === 1 ? one : many}`;
}
