import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { UploadState } from "../../src/core/states.ts";
import { isActive, owesAbort, type UploadRecord } from "../../sw/model/record.ts";
import { type Effect, transition, type UploadEvent } from "../../sw/model/transition.ts";
import { fault, object, records } from "./records.ts";

const NOW = 5_000;
type Type = UploadEvent["type"];
const none = { at: "none" } as const;
const asked = { at: "asked", since: 2_000 } as const;
const open = { at: "open", token: "t" } as const;
const lost = { code: "FILE_LOST", detail: "" } as const;

/** One event of each type. */
const events = {
  beginning: { type: "beginning" },
  begun: { type: "begun", token: "t2", key: "u/a.jpg" },
  progressed: { type: "progressed" },
  sent: { type: "sent" },
  completed: { type: "completed", object },
  partsMissing: { type: "partsMissing" },
  gone: { type: "gone" },
  fault: { type: "fault", reason: "backoff", nextAttemptAt: 9_000, error: fault },
  conditionsUnmet: { type: "conditionsUnmet", by: "hours", recheckAt: 9_500 },
  wake: { type: "wake" },
  fail: { type: "fail", error: fault },
  stored: { type: "stored", durability: "stored" },
  pause: { type: "pause", reason: "user" },
  resume: { type: "resume" },
  retry: { type: "retry" },
  cancel: { type: "cancel" },
  remove: { type: "remove" },
  aborted: { type: "aborted" },
} as const satisfies { [T in Type]: Extract<UploadEvent, { type: T }> };

describe("the main lines", () => {
  const rows: [UploadState, Type, UploadState, Effect[]][] = [
    // From adding to the end.
    ["queued", "begun", "uploading", ["drive"]],
    ["uploading", "sent", "completing", ["drive"]],
    ["completing", "completed", "done", ["deleteBytes", "deleteParts"]],
    // S3 has other things than was thought.
    ["completing", "partsMissing", "uploading", ["doubtParts", "drive"]],
    ["uploading", "gone", "queued", ["halt", "deleteParts", "drive"]],
    ["completing", "gone", "queued", ["halt", "deleteParts", "drive"]],
    // Faults.
    ["queued", "fault", "waiting", ["drive"]],
    ["uploading", "fault", "waiting", ["drive"]],
    ["completing", "fault", "waiting", ["drive"]],
    ["waiting", "wake", "uploading", ["drive"]],
    // The app's conditions.
    ["queued", "conditionsUnmet", "waiting", ["halt", "drive"]],
    ["uploading", "conditionsUnmet", "waiting", ["halt", "drive"]],
    ["completing", "conditionsUnmet", "completing", []],
    ["paused", "conditionsUnmet", "paused", []],
    ["queued", "fail", "failed", ["halt"]],
    ["uploading", "fail", "failed", ["halt"]],
    ["completing", "fail", "failed", ["halt"]],
    ["failed", "retry", "uploading", ["drive"]],
    // The user.
    ["queued", "pause", "paused", ["halt"]],
    ["uploading", "pause", "paused", ["halt"]],
    ["completing", "pause", "paused", ["halt"]],
    ["waiting", "pause", "paused", ["halt"]],
    ["paused", "resume", "uploading", ["drive"]],
    ["queued", "cancel", "canceled", ["halt", "deleteBytes", "deleteParts", "drive"]],
    ["uploading", "cancel", "canceled", ["halt", "deleteBytes", "deleteParts", "drive"]],
    ["paused", "cancel", "canceled", ["halt", "deleteBytes", "deleteParts", "drive"]],
    ["waiting", "cancel", "canceled", ["halt", "deleteBytes", "deleteParts", "drive"]],
    ["failed", "cancel", "canceled", ["halt", "deleteBytes", "deleteParts", "drive"]],
    ["done", "remove", "done", ["deleteRecord"]],
    // Too late: S3 has made the object.
    ["paused", "completed", "done", ["deleteBytes", "deleteParts"]],
    ["waiting", "completed", "done", ["deleteBytes", "deleteParts"]],
    ["canceled", "completed", "done", ["deleteBytes", "deleteParts"]],
    // Tidying up at S3.
    ["failed", "aborted", "failed", []],
    ["failed", "gone", "failed", ["deleteParts"]],
    ["failed", "completed", "done", ["deleteBytes", "deleteParts"]],
    ["canceled", "aborted", "canceled", []],
  ];
  test.each(rows)("%s, %s: %s %j", (state, type, next, effects) => {
    const [record, given] = transition(records[state], events[type], NOW);
    expect(record.state).toBe(next);
    expect(given).toEqual(effects);
  });

  test.each([
    ["paused", "resume"],
    ["waiting", "wake"],
    ["failed", "retry"],
  ] as const)("%s goes on at its beginning, by %s, if nothing is open", (state, type) => {
    for (const remote of [none, asked]) {
      const [record] = transition({ ...records[state], remote }, events[type], NOW);
      expect(record).toMatchObject({ state: "queued", remote });
    }
  });
});

describe("beginning", () => {
  test("is noted before the request goes out, with the time of the first try", () => {
    const [first] = transition(records.queued, events.beginning, NOW);
    expect(first).toMatchObject({ state: "queued", remote: { at: "asked", since: NOW } });
    const [again, effects] = transition(first, events.beginning, NOW + 1);
    expect(again).toBe(first);
    expect(effects).toEqual([]);
  });

  test("gives the token and the server's key, and forgives the faults before it", () => {
    const [record] = transition({ ...records.queued, attempts: 3 }, events.begun, NOW);
    expect(record).toMatchObject({ remote: { at: "open", token: "t2" }, key: "u/a.jpg", attempts: 0 });
  });

  test.each(["paused", "waiting", "failed", "canceled"] as const)(
    "an answer that comes after the upload was %s is remembered, to be used or aborted",
    (state) => {
      const [record, effects] = transition({ ...records[state], remote: asked }, events.begun, NOW);
      expect(record).toMatchObject({ state, remote: { at: "open", token: "t2" } });
      expect(effects).toEqual(["drive"]);
      expect(transition(records[state], events.begun, NOW)[0]).toBe(records[state]);
    },
  );
});

describe("faults", () => {
  test("are counted until S3 confirms something", () => {
    const [waiting] = transition({ ...records.uploading, attempts: 2 }, events.fault, NOW);
    expect(waiting).toMatchObject({ attempts: 3, reason: "backoff", nextAttemptAt: 9_000, error: fault });
    const [awake] = transition(waiting, events.wake, NOW);
    expect(awake.attempts).toBe(3);
    expect(transition(awake, events.progressed, NOW)[0].attempts).toBe(0);
  });

  test("that lose the file leave nothing kept; bytes that are given back may be kept again", () => {
    for (const [error, durability] of [
      [lost, "memory"],
      [{ code: "FILE_PERMISSION", detail: "" }, "handle"],
    ] as const) {
      const fault = { type: "fault", reason: "file", nextAttemptAt: null, error } as const;
      const [waiting] = transition({ ...records.uploading, durability: "handle" }, fault, NOW);
      expect(waiting).toMatchObject({ state: "waiting", reason: "file", durability });
      expect(transition(waiting, events.stored, NOW)[0]).toMatchObject({ durability: "stored" });
    }
  });

  test("before a retry by the user are forgotten", () => {
    expect(transition({ ...records.failed, attempts: 8 }, events.retry, NOW)[0].attempts).toBe(0);
  });
});

describe("what the app forbids", () => {
  test("is no fault, and no try", () => {
    const [waiting] = transition({ ...records.uploading, attempts: 2 }, events.conditionsUnmet, NOW);
    expect(waiting).toMatchObject({
      state: "waiting",
      reason: "conditions",
      nextAttemptAt: 9_500,
      attempts: 2,
      remote: open,
      error: { code: "CONDITIONS_UNMET", detail: "hours" },
    });
    expect(transition(waiting, events.wake, NOW)[0]).toMatchObject({ state: "uploading", attempts: 2 });
  });

  test("may change its reason and its time, and is the same if neither does", () => {
    const [waiting] = transition(records.uploading, events.conditionsUnmet, NOW);
    expect(transition(waiting, events.conditionsUnmet, NOW + 1)).toEqual([waiting, []]);
    const [other] = transition(waiting, { type: "conditionsUnmet", by: "unmetered", recheckAt: null }, NOW);
    expect(other).toMatchObject({ nextAttemptAt: null, error: { detail: "unmetered" } });
  });

  test("has no say in any other wait", () => {
    expect(transition(records.waiting, events.conditionsUnmet, NOW)[0]).toBe(records.waiting);
  });
});

describe("removing", () => {
  test("a failed upload that is open at S3: it goes once that is aborted", () => {
    const [hidden, effects] = transition(records.failed, events.remove, NOW);
    expect(hidden).toMatchObject({ state: "canceled", removed: true, remote: open });
    expect(effects).toEqual(["halt", "deleteBytes", "deleteParts", "drive"]);
    expect(transition(hidden, events.aborted, NOW)[1]).toEqual(["deleteRecord"]);
    expect(transition(hidden, events.gone, NOW)[1]).toEqual(["deleteRecord"]);
    expect(transition(hidden, events.completed, NOW)[1]).toContain("deleteRecord");
  });

  test("a failed upload of which nothing is open: it goes at once, with its bytes", () => {
    const effects = transition({ ...records.failed, remote: none }, events.remove, NOW)[1];
    expect(effects).toEqual(["deleteBytes", "deleteParts", "deleteRecord"]);
  });

  test("a canceled one: at once if nothing is open, else later", () => {
    expect(transition({ ...records.canceled, remote: none }, events.remove, NOW)[1]).toEqual([
      "deleteRecord",
    ]);
    for (const remote of [asked, open]) {
      const [record, effects] = transition({ ...records.canceled, remote }, events.remove, NOW);
      expect(record).toMatchObject({ state: "canceled", removed: true, remote });
      expect(effects).toEqual([]);
    }
  });
});

test("the times: updatedAt follows each change, and the argument is left as it was", () => {
  for (const before of Object.values(records)) {
    const copy = structuredClone(before);
    for (const event of Object.values(events)) {
      const [after] = transition(before, event, NOW);
      if (after !== before) expect(after).toMatchObject({ updatedAt: NOW, createdAt: before.createdAt });
    }
    expect(before).toEqual(copy);
  }
});

/**
 * The fields that a record of each state has beyond the common ones, and the places where its upload may
 * stand at S3.
 */
const SHAPES: Record<UploadState, readonly [fields: readonly string[], remotes: readonly string[]]> = {
  queued: [["remote"], ["none", "asked"]],
  uploading: [["remote"], ["open"]],
  completing: [["remote"], ["open"]],
  paused: [
    ["remote", "reason"],
    ["none", "asked", "open"],
  ],
  waiting: [
    ["remote", "reason", "nextAttemptAt", "error"],
    ["none", "asked", "open"],
  ],
  failed: [
    ["remote", "error"],
    ["none", "asked", "open"],
  ],
  canceled: [
    ["remote", "removed"],
    ["none", "asked", "open"],
  ],
  done: [["object"], ["-"]],
};
const COMMON = Object.keys(records.queued).filter((field) => field !== "remote");
const FACTS = [
  "id",
  "order",
  "name",
  "type",
  "lastModified",
  "owner",
  "priority",
  "conditions",
  "method",
  "plan",
  "createdAt",
] as const;

const remoteOf = (record: UploadRecord) => ("remote" in record ? record.remote.at : "-");
const placeOf = (record: UploadRecord) =>
  `${record.state} ${remoteOf(record)}${record.state === "canceled" && record.removed ? " removed" : ""}`;

function isLawful(record: UploadRecord): boolean {
  const [fields, remotes] = SHAPES[record.state];
  const given = Object.keys(record).sort().join();
  return given === [...COMMON, ...fields].sort().join() && remotes.includes(remoteOf(record));
}

/** The rules of every transition. An effect must stand where it is needed, and nowhere else. */
const RULES: Record<
  string,
  (before: UploadRecord, after: UploadRecord, effects: readonly Effect[]) => boolean
> = {
  "the record is lawful": (_, after) => isLawful(after),
  "the facts stay": (before, after) => FACTS.every((fact) => after[fact] === before[fact]),
  "done stays done": (before, after) => before.state !== "done" || after.state === "done",
  "canceled never works again": (before, after) =>
    before.state !== "canceled" || after.state === "canceled" || after.state === "done",
  "removed stays removed": (before, after) =>
    !(before.state === "canceled" && before.removed && after.state === "canceled") || after.removed,
  "an unchanged record leaves nothing to do but to delete it": (before, after, effects) =>
    after !== before || effects.length === 0 || effects.includes("deleteRecord"),
  "what the app forbids counts as no try": (before, after) =>
    after.state !== "waiting" || after.reason !== "conditions" || after.attempts <= before.attempts,
  "waiting for the app's conditions is told as that": (_, after) =>
    after.state !== "waiting" ||
    (after.reason === "conditions") === (after.error.code === "CONDITIONS_UNMET"),
  "what is kept is lost only with the file": (before, after) =>
    after.durability !== "memory" ||
    before.durability === "memory" ||
    (after.state === "waiting" && after.error.code === "FILE_LOST"),
  "no effect stands twice": (_before, _after, effects) => new Set(effects).size === effects.length,
  "who stops working is halted": (before, after, effects) =>
    !(isActive(before) && STOPPED.includes(after.state) && after.state !== before.state) ||
    effects.includes("halt"),
  "halted is who changes state": (before, after, effects) =>
    !effects.includes("halt") || after.state !== before.state,
  "new work is driven": (before, after, effects) =>
    !isActive(after) || after.state === before.state || effects.includes("drive"),
  "a new debt at S3 is driven": (before, after, effects) =>
    !owesAbort(after) || owesAbort(before) || effects.includes("drive"),
  "a new wait is looked at": (before, after, effects) =>
    after.state !== "waiting" || before.state === "waiting" || effects.includes("drive"),
  "bytes go when they are of no more use": (before, after, effects) =>
    !ENDED.includes(after.state) || after.state === before.state || effects.includes("deleteBytes"),
  "bytes stay while they are of use": (_, after, effects) =>
    !effects.includes("deleteBytes") || effects.includes("deleteRecord") || ENDED.includes(after.state),
  "parts go with what was open": (before, after, effects) =>
    !(remoteOf(before) === "open" && remoteOf(after) !== "open" && before.state !== "canceled") ||
    effects.includes("deleteParts"),
  "parts stay while they are of use": (_, after, effects) =>
    !effects.includes("deleteParts") || ENDED.includes(after.state) || remoteOf(after) === "none",
  "parts are doubted when S3 denies them": (before, after, effects) =>
    effects.includes("doubtParts") === (before.state === "completing" && after.state === "uploading"),
  "a record stays while anything is open": (_, after, effects) =>
    !effects.includes("deleteRecord") || remoteOf(after) === "-" || remoteOf(after) === "none",
};
const STOPPED: readonly UploadState[] = ["queued", "paused", "failed", "canceled"];
const ENDED: readonly UploadState[] = ["done", "canceled"];

/** One step, checked. Undefined once the record is deleted. */
function checkedStep(before: UploadRecord, event: UploadEvent): UploadRecord | undefined {
  const [after, effects] = transition(before, event, NOW);
  const broken = Object.entries(RULES).filter(([, rule]) => !rule(before, after, effects));
  expect(broken.map(([rule]) => `${placeOf(before)}, ${event.type}: ${rule}`)).toEqual([]);
  return effects.includes("deleteRecord") ? undefined : after;
}

describe("from everywhere", () => {
  test("the records that can be reached are exactly the lawful ones, and so is each step", () => {
    const seen = new Map<string, UploadRecord>();
    const toVisit: UploadRecord[] = [records.queued];
    for (let record = toVisit.pop(); record; record = toVisit.pop()) {
      if (seen.has(placeOf(record))) continue;
      seen.set(placeOf(record), record);
      for (const event of Object.values(events)) {
        const after = checkedStep(record, event);
        if (after) toVisit.push(after);
      }
    }
    const lawful = Object.entries(SHAPES).flatMap(([state, [, remotes]]) =>
      remotes.map((at) => `${state} ${at}`),
    );
    // One that is removed is kept only for what is open at S3.
    expect([...seen.keys()].sort()).toEqual(
      [...lawful, "canceled asked removed", "canceled open removed"].sort(),
    );
  });

  test("every step of every story is lawful", () => {
    const text = fc.constantFrom("a", "b");
    const story: fc.Arbitrary<UploadEvent> = fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom(...Object.values(events)) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant("begun" as const), token: text, key: text }) },
      {
        weight: 1,
        arbitrary: fc.record({
          type: fc.constant("fault" as const),
          reason: fc.constantFrom("offline", "backoff", "auth", "file"),
          nextAttemptAt: fc.option(fc.nat()),
          error: fc.constantFrom(fault, lost),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          type: fc.constant("stored" as const),
          durability: fc.constantFrom("stored", "handle"),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          type: fc.constant("conditionsUnmet" as const),
          by: fc.constantFrom("unmetered", "notBefore", "hours"),
          recheckAt: fc.option(fc.nat()),
        }),
      },
    );
    const durability = fc.constantFrom("memory" as const, "stored" as const, "handle" as const);
    fc.assert(
      fc.property(durability, fc.array(story, { maxLength: 40 }), (durability, events) => {
        let record: UploadRecord | undefined = { ...records.queued, durability };
        for (const event of events) record &&= checkedStep(record, event);
      }),
      { numRuns: 500 },
    );
  });
});

describe("an event that changes nothing returns the same record", () => {
  const none = { at: "none" } as const;
  test.each([
    [{ ...records.done, durability: "memory", attempts: 2 } as const, events.stored],
    [{ ...records.queued, durability: "stored" } as const, events.stored],
    [{ ...records.done, durability: "memory", attempts: 2 } as const, { type: "progressed" }],
    [{ ...records.paused, remote: none }, { type: "gone" }],
    [{ ...records.waiting, remote: none }, { type: "gone" }],
    [{ ...records.failed, remote: none }, { type: "aborted" }],
    [{ ...records.canceled, remote: none }, { type: "gone" }],
  ] as const)("%o %o", (record, event) => {
    expect(transition(record, event, 5)[0]).toBe(record);
  });
});

test("an upload that begins anew asks for the app's key, not for what the server has made of it", () => {
  const [begun] = transition(
    records.queued,
    { type: "begun", token: "t", key: `users/1/${records.queued.wantedKey}` },
    1,
  );
  const [again] = transition(begun, { type: "gone" }, 2);
  expect(again).toMatchObject({ state: "queued", wantedKey: records.queued.wantedKey });
});
