import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type PartPlan, partBytes } from "../../src/core/part-plan.ts";
import { PartLedger } from "../../sw/model/part-ledger.ts";
import type { PartRecord } from "../../sw/model/record.ts";

const plan = (partCount: number, lastBytes = 3): PartPlan => {
  const partSize = 10;
  return { size: (partCount - 1) * partSize + lastBytes, partSize, partCount };
};
const row = (partNumber: number, etag?: string): PartRecord =>
  etag === undefined
    ? { uploadId: "u", partNumber, state: "sending" }
    : { uploadId: "u", partNumber, state: "done", etag, checksum: null };
const receipt = (partNumber: number, etag = "e") => ({ partNumber, etag, checksum: null });

describe("a new ledger", () => {
  test("gives the parts in order, each once", () => {
    const ledger = new PartLedger(plan(3));
    expect(ledger.upcoming(2)).toEqual([1, 2]);
    expect([ledger.startNext(), ledger.startNext(), ledger.startNext(), ledger.startNext()]).toEqual([
      1,
      2,
      3,
      undefined,
    ]);
    expect([...ledger.flyingParts]).toEqual([1, 2, 3]);
    expect(ledger.hasPending).toBe(false);
    expect(ledger.isComplete).toBe(false);
  });

  test("is complete with its last part, and has every receipt in order", () => {
    const ledger = new PartLedger(plan(3));
    for (const n of [3, 1, 2]) {
      expect(ledger.isComplete).toBe(false);
      ledger.done(receipt(n, `e${n}`));
    }
    expect(ledger.isComplete).toBe(true);
    expect([ledger.doneParts, ledger.doneBytes]).toEqual([3, 23]);
    expect(ledger.receipts().map((part) => part.etag)).toEqual(["e1", "e2", "e3"]);
  });

  test("of an empty file has one empty part", () => {
    const ledger = new PartLedger({ size: 0, partSize: 10, partCount: 1 });
    expect([ledger.isComplete, ledger.startNext()]).toEqual([false, 1]);
    ledger.done(receipt(1));
    expect([ledger.isComplete, ledger.doneBytes]).toEqual([true, 0]);
  });
});

describe("a restored ledger", () => {
  test("has what is done, doubts what was claimed, and sends the rest", () => {
    const ledger = new PartLedger(plan(5), [row(1, "e1"), row(2), row(4, "e4")]);
    expect([ledger.doneParts, ledger.doneBytes]).toEqual([2, 20]);
    expect(ledger.doubtfulAt(0)).toEqual([2]);
    expect(ledger.upcoming(9)).toEqual([3, 5]);
  });
});

const trouble = { code: "STALLED", detail: "" } as const;

describe("parts that others have sent", () => {
  test("are unverified until their bytes were compared, and pending again if they differ", () => {
    const ledger = new PartLedger(plan(3));
    ledger.done(receipt(1));
    ledger.done({ ...receipt(2), checksum: "x" });
    ledger.done(receipt(3));
    expect(ledger.unverified().map(({ partNumber }) => partNumber)).toEqual([1, 3]);
    ledger.retract(3);
    ledger.done({ ...receipt(1), checksum: "y" });
    expect(ledger.unverified()).toEqual([]);
    expect([ledger.doneParts, ledger.doneBytes, ledger.isComplete]).toEqual([2, 20, false]);
    expect(ledger.startNext()).toBe(3);
  });
});

describe("parts in doubt", () => {
  test("are looked up when they are due, ascending, and keep their faults until they are done", () => {
    const ledger = new PartLedger(plan(4));
    for (let n = 1; n <= 3; n++) ledger.startNext();
    ledger.doubt(3, 100, trouble);
    ledger.doubt(1, 50, trouble);
    ledger.doubt(1, 100, trouble);
    ledger.doubt(2, 200, trouble);
    expect(ledger.nextDoubtAt).toBe(100);
    expect(ledger.doubtfulAt(99)).toEqual([]);
    expect(ledger.doubtfulAt(100)).toEqual([1, 3]);
    expect(ledger.doubtfulAt(200)).toEqual([1, 2, 3]);
    ledger.giveBack(1);
    ledger.done(receipt(3));
    expect([1, 2, 3].map((n) => ledger.attemptsOf(n))).toEqual([2, 1, 0]);
    expect(ledger.nextDoubtAt).toBe(200);
    ledger.done(receipt(2));
    expect(ledger.nextDoubtAt).toBeUndefined();
  });

  test("that S3 does not have go before those that were never tried, with their faults", () => {
    const ledger = new PartLedger(plan(4));
    for (let n = 1; n <= 2; n++) ledger.startNext();
    for (let fault = 1; fault <= 3; fault++) ledger.doubt(2, 0, trouble);
    ledger.giveBack(2);
    expect(ledger.upcoming(9)).toEqual([2, 3, 4]);
    expect(ledger.startNext()).toBe(2);
    expect(ledger.attemptsOf(2)).toBe(3);
  });

  test("that were only broken off have no more faults than before", () => {
    const ledger = new PartLedger(plan(2));
    ledger.startNext();
    ledger.doubt(1, 0);
    expect([ledger.attemptsOf(1), ledger.troubled(9)]).toEqual([0, []]);
    ledger.doubt(1, 0, trouble);
    ledger.doubt(1, 0);
    expect(ledger.attemptsOf(1)).toBe(1);
  });

  test("and their last faults are told until they are done, only so many", () => {
    const ledger = new PartLedger(plan(4));
    for (let n = 1; n <= 3; n++) ledger.doubt(n, 0, trouble);
    ledger.doubt(2, 0, { code: "SLOW_DOWN", detail: "503" });
    ledger.giveBack(1);
    expect(ledger.troubled(9)).toEqual([
      { partNumber: 3, attempts: 1, error: trouble },
      { partNumber: 2, attempts: 2, error: { code: "SLOW_DOWN", detail: "503" } },
      { partNumber: 1, attempts: 1, error: trouble },
    ]);
    expect(ledger.troubled(2)).toHaveLength(2);
    for (const n of [1, 2, 3]) ledger.done(receipt(n));
    expect(ledger.troubled(9)).toEqual([]);
  });
});

test("a listed part matches only if it belongs to this plan and is whole", () => {
  const ledger = new PartLedger(plan(3));
  const matches = (partNumber: number, size: number) => ledger.matches({ ...receipt(partNumber), size });
  expect([matches(1, 10), matches(3, 3)]).toEqual([true, true]);
  expect([matches(1, 9), matches(1, 11), matches(3, 10), matches(4, 10)]).toEqual([
    false,
    false,
    false,
    false,
  ]);
});

/** The same, without any cleverness. */
interface Model {
  readonly plan: PartPlan;
  readonly parts: Map<number, ModelPart>;
}
type ModelPart =
  | { readonly is: "pending" | "flying"; readonly attempts: number }
  | { readonly is: "doubtful"; readonly attempts: number; readonly dueAt: number }
  | { readonly is: "done"; readonly etag: string };

const numbersOf = ({ parts }: Model, is: ModelPart["is"]) =>
  [...parts].filter(([, part]) => part.is === is).map(([partNumber]) => partNumber);
const ascending = (numbers: Iterable<number>) => [...numbers].sort((a, b) => a - b);
const attemptsOf = (part: ModelPart | undefined) => (part && "attempts" in part ? part.attempts : 0);

function expectSame(model: Model, { ledger }: { ledger: PartLedger }): void {
  const { partCount } = model.plan;
  const pending = ledger.upcoming(partCount + 1);
  expect(ascending(pending)).toEqual(numbersOf(model, "pending"));
  expect(ledger.upcoming(2)).toEqual(pending.slice(0, 2));
  expect(ledger.hasPending).toBe(pending.length > 0);
  expect(ascending(ledger.flyingParts)).toEqual(numbersOf(model, "flying"));
  expect(ledger.doubtfulAt(Number.POSITIVE_INFINITY)).toEqual(numbersOf(model, "doubtful"));
  const done = numbersOf(model, "done");
  expect(ledger.receipts().map(({ partNumber }) => partNumber)).toEqual(done);
  expect(ledger.doneParts).toBe(done.length);
  expect(ledger.doneBytes).toBe(done.reduce((sum, n) => sum + partBytes(model.plan, n), 0));
  expect(ledger.isComplete).toBe(done.length === partCount);
  for (const [n, part] of model.parts) expect(ledger.attemptsOf(n)).toBe(attemptsOf(part));
  const due = [...model.parts.values()].flatMap((part) => (part.is === "doubtful" ? [part.dueAt] : []));
  expect(ledger.nextDoubtAt).toBe(due.length === 0 ? undefined : Math.min(...due));
  if (due[0] !== undefined)
    expect(ledger.doubtfulAt(due[0])).toEqual(
      numbersOf(model, "doubtful").filter((n) => {
        const part = model.parts.get(n);
        return part?.is === "doubtful" && part.dueAt <= (due[0] as number);
      }),
    );
}

type Command = fc.Command<Model, { ledger: PartLedger }>;

/** A command on one of the parts that are in one of `from`; `pick` says on which. */
function onPart(
  name: string,
  from: readonly ModelPart["is"][],
  pick: number,
  act: (partNumber: number, before: ModelPart, ledger: PartLedger) => ModelPart,
): Command {
  const candidates = (model: Model) => from.flatMap((is) => numbersOf(model, is));
  return {
    check: (model) => candidates(model).length > 0,
    run(model, real) {
      const all = candidates(model);
      const partNumber = all[pick % all.length] as number;
      model.parts.set(partNumber, act(partNumber, model.parts.get(partNumber) as ModelPart, real.ledger));
      expectSame(model, real);
    },
    toString: () => `${name}(${pick})`,
  };
}

const take: Command = {
  check: () => true,
  run(model, real) {
    const [next] = real.ledger.upcoming(1);
    expect(real.ledger.startNext()).toBe(next);
    if (next === undefined) expect(numbersOf(model, "pending")).toEqual([]);
    else {
      const before = model.parts.get(next) as ModelPart;
      expect(before.is).toBe("pending");
      model.parts.set(next, { is: "flying", attempts: attemptsOf(before) });
    }
    expectSame(model, real);
  },
  toString: () => "take",
};

/** The worker dies: what was done or claimed stands in rows, in any order. */
const restart: Command = {
  check: () => true,
  run(model, real) {
    const rows: PartRecord[] = [];
    for (const [n, part] of model.parts) {
      if (part.is === "pending") model.parts.set(n, { is: "pending", attempts: 0 });
      else if (part.is === "done") rows.push(row(n, part.etag));
      else {
        rows.push(row(n));
        model.parts.set(n, { is: "doubtful", attempts: 0, dueAt: 0 });
      }
    }
    real.ledger = new PartLedger(model.plan, rows.reverse());
    expectSame(model, real);
  },
  toString: () => "restart",
};

test("every part is pending, flying, in doubt or done, whatever happens: none is lost, none goes twice", () => {
  const pick = fc.nat();
  const due = fc.record({ pick, isFault: fc.boolean(), dueAt: fc.nat({ max: 50 }) });
  const commands = fc.commands(
    [
      fc.constant(take),
      fc.constant(take),
      fc.constant(restart),
      pick.map((pick) =>
        onPart("done", ["pending", "flying", "doubtful", "done"], pick, (n, _before, ledger) => {
          ledger.done(receipt(n, `e${pick}`));
          return { is: "done", etag: `e${pick}` };
        }),
      ),
      due.map(({ pick, isFault, dueAt }) =>
        onPart("doubt", ["flying", "doubtful"], pick, (n, before, ledger) => {
          ledger.doubt(n, dueAt, isFault ? trouble : null);
          return { is: "doubtful", attempts: attemptsOf(before) + (isFault ? 1 : 0), dueAt };
        }),
      ),
      pick.map((pick) =>
        onPart("retract", ["done"], pick, (n, _before, ledger) => {
          ledger.retract(n);
          return { is: "pending", attempts: 0 };
        }),
      ),
      pick.map((pick) =>
        onPart("giveBack", ["flying", "doubtful"], pick, (n, before, ledger) => {
          ledger.giveBack(n);
          return { is: "pending", attempts: attemptsOf(before) };
        }),
      ),
    ],
    { maxCommands: 60 },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 10 }),
      commands,
      (count, last, run) => {
        fc.modelRun(() => {
          const thePlan = plan(count, last);
          const parts = new Map<number, ModelPart>();
          for (let n = 1; n <= count; n++) parts.set(n, { is: "pending", attempts: 0 });
          return { model: { plan: thePlan, parts }, real: { ledger: new PartLedger(thePlan) } };
        }, run);
      },
    ),
    { numRuns: 300 },
  );
});

describe("10,000 parts cost no more than 10", () => {
  /** A plan that counts how often it is looked at, which every step of a walk over the parts does. */
  function countingPlan(partCount: number) {
    const counted = { looks: 0 };
    const inner = plan(partCount);
    const { size, partSize } = inner;
    return {
      counted,
      plan: {
        size,
        partSize,
        get partCount() {
          counted.looks += 1;
          return inner.partCount;
        },
      },
    };
  }

  test("near the end, with 9,990 parts done", () => {
    const { counted, plan } = countingPlan(10_000);
    const ledger = new PartLedger(
      plan,
      Array.from({ length: 9_990 }, (_, index) => row(index + 1, "e")),
    );
    counted.looks = 0;
    expect(ledger.upcoming(10)[0]).toBe(9_991);
    expect(counted.looks).toBeLessThan(20);
  });

  test("from the first part to the last, four at once", () => {
    const { counted, plan } = countingPlan(10_000);
    const ledger = new PartLedger(plan);
    counted.looks = 0;
    for (let n = 1; n <= 10_000; n++) {
      expect(ledger.hasPending).toBe(true);
      expect(ledger.startNext()).toBe(n);
      if (n > 4) ledger.done(receipt(n - 4));
    }
    expect(counted.looks).toBeLessThan(10 * 10_000);
  });
});
