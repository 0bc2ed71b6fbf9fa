import { S3Failure } from "../../s3/s3-faults.ts";
import type { CheckOptions } from "./finding.ts";

const TIMEOUT_MS = 20_000;
const MAX_TEXT_CHARACTERS = 4_096;

/** A request as a browser sends it: without credentials, and following no redirect. */
export async function browserFetch(
  { signal }: Pick<CheckOptions, "signal">,
  url: string,
  init: RequestInit,
): Promise<Response> {
  try {
    return await fetch(url, {
      ...init,
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
  } catch (error) {
    throw networkFailure(error);
  }
}

/** `fetch` says "fetch failed"; why is in its error's cause. */
function networkFailure(error: unknown): S3Failure {
  const { cause = error } = error as { cause?: unknown };
  const { code, name, message } = cause as { code?: unknown; name?: string; message?: string };
  return new S3Failure(typeof code === "string" ? code : (name ?? "NETWORK"), null, null, message ?? "");
}

/** A refusal as S3 words it, without the signed request that some of its messages quote. */
export async function failureOfResponse(response: Response): Promise<S3Failure> {
  const text = (await response.text()).slice(0, MAX_TEXT_CHARACTERS);
  const code = /<Code>(\w{1,64})<\/Code>/.exec(text)?.[1];
  const message = /<Message>([^<]{1,200})/.exec(text)?.[1] ?? "";
  return new S3Failure(code ?? "no error of S3's", response.status, null, message);
}
