import { parseTimeSpan } from "../time-span.ts";
import { UsageError } from "./terminal.ts";

/** The options that `setup` and `check` share. */
export const BUCKET_OPTIONS = {
  origin: { type: "string", multiple: true },
  prefix: { type: "string" },
  "uploads-last": { type: "string" },
} as const;

// As the handler's tokenSeconds may be.
const MAX_UPLOAD_MS = 366 * 86_400_000;

/** @throws {UsageError} */
export function originsOf(origins: readonly string[] = []): readonly string[] {
  if (origins.length === 0)
    throw new UsageError("--origin is missing: the app's, such as https://app.example");
  for (const origin of origins)
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      throw new UsageError(`--origin is "${origin}": expected an origin such as https://app.example`);
  return origins;
}

/** @throws {UsageError} */
export function uploadsLastOf(text = "7d"): number {
  const ms = parseTimeSpan(text);
  if (ms === null || ms > MAX_UPLOAD_MS)
    throw new UsageError(`--uploads-last is "${text}": expected a duration such as 7d`);
  return ms;
}
