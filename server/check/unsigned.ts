import { randomUUID } from "node:crypto";
import type { SingleClaims } from "../../s3/claims.ts";
import { browserFetch } from "./browser-fetch.ts";
import { type CheckContext, type Finding, failure, ok, refused, warning } from "./finding.ts";

const ABOUT = "unsigned headers";

/** What a holder of a signed URL may add to it. */
export async function checkUnsignedHeaders(context: CheckContext): Promise<Finding> {
  const { bucket, probes } = context;
  try {
    const source = probes.newKey();
    if (!(await sendWith(context, source, "backhaul", {})))
      return warning(ABOUT, "not tried: no PUT succeeds", "");
    const copies = await sendWith(context, probes.newKey(), "", {
      "x-amz-copy-source": `/${bucket}/${source}`,
    });
    if (copies)
      return failure(
        ABOUT,
        "the engine accepts x-amz-copy-source: whoever holds a signed URL can copy any object that the credentials may read",
        "sign with credentials that may only s3:PutObject (the handler's signingClient; here BACKHAUL_SIGNING_ACCESS_KEY_ID)",
      );
    if (await sendWith(context, probes.newKey(), "backhaul", { "x-amz-meta-unsigned": "1" }))
      return warning(
        ABOUT,
        "the engine accepts x-amz-* headers that were not signed, x-amz-acl among them",
        'have an ACL signed (the handler\'s object: { acl: "private" })',
      );
    return ok(ABOUT, "x-amz-* are refused");
  } catch (error) {
    return refused(ABOUT, error, "s3:PutObject");
  }
}

/** Whether the PUT succeeds with headers that its signature does not have. */
async function sendWith(
  context: CheckContext,
  key: string,
  body: string,
  headers: Readonly<Record<string, string>>,
): Promise<boolean> {
  const claims: SingleClaims = {
    method: "single",
    ...{ bucket: context.bucket, key, size: body.length },
    uploadId: randomUUID(),
    type: "text/plain",
    checksum: "none",
    owner: null,
    expiresAt: Date.now() + 600_000,
  };
  const [signed] = await context.uploads.sign(claims, [{ partNumber: 1, checksum: null }]);
  if (signed === undefined) return false;
  const init = { method: "PUT", headers: { ...signed.headers, ...headers }, body };
  const response = await browserFetch(context, signed.url, init);
  await response.body?.cancel();
  return response.ok;
}
