import { describe, expect, test } from "vitest";
import { endedEntry, isEnded, RELAY_ENDED_COOKIE, relayEndedCookie } from "../../src/core/relay-url.ts";

describe("the cookie of ended fetches", () => {
  test("has a name of its own for each app at an origin", () => {
    expect(relayEndedCookie("https://app.test/")).toBe(RELAY_ENDED_COOKIE);
    expect(relayEndedCookie("https://app.test/b/c/")).toBe(`${RELAY_ENDED_COOKIE}-b%2Fc%2F`);
    expect(relayEndedCookie("http://localhost:8080/ä;=/")).toMatch(/^[\w!#$%&'*+.^`|~-]+$/);
  });

  test("is believed, whichever app's worker has written it", () => {
    const cookies = `session=1; ${RELAY_ENDED_COOKIE}=one.two; ${relayEndedCookie("https://app.test/b/")}=three`;
    for (const id of ["one", "two", "three"]) expect(isEnded(cookies, id, "upload")).toBe(true);
    for (const id of ["1", "four", "one.two", ""]) expect(isEnded(cookies, id, "upload")).toBe(false);
    expect(isEnded("other-backhaul-ended=five", "five", "upload")).toBe(false);
    expect(isEnded(null, "one", "upload")).toBe(false);
  });

  test("can end one upload's share in a fetch, and leave the others'", () => {
    const cookies = `${RELAY_ENDED_COOKIE}=${endedEntry("fetch-1", "upload-1")}`;
    expect(isEnded(cookies, "fetch-1", "upload-1")).toBe(true);
    expect(isEnded(cookies, "fetch-1", "upload-2")).toBe(false);
    expect(isEnded(cookies, "fetch-2", "upload-1")).toBe(false);
  });

  test("has room for 100 uploads of one fetch", () => {
    const entries = Array.from({ length: 100 }, () => endedEntry(crypto.randomUUID(), crypto.randomUUID()));
    expect(entries.join(".").length).toBeLessThan(2_700);
  });
});
