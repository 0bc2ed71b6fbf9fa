import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { StorageFault } from "../../src/core/storage.ts";
import { browserPlatform } from "../../sw/platform/browser-platform.ts";
import {
  CredentialSource,
  type FetchCredentials,
  type TemporaryCredentials,
} from "../../sw/storage/temporary-credentials.ts";

const MINUTE = 60_000;
const newSource = (ask: FetchCredentials) => new CredentialSource(ask, browserPlatform.clock);

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => void vi.useRealTimers());

/** The nth credentials, which live for so long. */
function session(nth: number, lifetimeMs: number): TemporaryCredentials {
  const expiration = new Date(Date.now() + lifetimeMs).toISOString();
  return { accessKeyId: `key${nth}`, secretAccessKey: "secret", sessionToken: "token", expiration };
}

/** A source that gives new ones at each call, and notes with which headers it was called. */
function counting(lifetimeMs: number) {
  const calls: Readonly<Record<string, string>>[] = [];
  const source = newSource(async (headers) => {
    calls.push(headers);
    return session(calls.length, lifetimeMs);
  });
  return { source, calls };
}

const faultOf = (source: CredentialSource) =>
  source.get().then(
    () => undefined,
    (fault: unknown) => fault,
  );

describe("credentials are kept", () => {
  test("until 5 minutes before they expire", async () => {
    const { source, calls } = counting(60 * MINUTE);
    expect(await source.get()).toMatchObject({ accessKeyId: "key1", expiration: new Date(60 * MINUTE) });
    vi.setSystemTime(55 * MINUTE - 1);
    expect(await source.get()).toMatchObject({ accessKeyId: "key1" });
    vi.setSystemTime(55 * MINUTE);
    expect(await source.get()).toMatchObject({ accessKeyId: "key2" });
    expect(calls).toHaveLength(2);
  });

  test("for half of their life if that is short, rather than not at all", async () => {
    const { source } = counting(2 * MINUTE);
    await source.get();
    vi.setSystemTime(MINUTE - 1);
    expect(await source.get()).toMatchObject({ accessKeyId: "key1" });
    vi.setSystemTime(MINUTE);
    expect(await source.get()).toMatchObject({ accessKeyId: "key2" });
  });

  test("and the app is asked once, however many want them", async () => {
    const { source, calls } = counting(60 * MINUTE);
    const all = await Promise.all(Array.from({ length: 64 }, () => source.get()));
    expect(new Set(all).size).toBe(1);
    expect(calls).toHaveLength(1);
  });

  test("until S3 has refused them; newer ones stay", async () => {
    const { source } = counting(60 * MINUTE);
    const first = await source.get();
    source.drop(first);
    const second = await source.get();
    expect(second).toMatchObject({ accessKeyId: "key2" });
    source.drop(first);
    expect(await source.get()).toBe(second);
  });

  test("until the app's headers change, since another user may have signed in", async () => {
    const { source, calls } = counting(60 * MINUTE);
    source.setHeaders({ authorization: "a" });
    const early = source.get();
    source.setHeaders({ authorization: "b" });
    await early;
    await source.get();
    expect(calls).toEqual([{ authorization: "a" }, { authorization: "b" }]);
    expect(await source.get()).toMatchObject({ accessKeyId: "key2" });
  });
});

describe("what the app throws", () => {
  test.each([
    ["401", new Response(null, { status: 401 }), "unauthorized", "UNAUTHORIZED"],
    ["403", Object.assign(new Error("no"), { status: 403 }), "unauthorized", "UNAUTHORIZED"],
    ["503", new Response(null, { status: 503 }), "transient", "SLOW_DOWN"],
    ["404", new Response(null, { status: 404 }), "transient", "SERVER_RESPONSE_INVALID"],
    ["Chromium's lost network", new TypeError("Failed to fetch"), "network", "NETWORK"],
    ["Firefox's", new TypeError("NetworkError when attempting to fetch resource."), "network", "NETWORK"],
    ["Safari's", new TypeError("Load failed"), "network", "NETWORK"],
    ["its own deadline", new DOMException("too long", "TimeoutError"), "network", "NETWORK"],
    ["a mistake of its own", new TypeError("x is not a function"), "transient", "SERVER_ERROR"],
    ["nothing useful", undefined, "transient", "SERVER_ERROR"],
  ])("%s", async (_name, thrown, kind, code) => {
    const source = newSource(async () => {
      throw thrown;
    });
    const fault = await faultOf(source);
    expect(fault).toBeInstanceOf(StorageFault);
    expect(fault).toMatchObject({ kind, code });
  });

  test("a Retry-After is passed on, and the next call asks again", async () => {
    let isDown = true;
    const source = newSource(async () => {
      if (isDown) throw new Response(null, { status: 429, headers: { "retry-after": "7" } });
      return session(1, 60 * MINUTE);
    });
    expect(await faultOf(source)).toMatchObject({ kind: "transient", retryAfterMs: 7_000 });
    isDown = false;
    expect(await source.get()).toMatchObject({ accessKeyId: "key1" });
  });

  test("no answer at all for 30 seconds counts as a network fault", async () => {
    const fault = faultOf(newSource(() => new Promise(() => {})));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await fault).toMatchObject({ kind: "network" });
  });
});

describe("what is no answer", () => {
  const sound = () => session(1, 60 * MINUTE);
  test.each([
    ["nothing", () => undefined, "the whole"],
    ["a user's own keys", () => ({ ...sound(), sessionToken: undefined }), "sessionToken"],
    ["an empty key", () => ({ ...sound(), accessKeyId: "" }), "accessKeyId"],
    ["what would be a header of its own", () => ({ ...sound(), sessionToken: "a\r\nb: c" }), "sessionToken"],
    ["no end", () => ({ ...sound(), expiration: null }), "expiration"],
    ["an end that is none", () => ({ ...sound(), expiration: "tomorrow" }), "expiration"],
  ])("%s", async (_name, answer, place) => {
    const source = newSource(async () => answer() as TemporaryCredentials);
    const fault = await faultOf(source);
    expect(fault).toMatchObject({ kind: "transient", code: "SERVER_RESPONSE_INVALID" });
    expect((fault as StorageFault).detail).toBe(`credentials: ${place} is missing or invalid`);
  });

  test("credentials that have expired", async () => {
    const fault = await faultOf(newSource(async () => session(1, 0)));
    expect(fault).toMatchObject({ kind: "transient", code: "SERVER_RESPONSE_INVALID" });
  });
});
