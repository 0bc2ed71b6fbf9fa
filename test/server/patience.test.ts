import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createPatience } from "../../server/patience.ts";

const onExhausted = vi.fn();

beforeEach(() => {
  vi.useFakeTimers();
  onExhausted.mockReset();
});

afterEach(() => {
  vi.useRealTimers();
});

test("an end that moves nothing is given up after the idle time", () => {
  createPatience(10_000, 1_000, onExhausted).start();
  vi.advanceTimersByTime(9_999);
  expect(onExhausted).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(onExhausted).toHaveBeenCalledOnce();
});

test("an end that keeps up the least rate is never given up", () => {
  const patience = createPatience(10_000, 1_000, onExhausted);
  for (let turn = 0; turn < 1_000; turn++) {
    patience.start();
    vi.advanceTimersByTime(9_000);
    patience.stop(9_000);
  }
  expect(onExhausted).not.toHaveBeenCalled();
});

test("an end that drips is given up, though it never stands still for the idle time", () => {
  const patience = createPatience(10_000, 1_000, onExhausted);
  for (let turn = 0; turn < 3; turn++) {
    patience.start();
    vi.advanceTimersByTime(4_000);
    patience.stop(1);
  }
  expect(onExhausted).toHaveBeenCalledOnce();
});

test("a burst does not buy more than the idle time", () => {
  const patience = createPatience(10_000, 1_000, onExhausted);
  patience.start();
  patience.stop(1_000_000_000);
  patience.start();
  vi.advanceTimersByTime(10_000);
  expect(onExhausted).toHaveBeenCalledOnce();
});

test("time in which the end is not waited for costs it nothing", () => {
  const patience = createPatience(10_000, 1_000, onExhausted);
  patience.start();
  vi.advanceTimersByTime(9_000);
  patience.stop(0);
  vi.advanceTimersByTime(60_000);
  patience.start();
  vi.advanceTimersByTime(999);
  expect(onExhausted).not.toHaveBeenCalled();
});
