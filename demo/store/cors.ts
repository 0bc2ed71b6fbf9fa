import type { IncomingHttpHeaders } from "node:http";
import { S3Error } from "./errors.ts";
import { MAX_CORS_RULES } from "./limits.ts";
import { type Element, parseXml, type XmlElement, xmlDocument } from "./xml.ts";

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html */
export interface CorsRule {
  readonly id?: string;
  readonly allowedOrigins: readonly string[];
  readonly allowedMethods: readonly string[];
  readonly allowedHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeSeconds?: number;
}

type Rules = readonly CorsRule[] | undefined;
type Headers = Record<string, string>;

const METHODS = ["GET", "PUT", "HEAD", "POST", "DELETE"];
const VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/** The headers that an answer to a cross-origin request carries; none if no rule allows it. The request itself runs. */
export function corsHeaders(rules: Rules, method: string, origin: string | undefined): Headers {
  if (rules === undefined || origin === undefined) return {};
  const rule = rules.find((each) => allows(each, origin, method));
  return rule === undefined ? {} : { ...answerTo(rule, origin), vary: VARY };
}

/** The headers of the answer to a preflight, or AccessForbidden if the first rule that fits all of it does not exist. */
export function preflight(rules: Rules, headers: IncomingHttpHeaders): Headers {
  const { origin } = headers;
  const method = headers["access-control-request-method"];
  if (origin === undefined) throw new S3Error("BadRequest");
  if (method === undefined || !METHODS.includes(method)) {
    throw new S3Error("BadRequest", `Invalid Access-Control-Request-Method: ${method ?? "null"}`);
  }
  if (rules === undefined) throw new S3Error("AccessForbidden");
  const requested = (headers["access-control-request-headers"] ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
  const rule = rules.find(
    (each) => allows(each, origin, method) && requested.every((name) => allowsHeader(each, name)),
  );
  if (rule === undefined) {
    throw new S3Error(
      "AccessForbidden",
      "CORSResponse: This CORS request is not allowed. This is usually because the evaluation of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
    );
  }
  const allowed: Headers =
    requested.length > 0 ? { "access-control-allow-headers": requested.join(", ") } : {};
  return { ...answerTo(rule, origin), ...allowed, vary: VARY };
}

export function parseCors(text: string): CorsRule[] {
  const rules = parseXml(text, "CORSConfiguration").children("CORSRule").map(parseRule);
  if (rules.length === 0 || rules.length > MAX_CORS_RULES) throw new S3Error("MalformedXML");
  return rules;
}

export function corsXml(rules: readonly CorsRule[]): string {
  return xmlDocument(["CORSConfiguration", rules.map((rule) => ["CORSRule", ruleElements(rule)] as const)]);
}

function parseRule(element: XmlElement): CorsRule {
  const texts = (name: string) => element.children(name).map((child) => child.text());
  const [id] = texts("ID");
  const [maxAge] = texts("MaxAgeSeconds");
  const rule = {
    allowedOrigins: texts("AllowedOrigin"),
    allowedMethods: texts("AllowedMethod"),
    allowedHeaders: texts("AllowedHeader"),
    exposeHeaders: texts("ExposeHeader"),
    ...(id === undefined ? {} : { id }),
    ...(maxAge === undefined ? {} : { maxAgeSeconds: Number(maxAge) }),
  };
  if (rule.allowedOrigins.length === 0 || rule.allowedMethods.length === 0 || !/^\d*$/.test(maxAge ?? "")) {
    throw new S3Error("MalformedXML");
  }
  const unknown = rule.allowedMethods.find((method) => !METHODS.includes(method));
  if (unknown !== undefined) {
    throw new S3Error(
      "InvalidRequest",
      `Found unsupported HTTP method in CORS config. Unsupported method is ${unknown}`,
    );
  }
  for (const [name, values] of [
    ["AllowedOrigin", rule.allowedOrigins],
    ["AllowedHeader", rule.allowedHeaders],
  ] as const) {
    const twice = values.find((value) => value.split("*").length > 2);
    if (twice !== undefined)
      throw new S3Error("InvalidRequest", `${name} "${twice}" can not have more than one wildcard.`);
  }
  return rule;
}

function ruleElements(rule: CorsRule): Element[] {
  const elements = (name: string, values: readonly string[]) => values.map((value): Element => [name, value]);
  return [
    ...elements("ID", rule.id === undefined ? [] : [rule.id]),
    ...elements("AllowedMethod", rule.allowedMethods),
    ...elements("AllowedOrigin", rule.allowedOrigins),
    ...elements("AllowedHeader", rule.allowedHeaders),
    ...elements("ExposeHeader", rule.exposeHeaders),
    ...(rule.maxAgeSeconds === undefined ? [] : ([["MaxAgeSeconds", rule.maxAgeSeconds]] as const)),
  ];
}

function answerTo(rule: CorsRule, origin: string): Headers {
  const pattern = rule.allowedOrigins.find((each) => matches(each, origin));
  return {
    "access-control-allow-methods": rule.allowedMethods.join(", "),
    ...(pattern === "*"
      ? { "access-control-allow-origin": "*" }
      : { "access-control-allow-origin": origin, "access-control-allow-credentials": "true" }),
    ...(rule.exposeHeaders.length > 0
      ? { "access-control-expose-headers": rule.exposeHeaders.join(", ") }
      : {}),
    ...(rule.maxAgeSeconds === undefined ? {} : { "access-control-max-age": String(rule.maxAgeSeconds) }),
  };
}

function allows(rule: CorsRule, origin: string, method: string): boolean {
  return (
    rule.allowedMethods.includes(method) && rule.allowedOrigins.some((pattern) => matches(pattern, origin))
  );
}

function allowsHeader(rule: CorsRule, name: string): boolean {
  return rule.allowedHeaders.some((pattern) => matches(pattern.toLowerCase(), name));
}

function matches(pattern: string, text: string): boolean {
  const star = pattern.indexOf("*");
  if (star === -1) return pattern === text;
  const [head, tail] = [pattern.slice(0, star), pattern.slice(star + 1)];
  return text.length >= head.length + tail.length && text.startsWith(head) && text.endsWith(tail);
}
