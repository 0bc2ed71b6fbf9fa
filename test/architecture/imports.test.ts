import { describe, expect, test } from "vitest";
import { strayImports, strayNames } from "./rules.ts";
import { sourceFiles } from "./source-files.ts";

describe.each(["src", "s3", "sw", "server", "demo", "bindings"])("%s", (folder) => {
  const files = sourceFiles(folder);

  test("has files to look at", () => {
    expect(files.length).toBeGreaterThan(2);
  });

  test("imports in its own direction only", () => {
    const strays = files.map(({ path, source }) => [path, strayImports(path, source)] as const);
    expect(strays.filter(([, imports]) => imports.length > 0)).toEqual([]);
  });

  test("has clock, dice, network and database in one file each", () => {
    const strays = files.map(({ path, source }) => [path, strayNames(path, source)] as const);
    expect(strays.filter(([, names]) => names.length > 0)).toEqual([]);
  });
});

test("the files that own the outside world do use it, so the names are the right ones", () => {
  const namesAsIfElsewhere = (folder: string, path: string, elsewhere: string) => {
    const file = sourceFiles(folder).find((each) => each.path === path);
    return strayNames(elsewhere, file?.source ?? "");
  };
  expect(namesAsIfElsewhere("sw", "sw/platform/browser-platform.ts", "sw/other.ts")).toEqual(
    expect.arrayContaining([
      "Date.now",
      "Math.random",
      "setTimeout",
      "setInterval",
      "fetch",
      "navigator.onLine",
    ]),
  );
  expect(namesAsIfElsewhere("sw", "sw/database/idb-connection.ts", "sw/other.ts")).toContain("openDB");
  expect(namesAsIfElsewhere("src", "src/page/browser-platform.ts", "src/page/other.ts")).toEqual(
    expect.arrayContaining(["Date.now", "setTimeout", "BroadcastChannel", "crypto.randomUUID"]),
  );
});

describe("the check of imports", () => {
  test.each([
    ["src/core/a.ts", `import { b } from "./b.ts"; import * as v from "valibot";`],
    [
      "src/protocol/a.ts",
      `import type { A } from "../core/a.ts"; import * as v from "valibot"; import "./b.ts";`,
    ],
    [
      "src/page/a.ts",
      `import "comlink"; import "../core/b.ts"; import "../protocol/c.ts"; export * from "./c.ts";`,
    ],
    ["src/index.ts", `export * from "./page/a.ts"; export type { A } from "./core/a.ts";`],
    [
      "sw/database/a.ts",
      `import "idb"; import "../../src/core/b.ts"; import "../model/index.ts"; import "./c.ts";`,
    ],
    [
      "sw/engine/a.ts",
      `import "../parts/index.ts"; import "../pages/index.ts"; import "../../src/protocol/b.ts";`,
    ],
    ["sw/storage/s3-storage.ts", `import "@aws-sdk/client-s3"; import "../../s3/b.ts"; import "./c.ts";`],
    ["sw/s3-storage.ts", `import "./storage/s3-storage.ts"; import "./platform/index.ts";`],
    ["sw/index.ts", `import "workbox-core"; import "./serve.ts"; import "./database/index.ts";`],
    [
      "bindings/react/a.tsx",
      `import "backhaul"; import "react"; import "../core/index.ts"; import "./b.tsx";`,
    ],
    ["bindings/testing/a.ts", `import "backhaul"; import "./b.ts";`],
    ["s3/a.ts", `import "@aws-sdk/client-s3"; import "../src/core/b.ts"; import "./c.ts";`],
    ["server/a.ts", `import "../s3/b.ts"; import "node:http"; import "../src/core/b.ts"; import "./c.ts";`],
    ["demo/page/a.ts", `import "backhaul"; import "react"; import "../b.ts";`],
    ["demo/a.ts", `import "backhaul/sw"; import "backhaul/server"; import "backhaul/server/node";`],
    ["sw/a.ts", `// import "../src/page/uploads.ts"\nconst text = 'import "../src/page/uploads.ts"';`],
  ])("%s may: %s", (path, source) => {
    expect(strayImports(path, source)).toEqual([]);
  });

  test.each([
    ["src/core/a.ts", "../protocol/protocol.ts"],
    ["src/core/a.ts", "../page/uploads.ts"],
    ["src/core/a.ts", "../../sw/model/index.ts"],
    ["src/core/a.ts", "../index.ts"],
    ["src/core/a.ts", "comlink"],
    ["src/core/a.ts", "node:fs"],
    ["src/protocol/a.ts", "../page/uploads.ts"],
    ["src/protocol/a.ts", "comlink"],
    ["src/page/a.ts", "../../sw/model/index.ts"],
    ["src/page/a.ts", "../../server/b.ts"],
    ["src/page/a.ts", "backhaul/sw"],
    ["src/page/a.ts", "node:fs"],
    ["sw/model/a.ts", "../platform/index.ts"],
    ["sw/model/a.ts", "../../src/protocol/protocol.ts"],
    ["sw/model/a.ts", "valibot"],
    ["sw/platform/a.ts", "../database/index.ts"],
    ["sw/database/a.ts", "../files/index.ts"],
    ["sw/parts/a.ts", "../files/index.ts"],
    ["sw/parts/a.ts", "../engine/index.ts"],
    ["sw/files/a.ts", "../engine/index.ts"],
    ["sw/pages/a.ts", "../engine/index.ts"],
    ["sw/pages/a.ts", "../background-fetch/index.ts"],
    ["sw/background-fetch/a.ts", "../engine/index.ts"],
    ["sw/engine/a.ts", "../events.ts"],
    ["sw/engine/a.ts", "../parts/send-parts.ts"],
    ["sw/engine/a.ts", "../storage/index.ts"],
    ["sw/events.ts", "./database/index.ts"],
    ["sw/events.ts", "./index.ts"],
    ["sw/index.ts", "./engine/roster.ts"],
    ["sw/index.ts", "./storage/s3-storage.ts"],
    ["sw/a.ts", "../src/page/uploads.ts"],
    ["sw/a.ts", "../server/b.ts"],
    ["sw/a.ts", "../s3/b.ts"],
    ["sw/a.ts", "@aws-sdk/client-s3"],
    ["sw/storage/a.ts", "../database/index.ts"],
    ["sw/s3-storage.ts", "../server/b.ts"],
    ["server/a.ts", "../src/protocol/protocol.ts"],
    ["server/a.ts", "../sw/b.ts"],
    ["bindings/core/a.ts", "../../src/core/errors.ts"],
    ["bindings/core/a.ts", "react"],
    ["bindings/react/a.tsx", "../core/totals.ts"],
    ["bindings/react/a.tsx", "vue"],
    ["bindings/vue/a.ts", "../react/index.ts"],
    ["bindings/testing/a.ts", "../core/index.ts"],
    ["bindings/svelte/a.ts", "backhaul/sw"],
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
    ["sw/a.ts", "const t = Date.now();", "Date.now"],
    ["sw/a.ts", "const t = new Date();", "Date"],
    ["sw/a.ts", "globalThis.setTimeout(f, 1);", "setTimeout"],
    ["sw/a.ts", "setInterval(f, 1);", "setInterval"],
    ["sw/platform/transport.ts", "const r = Math.random();", "Math.random"],
    ["sw/a.ts", "if (navigator.onLine) f();", "navigator.onLine"],
    ["sw/a.ts", "self.registration.scope;", "registration.scope"],
    ["sw/a.ts", "indexedDB.open('x');", "indexedDB.open"],
    ["sw/a.ts", `import { openDB } from "idb";`, "openDB"],
    ["src/page/a.ts", "setTimeout(f, 1);", "setTimeout"],
    ["src/page/a.ts", "new BroadcastChannel(name);", "BroadcastChannel"],
    ["src/core/a.ts", "const t = Date.now();", "Date.now"],
    ["src/core/a.ts", "const t = new Date(0);", "Date"],
    ["src/core/a.ts", "const r = Math.random;", "Math.random"],
  ])("%s: %s", (path, source, name) => {
    expect(strayNames(path, source)).toEqual([name]);
  });

  test.each([
    ["sw/platform/browser-platform.ts", "fetch(url); Date.now(); Math.random(); setTimeout(f, 1);"],
    ["sw/database/idb-connection.ts", "openDB('x');"],
    ["sw/a.ts", "Math.max(1, 2); store.fetch(); const o = { setTimeout: 1 }; event.fetch.it; // Date.now()"],
    ["src/core/a.ts", "Date.parse(header); Math.min(1, 2); 'Math.random()';"],
    ["src/page/browser-platform.ts", "setTimeout(f, 1); Date.now();"],
  ])("%s may: %s", (path, source) => {
    expect(strayNames(path, source)).toEqual([]);
  });
});
