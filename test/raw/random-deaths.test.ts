import { setTimeout as pass } from "node:timers/promises";
import { afterEach, expect, onTestFailed, test } from "vitest";
import { seededRandom } from "../support/seeded-random.ts";
import { type AddedFile, addFile, type RawBed, startRawBed } from "./raw-bed.ts";
import type { RawTab } from "./raw-tab.ts";

const MIB = 1024 * 1024;
const DEATHS = 60;

let bed: RawBed | undefined;
afterEach(() => bed?.close());

test("60 random deaths in a row: everything arrives byte for byte", async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 32);
  console.log(`SEED=${seed} repeats this run`);
  const random = seededRandom(seed);
  const started = await startRawBed({ linkBytesPerSecond: 12 * MIB });
  bed = started;
  const { browser, link } = started;
  const files: AddedFile[] = [];
  let tab: RawTab | undefined = await started.openPage();

  /** A page that has something to do: more files, as soon as those before are nearly through. */
  async function readyPage(): Promise<RawTab> {
    tab ??= await started.openPage();
    const left = await tab.evaluate(() =>
      uploads
        .list()
        .reduce(
          (sum, { state, size, uploadedBytes }) => sum + (state === "done" ? 0 : size - uploadedBytes),
          0,
        ),
    );
    if (left < 60 * MIB)
      files.push(await addFile(started, tab, `file-${files.length}`, Math.ceil((40 + random() * 80) * MIB)));
    return tab;
  }

  const deaths = {
    async workerStopped() {
      await (await readyPage()).stopWorker();
    },
    async tabClosed() {
      await (await readyPage()).close();
      tab = undefined;
    },
    async reloaded() {
      const page = await readyPage();
      await page.evaluate("location.reload()");
      await page.until("'uploads' in globalThis");
    },
    async browserKilled() {
      await readyPage();
      await browser.kill();
      tab = undefined;
      await browser.restart();
    },
    async linkCut() {
      await readyPage();
      link.cut();
      await pass(random() * 3_000);
      link.mend();
    },
  };
  const history: string[] = [];
  onTestFailed(() => console.log(history.join(" ")));
  const kinds = Object.keys(deaths) as (keyof typeof deaths)[];
  for (let death = 1; death <= DEATHS; death++) {
    // The moment is what is random: this waits for nothing.
    await pass(random() * 3_000);
    const kind = kinds[Math.floor(random() * kinds.length)] as keyof typeof deaths;
    history.push(kind);
    await deaths[kind]();
  }

  const page = tab ?? (await started.openPage());
  await page.until(() => uploads.list().every(({ state }) => state === "done"), [], 300_000);
  for (const { key, sha256 } of files) expect(await started.sha256(key), key).toBe(sha256);
  console.log(`${DEATHS} deaths over ${files.length} files`);
}, 1_500_000);
