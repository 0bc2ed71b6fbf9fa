import type { S3Client } from "@aws-sdk/client-s3";
import type { S3Uploads } from "../../s3/s3-uploads.ts";
import type { ChecksumKind } from "../../src/core/checksum.ts";
import type { Probes } from "./probes.ts";
import { failureOf, remedyOf } from "./remedies.ts";

/** One line of what `backhaul check` says. */
export interface Finding {
  /** "warning": uploads work, but something is worth knowing. */
  readonly level: "ok" | "warning" | "failure";
  readonly about: string;
  /** What was found. */
  readonly text: string;
  /** What to do about it; "" if nothing. */
  readonly remedy: string;
}

export interface CheckOptions {
  /** The app's own client, whose calls have a deadline. */
  readonly client: S3Client;
  readonly uploads: S3Uploads;
  readonly bucket: string;
  /** The app's origins. */
  readonly origins: readonly string[];
  /** Keys of the app's uploads begin with this. */
  readonly prefix: string;
  /** What the app's worker sends. */
  readonly checksum: ChecksumKind;
  readonly uploadsLastMs: number;
  /** The handler's public URL; null if it is not to be checked. */
  readonly relay: string | null;
  /** Headers for the handler. */
  readonly headers: Readonly<Record<string, string>>;
  /** URL of an object, as browsers reach it. */
  readonly locate: (key: string) => Promise<string>;
  /** Ends the check. */
  readonly signal: AbortSignal;
}

export interface CheckContext extends CheckOptions {
  readonly probes: Probes;
}

export function ok(about: string, text = ""): Finding {
  return { level: "ok", about, text, remedy: "" };
}

export function warning(about: string, text: string, remedy: string): Finding {
  return { level: "warning", about, text, remedy };
}

export function failure(about: string, text: string, remedy: string): Finding {
  return { level: "failure", about, text, remedy };
}

/** A failed call as a finding. */
export function refused(about: string, error: unknown, permission: string): Finding {
  const cause = failureOf(error);
  const status = cause.status === null ? "" : ` (HTTP ${cause.status})`;
  return failure(about, `${cause.message}${status}`, remedyOf(cause, permission));
}
