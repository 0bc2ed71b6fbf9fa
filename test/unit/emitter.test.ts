import { beforeEach, expect, test } from "vitest";
import { Emitter } from "../../src/core/emitter.ts";

let emitter: Emitter<{ changed: number; closed: undefined }>;
let heard: unknown[];
beforeEach(() => {
  emitter = new Emitter();
  heard = [];
});

test("an event reaches everyone who listens to it, in the order in which they began", () => {
  emitter.on("changed", (value) => heard.push(["first", value]));
  emitter.on("changed", (value) => heard.push(["second", value]));
  emitter.on("closed", () => heard.push("closed"));
  emitter.emit("changed", 1);
  expect(heard).toEqual([
    ["first", 1],
    ["second", 1],
  ]);
  emitter.emit("closed", undefined);
  expect(heard.at(-1)).toBe("closed");
});

test("an event to which nobody listens is lost", () => {
  emitter.emit("changed", 1);
  emitter.on("changed", (value) => heard.push(value));
  expect(heard).toEqual([]);
});

test("a listener that is undone hears no more, and the others do", () => {
  const undo = emitter.on("changed", () => heard.push("gone"));
  emitter.on("changed", () => heard.push("stays"));
  undo();
  undo();
  emitter.emit("changed", 1);
  expect(heard).toEqual(["stays"]);
});

test("a listener that an earlier one removes during an event is not called", () => {
  emitter.on("changed", () => undo());
  const undo = emitter.on("changed", () => heard.push("removed"));
  emitter.emit("changed", 1);
  expect(heard).toEqual([]);
});

test("a listener that is added during an event hears the next one", () => {
  emitter.on("changed", (value) => {
    heard.push(["old", value]);
    if (value === 1) emitter.on("changed", (later) => heard.push(["new", later]));
  });
  emitter.emit("changed", 1);
  emitter.emit("changed", 2);
  expect(heard).toEqual([
    ["old", 1],
    ["old", 2],
    ["new", 2],
  ]);
});

test("the same listener added twice is told once", () => {
  const listener = (value: number) => heard.push(value);
  emitter.on("changed", listener);
  emitter.on("changed", listener);
  emitter.emit("changed", 1);
  expect(heard).toEqual([1]);
});

test("a listener that throws keeps nobody else from hearing, and its error is not lost", () => {
  emitter.on("changed", () => {
    throw new Error("first");
  });
  emitter.on("changed", () => {
    throw new Error("second");
  });
  emitter.on("changed", (value) => heard.push(value));
  expect(() => emitter.emit("changed", 1)).toThrow("first");
  expect(heard).toEqual([1]);
});
