import type { Action, Answer } from "./fault.ts";

/** An error as S3 says it. */
export function s3Error(
  status: number,
  code: string,
  more: { readonly acted?: boolean; readonly cors?: boolean } = {},
): Action {
  return {
    do: "answer",
    acted: false,
    status,
    headers: { "content-type": "application/xml" },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>As planned.</Message></Error>`,
    ...more,
  };
}

/** As a proxy or a gateway on the way says it. */
export function gatewayAnswer(status: number, headers: Readonly<Record<string, string>> = {}): Action {
  return {
    do: "answer",
    acted: false,
    status,
    headers: { "content-type": "text/html", ...headers },
    body: `<html><body>${status}</body></html>`,
  };
}

export function withBody(change: (body: string) => string): Action {
  return { do: "change", change: (answer) => ({ ...answer, body: change(answer.body ?? "") }) };
}

/** undefined takes it away. */
export function withETag(change: (etag: string) => string | undefined): Action {
  return {
    do: "change",
    change({ headers: { etag = "", ...headers } = {}, ...answer }: Answer) {
      const changed = change(etag);
      return { ...answer, headers: changed === undefined ? headers : { ...headers, etag: changed } };
    },
  };
}
