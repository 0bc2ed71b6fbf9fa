import { existsSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { expect, test } from "vitest";
import { listFiles } from "./list-files.ts";
import { ROOT } from "./source-files.ts";

const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};
const DOCS = await listFiles("*.md");

/** The links, scripts and files that a Markdown file refers to and the repository does not have. */
function deadReferences(path: string, text: string): string[] {
  return [...deadLinks(path, text), ...missingScripts(text)];
}

function deadLinks(path: string, text: string): string[] {
  const prose = text.replaceAll(/^```.*?^```/gms, "").replaceAll(/`[^`\n]*`/g, "");
  const targets = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)/g), ...prose.matchAll(/^\s*\[[^\]]+\]:\s*(\S+)/gm)];
  return targets
    .map(([, target = ""]) => target)
    .filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target) && !isThere(path, target));
}

function isThere(path: string, target: string): boolean {
  const [file = "", anchor] = target.split("#", 2);
  const linked = file === "" ? path : posix.join(posix.dirname(path), decodeURI(file));
  if (!existsSync(join(ROOT, linked))) return false;
  return anchor === undefined || anchorsOf(readFileSync(join(ROOT, linked), "utf8")).includes(anchor);
}

/** As GitHub names a file's headings. */
function anchorsOf(text: string): string[] {
  const prose = text.replaceAll(/^```.*?^```/gms, "");
  return [...prose.matchAll(/^#{1,6}\s+(.*?)\s*$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** Scripts of package.json, and files that are run or read by their path. */
function missingScripts(text: string): string[] {
  const named = [...text.matchAll(/\bnpm (?:run )?(?:-s )?([\w:-]+)/g)].map(([command, name = ""]) => ({
    command,
    isThere: name in scripts || (!command.startsWith("npm run") && NPM_COMMANDS.has(name)),
  }));
  const files = [...text.matchAll(/(?<![\w./-])(?:scripts|\.ci|bench)\/[\w./-]*\w/g)].map(([file]) => ({
    command: file,
    isThere: existsSync(join(ROOT, file)),
  }));
  return [...named, ...files].filter((each) => !each.isThere).map(({ command }) => command);
}

const NPM_COMMANDS = new Set(["ci", "install", "pack", "publish"]);

test("there are docs to look at", () => {
  expect(DOCS).toEqual(expect.arrayContaining(["README.md", "CONTRIBUTING.md", "docs/states.md"]));
});

test.each(DOCS)("%s refers to files, headings and scripts that exist", (path) => {
  expect(deadReferences(path, readFileSync(join(ROOT, path), "utf8"))).toEqual([]);
});

test.each([
  ["a file that is not there", "docs/new.md", "See [this](stats.md).", ["stats.md"]],
  [
    "a file from another folder",
    "docs/new.md",
    "See [this](README.md) and [that](../README.md).",
    ["README.md"],
  ],
  ["a heading that is not there", "new.md", "See [this](README.md#use-it).", ["README.md#use-it"]],
  ["a link that is defined apart", "new.md", "See [this].\n\n[this]: docs/stats.md", ["docs/stats.md"]],
  ["a script that is not there", "new.md", "`npm run bulid`", ["npm run bulid"]],
  ["a script that npm has no command for", "new.md", "`npm strat`", ["npm strat"]],
  ["a file of scripts that is not there", "new.md", "`node scripts/tset.mjs`", ["scripts/tset.mjs"]],
])("finds %s", (_, path, text, dead) => {
  expect(deadReferences(path, text)).toEqual(dead);
});

test.each([
  ["README.md", "[states](docs/states.md), [there](#developing), [the web](https://example.com/a.md)"],
  ["docs/new.md", "[the handler](../README.md#3-the-server), [its folder](../server/)"],
  [
    "new.md",
    "`npm test -- --project=unit`, `npm start`, `npm run bench:small-files`, `.ci/run`, `scripts/ci.mjs`",
  ],
  ["new.md", "```js\nlist[0](missing.md)\n```"],
])("the check of %s accepts: %s", (path, text) => {
  expect(deadReferences(path, text)).toEqual([]);
});
