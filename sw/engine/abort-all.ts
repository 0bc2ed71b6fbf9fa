import type { UploadStorage } from "../../src/core/storage.ts";
import type { Clock } from "../platform/index.ts";

/** Nobody who signs out waits for longer. */
const DEADLINE_MS = 10_000;
const AT_ONCE = 6;

/** Aborts these uploads at S3, as far as that is done in some seconds. Returns how many of them were. */
export async function abortAll(
  tokens: readonly string[],
  storage: Pick<UploadStorage, "abort">,
  clock: Pick<Clock, "after">,
): Promise<number> {
  let aborted = 0;
  let isLate = false;
  const left = [...tokens];
  const work = async () => {
    for (let token = left.shift(); token !== undefined && !isLate; token = left.shift())
      await storage.abort(token).then(
        () => {
          aborted += 1;
        },
        () => {},
      );
  };
  let undo = () => {};
  const deadline = new Promise<void>((resolve) => {
    undo = clock.after(DEADLINE_MS, resolve);
  });
  await Promise.race([deadline, Promise.all(Array.from({ length: AT_ONCE }, work))]);
  isLate = true;
  undo();
  return aborted;
}
