import type { UploadClaims } from "../s3/claims.ts";
import type { Operation } from "../src/core/http-api.ts";

/**
 * What an upload's own token is enough for while its user is not there: to see which parts S3 has, to send the
 * others, and to make the object of them. A worker that goes on with no page open has a token, but neither the
 * bearer token nor the CSRF header that only the app's pages know.
 */
const OPERATIONS: ReadonlySet<Operation> = new Set(["sign", "parts", "complete"]);

/**
 * Whether the request may be allowed with nobody signed in.
 *
 * @param isAsked whether the client has said that it asks by the token alone
 * @param seconds the server's setting, since `begin`
 * @param now milliseconds since the epoch
 */
export function isUnattended(
  { unattended = false, issuedAt = 0 }: UploadClaims,
  operation: Operation,
  { isAsked, seconds, now }: { readonly isAsked: boolean; readonly seconds: number; readonly now: number },
): boolean {
  return isAsked && unattended && OPERATIONS.has(operation) && now < issuedAt + seconds * 1_000;
}
