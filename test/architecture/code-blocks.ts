import { compile } from "svelte/compiler";
import { compileScript, compileTemplate, parse } from "vue/compiler-sfc";

/** A block of code in a Markdown file, as TypeScript that the compiler can check. */
export interface CodeBlock {
  /** Such as "docs/server.md:45". */
  readonly place: string;
  readonly extension: "ts" | "tsx";
  readonly source: string;
}

/** The blocks of a Markdown file that are JavaScript or TypeScript, and the modules inside its blocks of HTML. @throws if a component has a syntax error */
export function codeBlocksOf(path: string, text: string): CodeBlock[] {
  return [...text.matchAll(/^```(js|jsx|ts|tsx|html|vue|svelte)\n(.*?)^```$/gms)].flatMap(
    ({ 1: language = "", 2: code = "", index }) => {
      const place = `${path}:${text.slice(0, index).split("\n").length}`;
      const isMarkup = ["html", "vue", "svelte"].includes(language);
      if (isMarkup) compileComponent(place, code);
      const sources = isMarkup
        ? [...code.matchAll(/<script(?![^>]*importmap)[^>]*>\n(.*?)<\/script>/gs)].map(
            ([, each = ""]) => each,
          )
        : [code];
      return sources.map((source): CodeBlock => {
        const extension = /x$/.test(language) ? "tsx" : "ts";
        // Each framework has types of its own for what stands in angle brackets.
        const pragma = source.includes('"backhaul/solid"') ? "/** @jsxImportSource solid-js */\n" : "";
        return { place, extension, source: `${pragma}${source}\nexport {};\n` };
      });
    },
  );
}

function compileComponent(place: string, code: string): void {
  if (code.includes('"backhaul/svelte"')) compile(code, { filename: place });
  if (!code.includes("<template>")) return;
  const { descriptor, errors } = parse(code, { filename: place });
  const options = { id: place, filename: place, source: descriptor.template?.content ?? "" };
  const script = compileScript(descriptor, { id: place });
  const template = compileTemplate({
    ...options,
    compilerOptions: script.bindings ? { bindingMetadata: script.bindings } : {},
  });
  const problem = [...errors, ...template.errors][0];
  if (problem !== undefined) throw new Error(`${place}: ${String(problem)}`);
}
