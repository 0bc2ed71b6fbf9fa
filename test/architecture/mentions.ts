import { parseAst } from "vite";

/** The names and modules outside of a source file that it mentions. */
export interface Mentions {
  /** Module specifiers, of types too. */
  readonly imports: readonly string[];
  /** Names, such as `fetch`, with what they are asked for, such as `Date.now`. */
  readonly names: ReadonlySet<string>;
}

interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
}

const IMPORTING = new Set([
  "ImportDeclaration",
  "ExportNamedDeclaration",
  "ExportAllDeclaration",
  "ImportExpression",
  "TSImportType",
]);

export function mentionsOf(path: string, source: string): Mentions {
  const imports: string[] = [];
  const names = new Set<string>();
  for (const node of nodesOf(parseAst(source, { lang: path.endsWith("x") ? "tsx" : "ts" }))) {
    const name = dottedName(node);
    if (name) names.add(name.replace(/^(self|globalThis|window)\./, ""));
    if (IMPORTING.has(node.type) && isNode(node.source))
      imports.push(typeof node.source.value === "string" ? node.source.value : "(computed)");
  }
  return { imports, names };
}

function* nodesOf(value: unknown): Generator<Node> {
  if (Array.isArray(value)) for (const each of value) yield* nodesOf(each);
  if (!isNode(value)) return;
  yield value;
  // `Date.now` is one name, and no name `Date` besides.
  if (dottedName(value)) return;
  for (const [field, child] of Object.entries(value)) if (!isOwnName(value, field)) yield* nodesOf(child);
}

/** The `now` of `f().now` and of `{ now: 1 }` is no name of something outside, and a type is nothing that could be used. */
function isOwnName(node: Node, field: string): boolean {
  return field === "typeName" || ((field === "property" || field === "key") && node.computed === false);
}

function dottedName(node: Node): string | undefined {
  if (node.type === "Identifier") return node.name as string;
  if (node.type !== "MemberExpression" || node.computed || !isNode(node.object) || !isNode(node.property))
    return undefined;
  const object = dottedName(node.object);
  return object && `${object}.${node.property.name as string}`;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value;
}
