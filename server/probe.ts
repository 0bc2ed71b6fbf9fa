import type { ProbeAnswer } from "../src/core/http-api.ts";
import { RELAY_TOKEN_HEADER } from "../src/core/relay-url.ts";
import { StorageFault } from "../src/core/storage.ts";
import { createPatience } from "./patience.ts";
import { clientGone, type RangeBody, rangeBody } from "./range-body.ts";
import { requireUncompressed } from "./read-body.ts";
import { RequestRefused } from "./refused.ts";

/** No range is larger, so that nobody need ask for more. */
const MOST_BYTES = 256 * 1024 * 1024;

/** @throws {RequestRefused} 400, 411, 413, 415 */
export function readProbeHead({ headers }: Request): { readonly token: string; readonly bytes: number } {
  const token = headers.get(RELAY_TOKEN_HEADER) ?? "";
  if (token === "") throw new RequestRefused(400, `the header ${RELAY_TOKEN_HEADER} is missing`);
  requireUncompressed(headers);
  const length = headers.get("content-length");
  if (length === null || !/^\d{1,16}$/.test(length))
    throw new RequestRefused(411, "the content length is missing, or another parser has read the body");
  if (Number(length) > MOST_BYTES) throw new RequestRefused(413, `at most ${MOST_BYTES} bytes`);
  return { token, bytes: Number(length) };
}

/**
 * Reads a body to its end and drops it: a page asks how large a body comes through to the relay.
 *
 * @throws {StorageFault} `network`, if the body does not come whole
 */
export async function readProbe(
  request: Request,
  bytes: number,
  { idleSeconds, bytesPerSecond }: { readonly idleSeconds: number; readonly bytesPerSecond: number },
): Promise<ProbeAnswer> {
  const tooSlow = new StorageFault("network", "NETWORK", { detail: "the client sent too slowly" });
  const patience = createPatience(idleSeconds * 1_000, bytesPerSecond, () => body.end(tooSlow));
  const body: RangeBody = rangeBody(request.body, patience);
  try {
    await body.part(bytes).skip();
    return { bytes };
  } finally {
    body.end(clientGone());
  }
}
