import { describe, expect, test } from "vitest";
import { strayImports, strayNames } from "./rules.ts";
import { sourceFiles } from "./source-files.ts";

describe.each(["src", "s3", "sw", "server", "demo"])("%s", (folder) => {
  const files = sourceFiles(folder);

  test("has files to look at", () => {
    expect(files.length).toBeGreaterThan(2);
  });

  test("imports in its own direction only", () => {
    const strays = files.map(({ path, source }) => [path, strayImports(path, source)] as const);
    expect(strays.filter(([, imports]) => imports.length > 0)).toEqual([]);
  });

  test("has clock, dice, network and database in one file each, and the core has none", () => {
    const strays = files.map(({ path, source }) => [path, strayNames(path, source)] as const);
    expect(strays.filter(([, names]) => names.length > 0)).toEqual([]);
  });
});

test("the files that own clock, network and database do use them, so the names are the right ones", () => {
  const sources = new Map(sourceFiles("sw").map(({ path, source }) => [path, source]));
  const namesAsIfElsewhere = (path: string) => strayNames("sw/other.ts", sources.get(path) ?? "");
  expect(namesAsIfElsewhere("sw/clock.ts")).toEqual(
    expect.arrayContaining(["Date.now", "Math.random", "setTimeout", "setInterval"]),
  );
  expect(namesAsIfElsewhere("sw/transport.ts")).toContain("fetch");
  expect(namesAsIfElsewhere("sw/idb-store.ts")).toContain("openDB");
});

describe("the check of imports", () => {
  test.each([
    ["src/core/a.ts", `import { b } from "./b.ts"; import * as v from "valibot";`],
    ["src/protocol.ts", `import type { A } from "./core/a.ts";`],
    ["src/a.ts", `import "comlink"; import "./core/b.ts"; import "./protocol.ts"; export * from "./c.ts";`],
    ["sw/a.ts", `import "idb"; import "../src/core/b.ts"; import "../src/protocol.ts"; import "./c.ts";`],
    ["sw/s3-storage.ts", `import "@aws-sdk/client-s3"; import "../s3/b.ts"; import "./c.ts";`],
    ["s3/a.ts", `import "@aws-sdk/client-s3"; import "../src/core/b.ts"; import "./c.ts";`],
    ["server/a.ts", `import "../s3/b.ts"; import "node:http"; import "../src/core/b.ts"; import "./c.ts";`],
    ["demo/page/a.ts", `import "backhaul"; import "react"; import "../b.ts";`],
    ["demo/a.ts", `import "backhaul/sw"; import "backhaul/server"; import "backhaul/server/node";`],
    ["sw/a.ts", `// import "../src/uploads.ts"\nconst text = 'import "../src/uploads.ts"';`],
  ])("%s may: %s", (path, source) => {
    expect(strayImports(path, source)).toEqual([]);
  });

  test.each([
    ["src/core/a.ts", "../protocol.ts"],
    ["src/core/a.ts", "../index.ts"],
    ["src/core/a.ts", "comlink"],
    ["src/core/a.ts", "node:fs"],
    ["src/protocol.ts", "./uploads.ts"],
    ["src/protocol.ts", "comlink"],
    ["src/a.ts", "../sw/b.ts"],
    ["src/a.ts", "../server/b.ts"],
    ["src/a.ts", "../demo/b.ts"],
    ["src/a.ts", "backhaul/sw"],
    ["src/a.ts", "node:fs"],
    ["sw/a.ts", "../src/uploads.ts"],
    ["sw/a.ts", "../src/core.ts"],
    ["sw/a.ts", "../server/b.ts"],
    ["sw/a.ts", "../s3/b.ts"],
    ["sw/a.ts", "@aws-sdk/client-s3"],
    ["sw/s3-storage.ts", "../server/b.ts"],
    ["server/a.ts", "../src/protocol.ts"],
    ["server/a.ts", "../sw/b.ts"],
    ["s3/a.ts", "../server/b.ts"],
    ["s3/a.ts", "node:fs"],
    ["demo/a.ts", "../src/index.ts"],
    ["demo/page/a.ts", "../../sw/index.ts"],
    ["demo/a.ts", "backhaul/src/core/errors.ts"],
  ])("%s may not import %s, in whatever form", (path, specifier) => {
    for (const source of [
      `import { a } from "${specifier}";`,
      `import type { A } from "${specifier}";`,
      `import "${specifier}";`,
      `export * from "${specifier}";`,
      `export { a } from "${specifier}";`,
      `const a = await import("${specifier}");`,
      `type A = import("${specifier}").A;`,
    ])
      expect(strayImports(path, source), source).toEqual([specifier]);
  });

  test("what is computed can't be checked and so is refused where packages are named", () => {
    expect(strayImports("src/core/a.ts", "await import(name);")).toEqual(["(computed)"]);
  });
});

describe("the check of names", () => {
  test.each([
    ["sw/a.ts", "fetch(url);", "fetch"],
    ["sw/a.ts", "await self.fetch(url);", "fetch"],
    ["sw/a.ts", "const send = fetch;", "fetch"],
    ["sw/clock.ts", "fetch(url);", "fetch"],
    ["sw/a.ts", "const t = Date.now();", "Date.now"],
    ["sw/a.ts", "const t = new Date();", "Date"],
    ["sw/a.ts", "globalThis.setTimeout(f, 1);", "setTimeout"],
    ["sw/a.ts", "setInterval(f, 1);", "setInterval"],
    ["sw/transport.ts", "const r = Math.random();", "Math.random"],
    ["sw/a.ts", "indexedDB.open('x');", "indexedDB.open"],
    ["sw/a.ts", `import { openDB } from "idb";`, "openDB"],
    ["src/core/a.ts", "const t = Date.now();", "Date.now"],
    ["src/core/a.ts", "const t = new Date(0);", "Date"],
    ["src/core/a.ts", "const r = Math.random;", "Math.random"],
  ])("%s: %s", (path, source, name) => {
    expect(strayNames(path, source)).toEqual([name]);
  });

  test.each([
    ["sw/transport.ts", "fetch(url);"],
    ["sw/clock.ts", "Date.now(); Math.random(); setTimeout(f, 1);"],
    ["sw/idb-store.ts", "openDB('x');"],
    ["sw/a.ts", "Math.max(1, 2); store.fetch(); const o = { setTimeout: 1 }; event.fetch.it; // Date.now()"],
    ["src/core/a.ts", "Date.parse(header); Math.min(1, 2); 'Math.random()';"],
    ["src/a.ts", "setTimeout(f, 1); Date.now();"],
  ])("%s may: %s", (path, source) => {
    expect(strayNames(path, source)).toEqual([]);
  });
});
