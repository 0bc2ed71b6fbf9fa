import { randomUUID } from "node:crypto";
import { headerOf } from "../../s3/checksums.ts";
import type { SingleClaims } from "../../s3/claims.ts";
import { isSigned } from "../../src/core/checksum.ts";
import { browserFetch, failureOfResponse } from "./browser-fetch.ts";
import { type CheckContext, type Finding, failure, ok, refused, warning } from "./finding.ts";

const SETUP = "run `npx backhaul setup`, or set the bucket's CORS rules";

/** Whether pages of the app's origins may send what the worker sends, and read what it has to. */
export async function* checkCors(context: CheckContext): AsyncGenerator<Finding> {
  for (const origin of context.origins) {
    const preflight = await checkPreflight(context, origin);
    yield preflight;
    if (preflight.level !== "failure") yield await checkAnswer(context, origin);
  }
}

async function checkPreflight(context: CheckContext, origin: string): Promise<Finding> {
  const about = `preflight from ${origin}`;
  const { checksum } = context;
  const names = ["content-type", "x-amz-meta-backhaul-upload"];
  if (checksum === "md5") names.push("content-md5");
  if (isSigned(checksum)) names.push(headerOf(checksum));
  const requested = names.sort();
  let response: Response;
  try {
    response = await browserFetch(context, await context.locate(context.probes.newKey()), {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "PUT",
        "access-control-request-headers": requested.join(","),
      },
    });
  } catch (error) {
    return refused(about, error, "CORS");
  }
  const { status, headers } = response;
  if (status >= 300 && status < 400)
    return failure(
      about,
      `redirected to ${headers.get("location") ?? "somewhere"}, which browsers do not follow`,
      "set the endpoint, or publicEndpoint, to where it leads; a new bucket of Amazon's needs its region's own host name",
    );
  if (!response.ok) return failure(about, (await failureOfResponse(response)).message, SETUP);
  const allowedOrigin = headers.get("access-control-allow-origin");
  if (allowedOrigin !== "*" && allowedOrigin !== origin)
    return failure(about, `the answer allows ${allowedOrigin ?? "no origin"}`, SETUP);
  const methods = listOf(headers.get("access-control-allow-methods"));
  if (!methods.includes("put") && !methods.includes("*"))
    return failure(about, "the answer does not allow PUT", SETUP);
  const allowed = listOf(headers.get("access-control-allow-headers"));
  const missing = requested.filter((name) => !allowed.includes(name) && !allowed.includes("*"));
  if (missing.length > 0)
    return failure(about, `the answer does not allow the header ${missing.join(", ")}`, SETUP);
  const seconds = Number(headers.get("access-control-max-age") ?? 0);
  if (!(seconds > 5))
    return warning(
      about,
      "allowed, but not to be remembered",
      "set MaxAgeSeconds: each part costs a preflight",
    );
  return ok(about, `allowed, remembered for ${seconds} s`);
}

async function checkAnswer(context: CheckContext, origin: string): Promise<Finding> {
  const { probes, uploads, bucket } = context;
  const about = `answers to ${origin}`;
  const body = "backhaul";
  const claims: SingleClaims = {
    method: "single",
    bucket,
    key: probes.newKey(),
    uploadId: randomUUID(),
    size: body.length,
    type: "text/plain",
    checksum: "none",
    owner: null,
    expiresAt: Date.now() + 600_000,
  };
  try {
    const [signed] = await uploads.sign(claims, [{ partNumber: 1, checksum: null }]);
    if (signed === undefined) throw new Error("nothing was signed");
    const response = await browserFetch(context, signed.url, {
      method: "PUT",
      headers: { ...signed.headers, origin },
      body,
    });
    // What the permissions lack is said by the uploads' own lines.
    if (!response.ok)
      return warning(about, (await failureOfResponse(response)).message, "see the uploads below");
    const allowed = response.headers.get("access-control-allow-origin");
    if (allowed !== "*" && allowed !== origin)
      return failure(about, "have no Access-Control-Allow-Origin, so that pages can't read them", SETUP);
    const exposed = listOf(response.headers.get("access-control-expose-headers"));
    // A star stands for all only where no cookies are sent, which is the case here.
    if (!exposed.includes("etag") && !exposed.includes("*"))
      return failure(
        about,
        "do not expose the ETag, which completing an upload needs",
        `${SETUP}: ExposeHeaders`,
      );
    return ok(about, "can be read, ETag included");
  } catch (error) {
    return refused(about, error, "s3:PutObject");
  }
}

function listOf(header: string | null): readonly string[] {
  return (header ?? "").split(",").map((name) => name.trim().toLowerCase());
}
