import { beforeEach, describe, expect, test } from "vitest";
import {
  type FaultKind,
  type StorageCall,
  StorageFault,
  type UploadStorage,
} from "../../../src/core/storage.ts";
import { Gates } from "../../../sw/engine/gates.ts";
import { virtualClock } from "../../support/virtual-clock.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

let time: VirtualTime;
let gates: Gates;
let opened: number;
let answer: () => Promise<never>;
let storage: UploadStorage;
let isUnattended: boolean;

beforeEach(() => {
  time = new VirtualTime();
  gates = new Gates({ clock: virtualClock(time), random: () => 0 }, { baseMs: 1_000, maxMs: 60_000 });
  opened = 0;
  isUnattended = false;
  const call = () => answer();
  const calls = { begin: call, sign: call, uploadedParts: call, complete: call, abort: call };
  storage = gates.guard(Object.defineProperty(calls, "isUnattended", { get: () => isUnattended }), () => {
    opened += 1;
  });
});

/** Makes this call, which the storage answers so. */
async function call(operation: StorageCall, fault?: StorageFault | Error): Promise<void> {
  answer = () => (fault ? Promise.reject(fault) : (Promise.resolve(undefined) as Promise<never>));
  const calls: Record<StorageCall, () => Promise<unknown>> = {
    begin: () => storage.begin({} as never),
    sign: () => storage.sign("t", []),
    uploadedParts: () => storage.uploadedParts("t", 0),
    complete: () => storage.complete("t", []),
    abort: () => storage.abort("t"),
    beginMany: async () => storage.beginMany?.([]),
  };
  if (fault) await expect(calls[operation]()).rejects.toBe(fault);
  else await calls[operation]();
}
const fault = (kind: FaultKind, retryAfterMs?: number) =>
  new StorageFault(kind, "SERVER_ERROR", retryAfterMs === undefined ? {} : { retryAfterMs });

describe("the gate of the app's server", () => {
  test.each(["network", "transient"] as const)("shuts with a fault of the kind %s", async (kind) => {
    await call("begin", fault(kind));
    expect([gates.areShut, gates.isSignedOut, gates.waitMs]).toEqual([true, false, 500]);
  });

  test.each(["gone", "partsMismatch", "permanent"] as const)(
    "stays open where the server has understood the request and refuses it: %s",
    async (kind) => {
      await call("begin", fault(kind));
      expect(gates.areShut).toBe(false);
    },
  );

  test("stays as it is by an error that is no answer", async () => {
    await call("begin", new Error("a bug"));
    expect(gates.areShut).toBe(false);
  });

  test("opens again with any success after the network was gone", async () => {
    await call("complete", fault("network"));
    await call("sign");
    expect([gates.areShut, opened]).toEqual([false, 1]);
    await call("sign");
    expect(opened).toBe(1);
  });

  test.each([
    ["begin", "sign", false],
    ["begin", "begin", true],
    ["complete", "sign", false],
    ["complete", "begin", false],
    ["complete", "complete", true],
    ["begin", "uploadedParts", true],
    ["sign", "complete", true],
    ["sign", "abort", true],
  ] as const)(
    "that was shut by a %s which the server could not do is opened by a %s: %s",
    async (failed, operation, opens) => {
      await call(failed, fault("transient"));
      await call(operation);
      expect([!gates.areShut, opened]).toEqual([opens, opens ? 1 : 0]);
    },
  );

  test("is opened by a refusal as well, since the server is there", async () => {
    await call("begin", fault("network"));
    await call("begin", fault("permanent"));
    expect([gates.areShut, opened]).toEqual([false, 1]);
  });

  test("is shut for as long as the server asks", async () => {
    await call("begin", fault("transient", 30_000));
    expect(gates.waitMs).toBe(30_000);
    await time.runUntil(29_000);
    expect(gates.waitMs).toBe(1_000);
  });

  test("is shut at the start of a worker, and any success opens it", async () => {
    gates.startShut();
    expect([gates.areShut, gates.waitMs]).toEqual([true, 0]);
    await call("sign");
    expect([gates.areShut, opened]).toEqual([false, 1]);
  });
});

describe("the gate of the user's sign-in", () => {
  test("shuts for a minute, then for longer, since pages tell when there is a user", async () => {
    await call("begin", fault("unauthorized"));
    expect([gates.isSignedOut, gates.waitMs]).toEqual([true, 30_000]);
    await time.runUntil(30_000);
    await call("begin", fault("unauthorized"));
    expect(gates.waitMs).toBe(60_000);
  });

  test.each(["sign", "uploadedParts", "complete"] as const)(
    "stays shut by the success of a %s for which an upload's token was enough",
    async (operation) => {
      await call("begin", fault("unauthorized"));
      isUnattended = true;
      await call(operation);
      expect([gates.isSignedOut, opened]).toEqual([true, 0]);
      expect([gates.waitMs > 0, gates.waitMsUnattended]).toEqual([true, 0]);
      isUnattended = false;
      await call(operation);
      expect([gates.isSignedOut, opened]).toEqual([false, 1]);
    },
  );

  test("stays shut where an upload's token was enough for the server to refuse it", async () => {
    await call("begin", fault("unauthorized"));
    isUnattended = true;
    await call("complete", fault("gone"));
    expect(gates.isSignedOut).toBe(true);
  });

  test("opens with any success of the user's, also where the server's stays shut", async () => {
    await call("complete", fault("transient"));
    await call("sign", fault("unauthorized"));
    await call("sign");
    expect([gates.isSignedOut, gates.areShut, opened]).toEqual([false, true, 1]);
  });
});

test("a change outside lets one find out about each gate that is shut, and shuts none", async () => {
  gates.probeNow();
  expect(gates.areShut).toBe(false);
  await call("begin", fault("transient", 30_000));
  gates.failed(gates.s3, 0, { retryAfterMs: 90_000 });
  expect(gates.waitMs).toBe(90_000);
  gates.probeNow();
  expect([gates.areShut, gates.waitMs]).toEqual([true, 0]);
});
