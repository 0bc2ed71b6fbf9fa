/**
 * `npm run bench:many-files`: thousands of small files added at once over a link of 80 ms, and what they cost the page, the
 * worker and its database. A number limits the files: `npm run bench:many-files -- 1000`.
 */
import { startBrowserBed } from "../test/browser/browser-bed.ts";
import {
  addPicked,
  countTransactions,
  damagedFiles,
  pickManyFiles,
  untilDone,
  watchLongTasks,
} from "../test/browser/many-files.ts";
import { residentBytesOf } from "../test/support/process-memory.ts";

const COUNT = Number(process.argv[2] ?? 5_000);
const BYTES = 10_000;
const MIB = 1024 * 1024;
const ROUND_TRIP_MS = 80;

const rows: { what: string; measured: string; wanted: string }[] = [];
const note = (what: string, measured: string, wanted = "") => rows.push({ what, measured, wanted });
const inMs = (ms: number) => `${ms.toFixed(0)} ms`;
const timed = async (work: () => Promise<unknown>) => {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
};

const bed = await startBrowserBed({ onDisk: true, linkOptions: { latencyMs: ROUND_TRIP_MS / 2 } });
try {
  const page = await bed.openPage();
  const files = await pickManyFiles(bed, page, COUNT, BYTES);
  const transactions = await countTransactions(bed.context);
  const longTasks = await watchLongTasks(page);

  const longest = async (what: string) => {
    const tasks = await longTasks();
    note(
      `tasks over 50 ms on the page, ${what}`,
      tasks.map((ms) => ms.toFixed(0)).join(", ") || "none",
      "none",
    );
  };

  note(`addAll of ${COUNT} settles`, inMs(await addPicked(page)), "10,000 ms");
  await longest("while they are added");
  const { readonly: reads, readwrite: writes } = await transactions();
  note("transactions per upload, while they are added", ((reads + writes) / COUNT).toFixed(2));

  note("pause of all", inMs(await page.evaluate(timeOf, "pause" as const)), "1,000 ms");
  note("resume of all", inMs(await page.evaluate(timeOf, "resume" as const)), "1,000 ms");
  await longest("at pause and resume");

  const second = await bed.context.newPage();
  const connecting = timed(async () => {
    await second.goto(page.url());
    await second.waitForFunction((count) => globalThis.uploads?.list().length === count, COUNT, {
      polling: 10,
    });
  });
  note(`a page opens and lists ${COUNT}`, inMs(await connecting), "1,000 ms");
  await second.close();

  const memory: number[] = [];
  const sampling = setInterval(
    () => void residentBytesOf(bed.folder).then((bytes) => memory.push(bytes)),
    1_000,
  );
  const sendingMs = await timed(() => untilDone(page, COUNT, 1_200_000));
  clearInterval(sampling);
  await longest("while they are sent");
  note("all are sent", `${(sendingMs / 1_000).toFixed(1)} s`);
  const puts = bed.requests
    .filter(({ operation, stored }) => operation === "PutObject" && stored)
    .map(({ endedAt }) => endedAt);
  const share = Math.floor(COUNT / 5);
  const perUpload = (from: number, to: number) => ((puts[to] ?? 0) - (puts[from] ?? 0)) / (to - from);
  // From the hundredth on: those before were sent while they were added, paused and listed.
  const first = perUpload(Math.min(100, share / 2), share);
  const last = perUpload(COUNT - share, COUNT - 1);
  note("time per upload, first fifth", `${first.toFixed(1)} ms`);
  note("time per upload, last fifth", `${last.toFixed(1)} ms, ${(last / first).toFixed(2)} ×`, "1.20 ×");
  const { readonly: allReads, readwrite: allWrites } = await transactions();
  note(
    "transactions per upload",
    `${(allReads / COUNT).toFixed(2)} read, ${(allWrites / COUNT).toFixed(2)} write`,
  );
  const inMib = (bytes = 0) => (bytes / MIB).toFixed(0);
  const at = (part: number) => memory[Math.floor((memory.length - 1) * part)];
  note(
    "memory of the renderers, from start to end of the sending",
    `${[0, 0.25, 0.5, 0.75, 1].map((part) => inMib(at(part))).join(", ")} MiB`,
  );

  const damaged = await damagedFiles(bed, files);
  note("files that S3 does not hold as they were", String(damaged.length), "0");
} finally {
  console.table(rows);
  await bed.close();
}

/** Runs in the page. */
async function timeOf(command: "pause" | "resume"): Promise<number> {
  const startedAt = performance.now();
  await uploads[command]();
  return performance.now() - startedAt;
}
