/** Where a request goes: from the worker to the app's server, from the worker to S3, from the app's server to S3. */
export type Line = "control" | "data" | "behind";

/** The line, the operation and the key of a request. */
export interface NamedRequest {
  readonly line: Line;
  /** The server's (`begin`, …) or S3's name of it (`UploadPart`, …); `Preflight` for the browser's own. */
  readonly operation: string;
  readonly key: string;
  readonly uploadId?: string;
  readonly partNumber?: number;
}

/**
 * The fate of a request. Where S3 or the server has `acted`, the request was passed on, and its answer is
 * lost or replaced.
 */
export type Action =
  | /** The connection is reset, and for a while nothing listens any more. */ { readonly do: "refuse" }
  | { readonly do: "reset"; readonly at: "before" | "middle" | "after" | "answer" }
  | /** No answer comes, and the connection stays. */ { readonly do: "stall"; readonly acted: boolean }
  | { readonly do: "delay"; readonly ms: number }
  | { readonly do: "limit"; readonly bytesPerSecond: number }
  | /** One bit of the body is turned over. */ { readonly do: "corrupt" }
  | /** S3's answer to a body that it has stored, but it has not. */ { readonly do: "lose" }
  | /** Another answer than S3's or the server's. */ ({
      readonly do: "answer";
      readonly acted: boolean;
      /** Whether the browser lets the worker see it. @default true */
      readonly cors?: boolean;
    } & Answer)
  | /** Their own answer, altered. */ { readonly do: "change"; readonly change: (answer: Answer) => Answer }
  | { readonly do: "pass" };

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Fault {
  readonly line: Line;
  readonly operation: string;
  readonly partNumber?: number;
  /** Which of the requests that fit it meets. */
  readonly times: "once" | "always";
  /** A change at S3 before the action. */
  readonly meanwhile?: (request: NamedRequest) => Promise<void>;
  readonly action: Action;
}
