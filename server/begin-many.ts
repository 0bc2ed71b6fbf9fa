import { toStorageFault } from "../s3/s3-faults.ts";
import type { BeginManyAnswer } from "../src/core/http-api.ts";
import type { BeginAnswer, BeginIntent } from "../src/core/storage.ts";
import { errorOf, statusOf } from "./answers.ts";
import { RequestRefused } from "./refused.ts";

/** S3 is asked for so many of a request's uploads at once. */
const BEGUN_AT_ONCE = 8;

/**
 * Begins each upload on its own: one that is refused keeps none of the others from beginning.
 *
 * @param onFailed is told of each that has not begun, and of the status that it would have been answered with alone
 */
export async function beginMany(
  intents: readonly BeginIntent[],
  begin: (intent: BeginIntent, index: number) => Promise<BeginAnswer>,
  onFailed: (error: Error, status: number, index: number) => void,
): Promise<BeginManyAnswer> {
  const uploads: BeginManyAnswer["uploads"] = new Array(intents.length);
  const left = intents.entries();
  const work = async () => {
    // All workers share one iterator, so that each intent is begun once.
    for (const [index, intent] of left) {
      try {
        uploads[index] = await begin(intent, index);
      } catch (error) {
        const refused = error instanceof RequestRefused ? error : toStorageFault(error);
        onFailed(refused, refused instanceof RequestRefused ? refused.status : statusOf(refused), index);
        uploads[index] = errorOf(refused);
      }
    }
  };
  await Promise.all(Array.from({ length: BEGUN_AT_ONCE }, work));
  return { uploads };
}
