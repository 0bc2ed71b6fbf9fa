import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { undocumentedSymbols } from "./docstrings.ts";
import { ROOT } from "./source-files.ts";

test.each([
  ["src", ["src/index.ts"]],
  ["sw", ["sw/index.ts", "sw/s3-storage.ts"]],
  ["server", ["server/index.ts", "server/node.ts", "server/redis.ts"]],
  [
    "bindings",
    ["react", "vue", "svelte", "solid", "element", "testing"].map((room) => `bindings/${room}/index.ts`),
  ],
])("every public symbol of %s has a doc comment", { timeout: 120_000 }, (project, entries) => {
  expect(undocumentedSymbols(ROOT, `${project}/tsconfig.json`, entries)).toEqual([]);
});

test("a symbol without a doc comment is found wherever an app can come across it", {
  timeout: 120_000,
}, async () => {
  const root = await mkdtemp(join(tmpdir(), "backhaul-docstrings-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await writeFile(join(root, "tsconfig.json"), JSON.stringify({ files: ["index.ts"] }));
  await writeFile(
    join(root, "index.ts"),
    `export { open, type Fault } from "./open.ts";
/** The second. */
export interface Second extends Base {}
interface Base {
  /** Documented, unlike its own member. */
  readonly a: { readonly deep: string };
}
/** @throws {Error} always */ export function third(): void {}
`,
  );
  await writeFile(
    join(root, "open.ts"),
    `/** Opens. */ export function open(options: Options): Opened { return new Opened(options); }
interface Options { readonly name: string }
/** Opened. */ export class Opened {
  #secret = 1;
  private mine = 2;
  /** @internal */ constructor(options: Hidden) {}
  close(): void { const local: Local = {}; }
}
/** A fault. */ export class Fault { constructor(readonly code: string) {} }
/** Options of the constructor. */ interface Hidden { readonly x: string }
interface Local { readonly y?: string }
interface Unused { readonly z: string }
`,
  );

  expect(undocumentedSymbols(root, "tsconfig.json", ["index.ts"])).toEqual([
    "index.ts:4 Base",
    "index.ts:6 Base.a.deep",
    "index.ts:8 third",
    "open.ts:2 Options",
    "open.ts:2 Options.name",
    "open.ts:7 Opened.close",
    "open.ts:9 Fault.code",
  ]);
});
