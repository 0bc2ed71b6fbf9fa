import { join, relative, sep } from "node:path";
import {
  isConstructorDeclaration,
  isExpressionWithTypeArguments,
  isGetAccessorDeclaration,
  isMethodDeclaration,
  isMethodSignatureDeclaration,
  isParameterDeclaration,
  isPrivateIdentifier,
  isPropertyDeclaration,
  isPropertySignatureDeclaration,
  isTypeNode,
  isTypeReferenceNode,
  type Node,
  SyntaxKind,
} from "typescript/unstable/ast";
import { API, type Project, type Symbol as Sym, SymbolFlags } from "typescript/unstable/sync";

/**
 * The symbols that an app can come across from these entries of a project and that no doc comment explains: what the entries
 * export, its members, and every type that its declarations name. A comment of tags alone explains nothing.
 *
 * @returns one line for each, such as "src/core/options.ts:14 Hours.from", with the path from `root`
 */
export function undocumentedSymbols(root: string, config: string, entries: readonly string[]): string[] {
  const api = new API({ cwd: root });
  try {
    const project = api.updateSnapshot({ openProjects: [join(root, config)] }).getProject(join(root, config));
    if (!project) throw new Error(`${config} is not a project`);
    const walk = new Walk(project, root);
    for (const entry of entries) walk.enter(join(root, entry));
    return [...walk.undocumented].sort();
  } finally {
    api.close();
  }
}

class Walk {
  readonly undocumented = new Set<string>();
  readonly #seen = new Set<number>();
  readonly #project: Project;
  readonly #root: string;

  constructor(project: Project, root: string) {
    this.#project = project;
    this.#root = root;
  }

  enter(file: string): void {
    const { program, checker } = this.#project;
    const source = program.getSourceFile(file);
    const module = source && checker.getSymbolAtLocation(source);
    if (!module) throw new Error(`${file} is not a module of the project`);
    for (const symbol of checker.getExportsOfModule(module)) this.#reach(symbol);
  }

  #reach(named: Sym): void {
    const { checker } = this.#project;
    const symbol = named.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(named) : named;
    if (this.#seen.has(symbol.id) || symbol.flags & SymbolFlags.TypeParameter) return;
    this.#seen.add(symbol.id);
    for (const handle of symbol.declarations) {
      const declaration = handle.resolve(this.#project);
      if (!declaration || !this.#isOwn(declaration)) continue;
      this.#requireDoc(symbol, declaration, symbol.name);
      this.#visitParts(declaration, symbol.name);
    }
  }

  /** The parts of a declaration that its users see: members and types, but no code. */
  #visitParts(node: Node, owner: string): void {
    node.forEachChild((child) => {
      if (isMember(child)) this.#visitMember(child, owner);
      else if (isParameterDeclaration(child) && child.type) this.#visitType(child.type, owner);
      else if (isTypeNode(child) || isExpressionWithTypeArguments(child)) this.#visitType(child, owner);
      else if (isTransparent(child)) this.#visitParts(child, owner);
    });
  }

  #visitType(type: Node, owner: string): void {
    if (isTypeReferenceNode(type)) this.#reachAt(type.typeName);
    else if (isExpressionWithTypeArguments(type)) this.#reachAt(type.expression);
    this.#visitParts(type, owner);
  }

  #reachAt(name: Node): void {
    const symbol = this.#project.checker.getSymbolAtLocation(name);
    if (symbol) this.#reach(symbol);
  }

  #visitMember(member: Node & { readonly name: Node }, owner: string): void {
    if (isHidden(member)) return;
    const symbol = this.#project.checker.getSymbolAtLocation(member.name);
    if (!symbol) return;
    const name = `${owner}.${symbol.name}`;
    this.#requireDoc(symbol, member, name);
    this.#visitParts(member, name);
  }

  #requireDoc(symbol: Sym, declaration: Node, name: string): void {
    if (symbol.getDocumentationComment(this.#project.checker).trim() !== "") return;
    const line = declaration.getSourceFile().text.slice(0, declaration.getStart()).split("\n").length;
    this.undocumented.add(`${this.#pathOf(declaration)}:${line} ${name}`);
  }

  /** Declaration files describe what the browser or a package brings, and those have documentation of their own. */
  #isOwn(declaration: Node): boolean {
    const path = this.#pathOf(declaration);
    return !path.startsWith("..") && !path.endsWith(".d.ts");
  }

  #pathOf(node: Node): string {
    return relative(this.#root, node.getSourceFile().fileName).split(sep).join("/");
  }
}

function isMember(node: Node): node is Node & { readonly name: Node } {
  return (
    isPropertySignatureDeclaration(node) ||
    isMethodSignatureDeclaration(node) ||
    isPropertyDeclaration(node) ||
    isMethodDeclaration(node) ||
    isGetAccessorDeclaration(node) ||
    // `constructor(readonly code: string)` declares a property.
    (isParameterDeclaration(node) && hasModifier(node, SyntaxKind.ReadonlyKeyword, SyntaxKind.PublicKeyword))
  );
}

function isHidden(member: Node & { readonly name: Node }): boolean {
  return (
    isPrivateIdentifier(member.name) ||
    hasModifier(member, SyntaxKind.PrivateKeyword, SyntaxKind.ProtectedKeyword) ||
    isInternal(member)
  );
}

function isInternal(node: Node): boolean {
  return node.jsDoc?.some((comment) => comment.getText().includes("@internal")) ?? false;
}

function hasModifier(node: Node, ...kinds: readonly SyntaxKind[]): boolean {
  const { modifiers } = node as { readonly modifiers?: readonly Node[] };
  return modifiers?.some(({ kind }) => kinds.includes(kind)) ?? false;
}

/** Syntax that only wraps types or members. */
function isTransparent(node: Node): boolean {
  if (isConstructorDeclaration(node)) return !isInternal(node);
  return node.kind === SyntaxKind.HeritageClause || node.kind === SyntaxKind.TypeParameter;
}
