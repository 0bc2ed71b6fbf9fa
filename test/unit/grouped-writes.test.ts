import { beforeEach, expect, test } from "vitest";
import { GroupedWrites } from "../../sw/database/grouped-writes.ts";
import { settlementOf } from "../support/settlement.ts";

/** What a transaction has written so far. */
type Log = string[];

let committed: Log[];
let commit: () => void;
let writes: GroupedWrites<Log>;

beforeEach(() => {
  committed = [];
  commit = () => {};
  writes = new GroupedWrites(async (work) => {
    const log: Log = [];
    await work(log);
    await new Promise<void>((resolve) => {
      commit = resolve;
    });
    committed.push(log);
  });
});

const write = (what: string) => writes.add(async (log) => log.push(what));
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const commitOne = async () => {
  await settle();
  commit();
  await settle();
};

test("Writes of one turn share a transaction, and those that come meanwhile share the next one", async () => {
  const first = [write("a"), write("b")].map(settlementOf);
  await settle();
  const next = [write("c"), write("d")].map(settlementOf);
  await commitOne();
  const states = () => [...first, ...next].map(({ state }) => state);
  expect([committed, states()]).toEqual([[["a", "b"]], ["fulfilled", "fulfilled", "pending", "pending"]]);
  await commitOne();
  expect(committed).toEqual([
    ["a", "b"],
    ["c", "d"],
  ]);
  expect(states().slice(2)).toEqual(["fulfilled", "fulfilled"]);
});

test("Each write finds what the one before has left, and gets its own result", async () => {
  const first = write("a");
  await commitOne();
  await first;
  const results = ["b", "c", "d"].map(write);
  await commitOne();
  expect(await Promise.all(results)).toEqual([1, 2, 3]);
});

test("A write that fails takes none of the others with it", async () => {
  const before = write("a");
  const broken = settlementOf(writes.add(() => Promise.reject(new Error("broken"))));
  const after = settlementOf(write("b"));
  await commitOne();
  await before;
  await commitOne();
  expect([broken.state, after.state, committed]).toEqual(["rejected", "fulfilled", [["a"], ["b"]]]);
});

test("A thousand writes are not one transaction, which would hold up whoever comes after them", async () => {
  const all = Array.from({ length: 1_000 }, (_, index) => write(String(index)));
  for (let turn = 0; turn < 20; turn++) await commitOne();
  await Promise.all(all);
  expect(Math.max(...committed.map((log) => log.length))).toBe(128);
  expect(committed.flat()).toEqual(Array.from({ length: 1_000 }, (_, index) => String(index)));
});
