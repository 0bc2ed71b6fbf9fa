const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A duration such as "90m", "24h" or "7d": a number and its unit (s, m, h or d). */
export type TimeSpan = `${number}${keyof typeof UNIT_MS}`;

/** The duration in milliseconds; null if the text is not a `TimeSpan`. */
export function parseTimeSpan(text: string): number | null {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? [];
  if (number === undefined || unit === undefined) return null;
  const ms = Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS];
  return Number.isFinite(ms) ? ms : null;
}
