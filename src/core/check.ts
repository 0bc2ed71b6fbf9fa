import * as v from "valibot";
import { UploadError } from "./errors.ts";

/**
 * The value, if it has this shape.
 *
 * @throws {UploadError} `code`; its detail names the first place that is wrong
 */
export function check<T>(
  schema: v.GenericSchema<unknown, T>,
  value: unknown,
  code: "OPTION_INVALID" | "FILE_INVALID" = "OPTION_INVALID",
): T {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new UploadError(code, `${v.getDotPath(issue) ?? "the value"}: ${issue.message}`);
}
