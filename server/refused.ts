import * as v from "valibot";

/**
 * A request that is refused before anything is done for it. `detail` is for the client; it quotes nothing of
 * the body.
 */
export class RequestRefused extends Error {
  override readonly name = "RequestRefused";

  constructor(
    /** HTTP status, 400 to 415. */
    readonly status: number,
    readonly detail: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(`${status}: ${detail}`);
  }
}

/** @throws {RequestRefused} 400, which names the first field that is wrong, but not its value */
export function parseOrRefuse<T extends v.GenericSchema>(value: unknown, schema: T): v.InferOutput<T> {
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = v.getDotPath(issue) ?? "the body";
  throw new RequestRefused(
    400,
    issue.expected === null ? `${path} is wrong` : `${path} should be ${issue.expected}`,
  );
}
