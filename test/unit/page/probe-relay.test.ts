import { describe, expect, test } from "vitest";
import type { PagePlatform } from "../../../src/page/platform.ts";
import { probeRelay } from "../../../src/page/probe-relay.ts";

const MIB = 1024 * 1024;

/** A way to the relay on which bodies take their time, and larger ones than `mostBytes` are refused as proxies do. */
async function probe({
  bytesToSend = 10_000 * MIB,
  bytesPerMs = 100_000,
  mostBytes = Infinity,
  answer = {},
}) {
  let now = 0;
  const sizes: number[] = [];
  const platform = {
    clock: { now: () => now } as PagePlatform["clock"],
    fetch: async (_url: unknown, { body }: RequestInit = {}) => {
      const { size } = body as Blob;
      sizes.push(size / MIB);
      now += size / bytesPerMs;
      if (size > mostBytes) return new Response("<html>", { status: 413 });
      return Response.json({ bytes: size, ...answer });
    },
  };
  const reach = await probeRelay(platform, "/uploads", { token: "t", auth: {}, bytesToSend });
  return { reach, sizes };
}

describe("the way to the relay", () => {
  test("that lets everything through is tried by bodies that grow", async () => {
    expect(await probe({})).toEqual({
      reach: { is: "there", maxBytes: null },
      sizes: [0, 1, 5, 10, 50, 100],
    });
  });

  test("with a limit is known by the last body that came through", async () => {
    expect(await probe({ mostBytes: 20 * MIB })).toEqual({
      reach: { is: "there", maxBytes: 10 * MIB },
      sizes: [0, 1, 5, 10, 50],
    });
  });

  test("is tried with the smallest part on slow links too, and with no more there", async () => {
    const bytesPerMs = 300;
    expect((await probe({ bytesPerMs })).sizes).toEqual([0, 1, 5]);
    expect((await probe({ bytesPerMs, mostBytes: MIB })).reach).toEqual({ is: "there", maxBytes: MIB });
  });

  test("is tried with no more than a twentieth of what there is to send", async () => {
    expect((await probe({ bytesToSend: 100 * MIB })).sizes).toEqual([0, 1]);
    expect((await probe({ bytesToSend: 6 * 20 * MIB })).sizes).toEqual([0, 1, 5]);
  });

  test("where an app answers everything with 200 has no relay", async () => {
    expect((await probe({ answer: { bytes: -1 } })).reach).toEqual({ is: "missing" });
  });
});
