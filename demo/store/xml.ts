import { XMLParser } from "fast-xml-parser";
import { S3Error } from "./errors.ts";

/** An element: its name, and text or child elements. */
export type Element = readonly [name: string, content: string | number | boolean | readonly Element[]];

const NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/";

// Entities are left alone by the parser: its limit on expansions is below the two per part that 10,000 quoted ETags need.
const parser = new XMLParser({ ignoreAttributes: true, parseTagValue: false, processEntities: false });

export function xmlDocument([name, content]: Element, namespace = NAMESPACE): string {
  const attribute = namespace === "" ? "" : ` xmlns="${namespace}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${name}${attribute}>${render(content)}</${name}>`;
}

/** The children of the document's root element, which must be named `root`. */
export function parseXml(text: string, root: string): XmlElement {
  let document: unknown;
  try {
    document = parser.parse(text, true);
  } catch {
    throw new S3Error("MalformedXML");
  }
  const element = new XmlElement(document).child(root);
  if (element === undefined) throw new S3Error("MalformedXML");
  return element;
}

/** One parsed element; wrong shapes are MalformedXML, never a TypeError. */
export class XmlElement {
  readonly #value: unknown;

  constructor(value: unknown) {
    this.#value = value;
  }

  children(name: string): XmlElement[] {
    if (typeof this.#value !== "object" || this.#value === null) return [];
    const found: unknown = (this.#value as Record<string, unknown>)[name];
    if (found === undefined) return [];
    return (Array.isArray(found) ? found : [found]).map((value) => new XmlElement(value));
  }

  child(name: string): XmlElement | undefined {
    const [first, second] = this.children(name);
    if (second !== undefined) throw new S3Error("MalformedXML");
    return first;
  }

  text(): string {
    if (typeof this.#value !== "string") throw new S3Error("MalformedXML");
    return this.#value.replace(/&(quot|apos|lt|gt|amp|#\d+|#x[\da-f]+);/gi, (_, name: string) =>
      decode(name),
    );
  }
}

function render(content: Element[1]): string {
  if (typeof content === "object") {
    return content.map(([name, inner]) => `<${name}>${render(inner)}</${name}>`).join("");
  }
  // Object keys may hold control characters; S3 writes them as references too.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return String(content).replace(/[&<>"'\x00-\x1f]/g, (char) => `&#${char.charCodeAt(0)};`);
}

function decode(name: string): string {
  switch (name.toLowerCase()) {
    case "quot":
      return '"';
    case "apos":
      return "'";
    case "lt":
      return "<";
    case "gt":
      return ">";
    case "amp":
      return "&";
    default: {
      const hex = /^#x/i.test(name);
      const code = Number.parseInt(name.slice(hex ? 2 : 1), hex ? 16 : 10);
      if (code > 0x10ffff) throw new S3Error("MalformedXML");
      return String.fromCodePoint(code);
    }
  }
}
