import type { EnvironmentOptions } from "vite";
import { defineConfig } from "vitest/config";
import { workerXmlParser } from "./scripts/worker-xml-parser.ts";

// The project's own sources, where an app gets what was built from them.
const conditions = ["backhaul-source"];
const project = (name: string, include: string[], more = {}) => ({
  extends: true as const,
  test: { name, include, ...more },
});
// A browser and a store share the machine with the tests: two of these at a time would starve one another.
const oneByOne = (turn: number, testTimeout = 120_000) => ({
  fileParallelism: false,
  sequence: { groupOrder: turn },
  testTimeout,
  hookTimeout: 120_000,
});

const library = (entry: Record<string, string>, external: (string | RegExp)[]): EnvironmentOptions => ({
  build: {
    outDir: "dist",
    // Two builds and the types stand there; scripts/build.mjs empties it before them.
    emptyOutDir: false,
    target: "es2022",
    sourcemap: true,
    minify: false,
    lib: { entry, formats: ["es"] },
    rollupOptions: {
      external,
      onLog(level, log, handle) {
        // Rolldown does keep the "use client" of an entry.
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") handle(level, log);
      },
    },
  },
});
// Node can't import names from `workbox-window`, which is CommonJS to it; so that one is built in.
const external = ["comlink", "hash-wasm", "idb", "rate-limiter-flexible", "valibot", /^workbox-core/];

/** One file with all that it depends on, for apps without a bundler, or whose bundler does not build their worker. */
const standalone = (file: string, entry: string, format: "es" | "iife"): EnvironmentOptions => ({
  ...library({}, []),
  consumer: "client",
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
  build: {
    ...library({}, []).build,
    minify: true,
    sourcemap: false,
    lib: { entry, formats: [format], name: "backhaul", fileName: () => `standalone/${file}` },
  },
});

/**
 * The library: one file per entry of the exports map. What it depends on stays outside, for the app's bundler; but for the
 * AWS SDK in the worker, which an app's bundler would make one of that doesn't run there.
 */
export default defineConfig({
  resolve: { conditions, alias: [workerXmlParser] },
  ssr: { resolve: { conditions: [...conditions, "node"] } },
  builder: {
    async buildApp({ build, environments: { client, worker, page, classicWorker } }) {
      for (const environment of [client, worker, page, classicWorker])
        if (environment) await build(environment);
    },
  },
  environments: {
    client: library(
      {
        index: "src/index.ts",
        server: "server/index.ts",
        "server/node": "server/node.ts",
        "server/redis": "server/redis.ts",
        command: "server/command.ts",
        react: "bindings/react/index.ts",
        vue: "bindings/vue/index.ts",
        svelte: "bindings/svelte/index.ts",
        solid: "bindings/solid/index.ts",
        element: "bindings/element/index.ts",
        testing: "bindings/testing/index.ts",
      },
      [...external, /^node:/, /^@aws-sdk\//, "backhaul", /^react/, "vue", "solid-js"],
    ),
    worker: {
      ...library({ sw: "sw/index.ts", "sw/s3-storage": "sw/s3-storage.ts" }, external),
      consumer: "client",
    },
    page: standalone("backhaul.js", "src/index.ts", "es"),
    classicWorker: standalone("backhaul-sw.js", "sw/index.ts", "iife"),
  },
  test: {
    coverage: {
      provider: "v8",
      // Files that no test imports count too.
      include: ["sw/**/*.ts"],
      reporter: ["json-summary"],
      reportsDirectory: ".cache/coverage",
    },
    projects: [
      // Long enough for a machine that is busy with other things: none of these tests asserts a time.
      project("unit", ["test/unit/**/*.test.ts", "test/architecture/**/*.test.ts"], { testTimeout: 120_000 }),
      project("simulation", ["test/simulation/**/*.test.ts"], { testTimeout: 300_000 }),
      project("server", ["test/server/**/*.test.ts"], { testTimeout: 60_000, hookTimeout: 60_000 }),
      project("contract", ["test/contract/**/*.test.ts"], oneByOne(1)),
      project("browser", ["test/browser/**/*.test.ts"], oneByOne(2)),
      project("faults", ["test/faults/**/*.test.ts"], {
        ...oneByOne(5),
        silent: "passed-only",
      }),
      project("raw", ["test/raw/**/*.test.ts"], oneByOne(4, 900_000)),
      project("lifetimes", ["test/lifetimes/**/*.test.ts"], oneByOne(6, 4 * 3_600_000)),
      project("slow", ["test/slow/**/*.test.ts"], oneByOne(3, 900_000)),
    ],
  },
});
