import { explained } from "../core/error-messages.ts";
import type { UploadError } from "../core/errors.ts";
import { PROTOCOL_VERSION } from "../protocol/protocol.ts";

/** Says which side is the older one. @param version the worker's */
export function mismatch(version: number): UploadError {
  const older =
    version > PROTOCOL_VERSION
      ? "the page is the older one: reload it"
      : "the worker is the older one: deploy its script anew, built with the page's version of backhaul";
  return explained({
    code: "PROTOCOL_MISMATCH",
    detail: `protocol ${PROTOCOL_VERSION} here, ${version} there; ${older}`,
  });
}
