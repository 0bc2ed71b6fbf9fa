import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { type CodeBlock, codeBlocksOf } from "./code-blocks.ts";
import { listFiles } from "./list-files.ts";
import { ROOT } from "./source-files.ts";

const run = promisify(execFile);

/** Compiles blocks as modules of an app that has this package. Returns the compiler's errors, each with the block's place. */
async function errorsIn(blocks: readonly CodeBlock[]): Promise<string[]> {
  // Inside the repository, where imports of "backhaul" find this package.
  await mkdir(join(ROOT, ".cache"), { recursive: true });
  const folder = await mkdtemp(join(ROOT, ".cache/code-blocks-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const names = blocks.map(({ extension }, index) => `block-${index}.${extension}`);
  await Promise.all(
    blocks.map(({ source }, index) => writeFile(join(folder, names[index] as string), source)),
  );
  await copyFile(join(ROOT, "test/architecture/code-block-names.txt"), join(folder, "names.d.ts"));
  const config = {
    extends: "../../tsconfig.base.json",
    compilerOptions: {
      composite: false,
      declarationMap: false,
      emitDeclarationOnly: false,
      noEmit: true,
      // Most blocks are JavaScript, which says nothing about types.
      strict: false,
      noUncheckedIndexedAccess: false,
      exactOptionalPropertyTypes: false,
      noUnusedLocals: false,
      noUnusedParameters: false,
      verbatimModuleSyntax: false,
      jsx: "react-jsx",
      // As it stands on the reader's site, without a bundler.
      paths: { "/backhaul.js": ["../../dist/types/src/index.d.ts"] },
      lib: ["ES2023", "DOM", "DOM.Iterable"],
      types: ["node", "vite/client"],
    },
    include: ["."],
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  const printed = await run(tsc, ["--pretty", "false", "--project", folder], { cwd: folder }).then(
    () => "",
    ({ stdout }: { readonly stdout: string }) => stdout,
  );
  return printed
    .split("\n")
    .filter((line) => /^\S.*error TS/.test(line))
    .map((line) => line.replace(/^block-(\d+)\.tsx?/, (_, index) => blocks[Number(index)]?.place ?? ""));
}

test("every block of code in the README and in docs compiles against the package's types", {
  timeout: 120_000,
}, async () => {
  const pages = await listFiles("README.md", "docs/*.md");
  const texts = await Promise.all(pages.map((page) => readFile(join(ROOT, page), "utf8")));
  const blocks = pages.flatMap((page, index) => codeBlocksOf(page, texts[index] as string));
  expect(blocks.length).toBeGreaterThan(20);
  expect(await errorsIn(blocks)).toEqual([]);
});

test("a block with an option, a name or a function that is not there is found, by its line", {
  timeout: 120_000,
}, async () => {
  const text = `
\`\`\`js
import { connectUploads } from "backhaul";
const uploads = await connectUploads({ wroker: "/sw.js" });
\`\`\`

\`\`\`html
<script type="module">
  import { connectUpload } from "backhaul";
</script>
\`\`\`

\`\`\`jsx
import { useUploads } from "backhaul/solid";
export const List = () => <Fro each={useUploads()().list} />;
\`\`\`
`;
  expect(await errorsIn(codeBlocksOf("new.md", text))).toEqual([
    expect.stringMatching(/^new\.md:2.*wroker/),
    expect.stringMatching(/^new\.md:7.*connectUpload/),
    expect.stringMatching(/^new\.md:13.*Fro/),
  ]);
});

test("a component with a syntax error is found", () => {
  const svelte =
    '<script>\n  import { createUploads } from "backhaul/svelte";\n</script>\n{#each $list as}\n';
  expect(() => codeBlocksOf("new.md", `\`\`\`html\n${svelte}\`\`\`\n`)).toThrow();
  const vue = '<script setup>\nconst a = 1;\n</script>\n<template><p :a="{"></p></template>\n';
  expect(() => codeBlocksOf("new.md", `\`\`\`html\n${vue}\`\`\`\n`)).toThrow();
});
