import { afterEach, expect, test } from "vitest";
import { partsSentTwice } from "../support/sent-once.ts";
import { addRandomFiles, type BrowserBed, finished, startBrowserBed, workerStopper } from "./browser-bed.ts";

const KIB = 1024;

let bed: BrowserBed | undefined;
afterEach(() => bed?.close());

test("1,050 parts go on, after the worker's death, from two pages of ListParts", async () => {
  const started = await startBrowserBed({ minPartBytes: KIB });
  bed = started;
  // The first and the last part hang on their way, and so are in doubt when the worker dies.
  const hanging = /partNumber=(1|1050)&/;
  await started.context.route(hanging, () => {});
  const page = await started.openPage({ limits: { minPartBytes: KIB } });
  const [added] = await addRandomFiles(page, [{ key: "many", size: 1_050 * KIB, partSize: KIB }]);
  const { id, sha256 } = added as { id: string; sha256: string };
  await page.waitForFunction((wanted) => uploads.get(wanted)?.partsDone === 1_048, id);

  const death = await (await workerStopper(page))();
  await started.context.unroute(hanging);
  expect(await finished(page, id)).toMatchObject({ size: 1_050 * KIB });

  expect(await started.sha256("many")).toBe(sha256);
  expect(partsSentTwice(started.requests, [death])).toEqual([]);
  const lists = started.requests.filter(({ operation }) => operation === "ListParts");
  expect(lists.length).toBeGreaterThanOrEqual(2);
});
