import { MIB, S3_LIMITS } from "../core/limits.ts";
import { RELAY_TOKEN_HEADER } from "../core/relay-url.ts";
import type { PagePlatform } from "./platform.ts";

/** What this page has found out about the way to the relay. */
export type RelayReach =
  /** Nothing yet, or nothing that is certain. */
  | { readonly is: "unknown" }
  /** Something else than the relay answers there. */
  | { readonly is: "missing" }
  /** Bodies of `maxBytes` come through. Larger ones don't, or, if `maxBytes` is null, no limit was met. */
  | { readonly is: "there"; readonly maxBytes: number | null };

const EMPTY_MIB = new Uint8Array(MIB);
/** What is found out is not worth more, of what there is to send. */
const MOST_SHARE = 0.05;
/**
 * Limits that proxies have by default, or are often given: nginx 1 MiB; Cloudflare 100 MB and, for more money, 200. The first
 * that does not come through shows the limit before it; the empty one, whether there is a relay at all.
 */
const STEPS_MIB = [0, 1, 5, 10, 50, 100];
/** A body that would take longer is not worth its bytes, unless it is as small as the smallest part: nothing goes without those. */
const MOST_MS = 2_000;
const SMALLEST_PART_MIB = S3_LIMITS.minPartBytes / MIB;

/**
 * Asks the relay, by bodies that grow, how large a one comes through. On a slow link it stops at the smallest part: what was
 * not tried is taken to come through.
 *
 * Nor does it send more than a twentieth of what there is to send.
 */
export async function probeRelay(
  platform: Pick<PagePlatform, "clock" | "fetch">,
  relay: string,
  { token, auth, bytesToSend }: ProbeOptions,
): Promise<RelayReach> {
  const { clock } = platform;
  const url = `${relay.replace(/\/$/, "")}/probe`;
  const headers = { ...auth, [RELAY_TOKEN_HEADER]: token };
  let passed = 0;
  let sent = 0;
  for (const [index, step] of STEPS_MIB.entries()) {
    const bytes = step * MIB;
    sent += bytes;
    if (sent > bytesToSend * MOST_SHARE) break;
    const startedAt = clock.now();
    let status: number;
    try {
      const body = new Blob(Array.from({ length: step }, () => EMPTY_MIB));
      const answer = await platform.fetch(url, { method: "PUT", headers, body });
      status = answer.ok && (await saysSo(answer, bytes)) ? 200 : answer.ok ? 404 : answer.status;
    } catch {
      // A proxy may close the connection over a body that is too large, but so may any network.
      return { is: "unknown" };
    }
    if (status === 413) return { is: "there", maxBytes: passed };
    if (status === 404 || status === 405) return { is: "missing" };
    if (status !== 200) return { is: "unknown" };
    passed = bytes;
    const next = STEPS_MIB[index + 1] ?? 0;
    if (step >= SMALLEST_PART_MIB && (clock.now() - startedAt) * (next / step) > MOST_MS) break;
  }
  return { is: "there", maxBytes: null };
}

export interface ProbeOptions {
  /** Of any upload that is open, since the relay lets nobody else in. */
  readonly token: string;
  /** The app's headers. */
  readonly auth: Readonly<Record<string, string>>;
  readonly bytesToSend: number;
}

/** Apps that answer everything with their page of HTML say 200 as well. */
async function saysSo(answer: Response, bytes: number): Promise<boolean> {
  const json: unknown = await answer.json().catch(() => null);
  return typeof json === "object" && json !== null && "bytes" in json && json.bytes === bytes;
}
