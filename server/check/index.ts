/** `backhaul check`: tries on a real bucket all that uploads need, and says what is wrong. */
import { checkAccess } from "./bucket.ts";
import { checkCors } from "./cors.ts";
import { type CheckOptions, type Finding, warning } from "./finding.ts";
import { checkLifecycle } from "./lifecycle.ts";
import { createProbes } from "./probes.ts";
import { checkRelay } from "./relay.ts";
import { checkUnsignedHeaders } from "./unsigned.ts";
import { checkUploads } from "./uploads.ts";

export type { CheckOptions, Finding } from "./finding.ts";

/** What it finds, as it finds it. Whatever it has stored is removed at the end, however it ends. */
export async function* checkBucket(options: CheckOptions): AsyncGenerator<Finding> {
  const { client, bucket, prefix, relay } = options;
  const context = { ...options, probes: createProbes(client, bucket, prefix) };
  try {
    if (yield* checkAccess(context)) {
      yield* checkCors(context);
      yield* checkUploads(context);
      yield await checkUnsignedHeaders(context);
      yield await checkLifecycle(context);
    }
    if (relay !== null) yield* checkRelay(context, relay);
  } finally {
    const left = await context.probes.remove();
    if (left.length > 0)
      yield warning(
        "clean-up",
        `${left.length} could not be removed: ${left.slice(0, 3).join("; ")}`,
        `allow s3:DeleteObject on ${prefix}backhaul-check/* to these credentials, or delete them yourself`,
      );
  }
}
