import { fileURLToPath } from "node:url";
import { createBuilder } from "vite";
import { expect, test } from "vitest";
import { ROOT } from "./source-files.ts";

/** Builds the worker's part of the package: the chunks of each entry of the exports map. */
async function buildWorker() {
  const builder = await createBuilder({
    root: ROOT,
    configFile: fileURLToPath(new URL("../../vite.config.ts", import.meta.url)),
    logLevel: "error",
    build: { write: false },
  });
  const { worker } = builder.environments;
  if (!worker) throw new Error("vite.config.ts has no environment of this name");
  const [result] = [await builder.build(worker)].flat();
  if (!result || !("output" in result)) throw new Error("nothing was built");
  const chunks = result.output.filter((file) => file.type === "chunk");
  return (name: string) => {
    const chunk = chunks.find(({ fileName }) => fileName === name);
    if (!chunk) throw new Error(`no ${name} was built`);
    return chunk;
  };
}

test("the AWS SDK is built into its own entry of the worker, such as a service worker can run it", {
  timeout: 60_000,
}, async () => {
  const chunk = await buildWorker();
  const storage = chunk("sw/s3-storage.js");
  expect(storage.code).toContain("ListMultipartUploads");
  expect(storage.code).not.toContain("DOMParser");
  expect(storage.imports.filter((name) => !name.endsWith(".js"))).toEqual(["valibot", "hash-wasm"]);
  // Both entries must share one module of faults, or an error of the one would be no `StorageFault` to the
  // other.
  const shared = storage.imports.filter((name) => name.endsWith(".js"));
  expect(chunk("sw.js").imports).toEqual(expect.arrayContaining(shared));
  for (const name of ["sw.js", ...shared]) expect(chunk(name).code).not.toContain("ListMultipartUploads");
});
