import { posix } from "node:path";
import { mentionsOf } from "./mentions.ts";

interface ImportRule {
  readonly of: string;
  /** Folders and files of this repository. */
  readonly files: readonly string[];
  readonly packages: RegExp;
}

/** What a file may import. The first rule that fits its path counts. */
const IMPORT_RULES: readonly ImportRule[] = [
  { of: "src/core/", files: ["src/core/"], packages: /^valibot$/ },
  { of: "src/protocol.ts", files: ["src/core/"], packages: /^(?!)/ },
  { of: "src/", files: ["src/"], packages: /^(?!node:|@aws-sdk\/|backhaul)/ },
  { of: "s3/", files: ["s3/", "src/core/"], packages: /^(valibot|hash-wasm|@aws-sdk\/.*)$/ },
  // An entry of its own: the SDK is several times as large as all the rest of the worker.
  { of: "sw/s3-storage.ts", files: ["sw/", "s3/", "src/core/"], packages: /^(valibot|@aws-sdk\/.*)$/ },
  { of: "sw/", files: ["sw/", "src/core/", "src/protocol.ts"], packages: /^(?!node:|@aws-sdk\/|backhaul)/ },
  { of: "server/", files: ["server/", "s3/", "src/core/"], packages: /^(?!backhaul)/ },
  {
    of: "demo/",
    files: ["demo/"],
    packages: /^(?!backhaul)|^backhaul(\/sw|\/sw\/s3-storage|\/server|\/server\/node)?$/,
  },
];

/** The imports that a file should not have. */
export function strayImports(path: string, source: string): string[] {
  const rule = IMPORT_RULES.find(({ of }) => path.startsWith(of));
  if (!rule) throw new Error(`no rule for ${path}`);
  return mentionsOf(path, source).imports.filter((specifier) => {
    if (!/^[./]/.test(specifier)) return !rule.packages.test(specifier);
    const target = posix.join(posix.dirname(path), specifier);
    return !rule.files.some((file) => (file.endsWith("/") ? target.startsWith(file) : target === file));
  });
}

interface NameRule {
  readonly of: string;
  /** The one file that may. */
  readonly only?: string;
  /** With all that can be asked of them. */
  readonly names: readonly string[];
  readonly but?: readonly string[];
}

const NAME_RULES: readonly NameRule[] = [
  { of: "sw/", only: "sw/transport.ts", names: ["fetch", "XMLHttpRequest"] },
  {
    ...{ of: "sw/", only: "sw/clock.ts" },
    names: ["Date", "performance", "Math.random", "setTimeout", "setInterval"],
  },
  { of: "sw/", only: "sw/idb-store.ts", names: ["openDB", "deleteDB", "indexedDB"] },
  // What `Date.parse` gives depends on its argument only.
  { of: "src/core/", names: ["Date", "Math.random"], but: ["Date.parse"] },
];

/** The names that a file should not use. */
export function strayNames(path: string, source: string): string[] {
  const mentioned = [...mentionsOf(path, source).names];
  return NAME_RULES.filter((rule) => path.startsWith(rule.of) && path !== rule.only).flatMap((rule) =>
    mentioned.filter(
      (name) =>
        !rule.but?.includes(name) && rule.names.some((each) => name === each || name.startsWith(`${each}.`)),
    ),
  );
}
