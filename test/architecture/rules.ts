import { posix } from "node:path";
import { mentionsOf } from "./mentions.ts";

interface ImportRule {
  readonly of: string;
  /** Folders (with a slash at their end) and files of this repository. */
  readonly files: readonly string[];
  readonly packages: RegExp;
}

const CORE = "src/core/";
const PROTOCOL = "src/protocol/";
const NO_PACKAGES = /^(?!)/;
const NO_SERVER_PACKAGES = /^(?!node:|@aws-sdk\/|backhaul)/;

/** The one file by which a room of the worker is reached from outside. */
const door = (room: string) => `sw/${room}/index.ts`;

/** The worker's rooms, and the rooms below each. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  engine: ["background-fetch", "pages", "parts", "files", "database", "model", "platform"],
  "background-fetch": ["parts", "files", "database", "model", "platform"],
  pages: ["parts", "files", "database", "model", "platform"],
  parts: ["database", "model", "platform"],
  files: ["database", "model", "platform"],
  database: ["model", "platform"],
  storage: ["platform"],
  platform: ["model"],
  model: [],
};

const roomRules = Object.entries(ROOMS).map(
  ([room, below]): ImportRule => ({
    of: `sw/${room}/`,
    files: [`sw/${room}/`, ...below.map(door), CORE, PROTOCOL, ...(room === "storage" ? ["s3/"] : [])],
    packages: room === "storage" ? /^(valibot|@aws-sdk\/.*)$/ : NO_SERVER_PACKAGES,
  }),
);

/** The modules that a file may import. The first rule that fits its path counts. */
const IMPORT_RULES: readonly ImportRule[] = [
  { of: CORE, files: [CORE], packages: /^valibot$/ },
  { of: PROTOCOL, files: [PROTOCOL, CORE], packages: /^valibot$/ },
  { of: "src/page/", files: ["src/page/", PROTOCOL, CORE], packages: NO_SERVER_PACKAGES },
  { of: "src/index.ts", files: ["src/page/", CORE], packages: NO_PACKAGES },
  { of: "bindings/core/", files: ["bindings/core/"], packages: /^backhaul$/ },
  ...["react", "vue", "svelte", "solid", "element", "testing"].map((room) => ({
    of: `bindings/${room}/`,
    files: [`bindings/${room}/`, ...(room === "testing" ? [] : ["bindings/core/index.ts"])],
    packages: new RegExp(`^(backhaul|${room}|${room}-js)$`),
  })),
  { of: "s3/", files: ["s3/", CORE], packages: /^(valibot|hash-wasm|@aws-sdk\/.*)$/ },
  { of: "sw/model/", files: ["sw/model/", CORE], packages: NO_PACKAGES },
  ...roomRules,
  // An entry of its own: the SDK is several times as large as all the rest of the worker.
  {
    of: "sw/s3-storage.ts",
    files: ["sw/storage/", door("platform")],
    packages: NO_PACKAGES,
  },
  {
    of: "sw/events.ts",
    files: [door("engine"), door("pages"), door("platform"), PROTOCOL, CORE],
    packages: NO_PACKAGES,
  },
  {
    of: "sw/",
    files: [
      "sw/events.ts",
      "sw/serve.ts",
      "sw/worker-options.ts",
      ...Object.keys(ROOMS).map(door),
      PROTOCOL,
      CORE,
    ],
    packages: NO_SERVER_PACKAGES,
  },
  { of: "server/", files: ["server/", "s3/", CORE], packages: /^(?!backhaul)/ },
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
  /** The one file that may use the names. */
  readonly only?: string;
  /** Names, each with all that can be asked of it. */
  readonly names: readonly string[];
  readonly but?: readonly string[];
}

const CLOCK_AND_DICE = ["Date", "performance", "Math.random", "crypto", "setTimeout", "setInterval"];

const NAME_RULES: readonly NameRule[] = [
  {
    of: "sw/",
    only: "sw/platform/browser-platform.ts",
    names: [
      ...CLOCK_AND_DICE,
      "fetch",
      "XMLHttpRequest",
      "navigator",
      "BroadcastChannel",
      "cookieStore",
      "registration",
    ],
  },
  { of: "sw/", only: "sw/database/idb-connection.ts", names: ["openDB", "deleteDB", "indexedDB"] },
  {
    of: "src/page/",
    only: "src/page/browser-platform.ts",
    names: [
      ...CLOCK_AND_DICE,
      "fetch",
      "BroadcastChannel",
      "addEventListener",
      "navigator.connection",
      "navigator.storage",
    ],
  },
  // The result of `Date.parse` depends on its argument only.
  { of: "src/core/", names: ["Date", "Math.random"], but: ["Date.parse"] },
  { of: "src/protocol/", names: ["Date", "Math.random"] },
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
