/**
 * Requests and responses that hold their bodies as they were given. Node's own wrap them in streams, which takes longer than all that
 * a history does with them.
 */
export class InMemoryRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly signal = new AbortController().signal;
  /** What it was made with. */
  readonly content: BodyInit | null;

  constructor(input: string | URL, { method = "GET", headers, body = null }: RequestInit = {}) {
    this.url = new URL(input).href;
    this.method = method;
    this.headers = new Headers(headers);
    this.content = body;
  }

  /** A text's bytes in one piece; what else is sent, servers of a simulation read by `content`. */
  get body() {
    const chunks = typeof this.content === "string" ? [new TextEncoder().encode(this.content)] : [];
    return {
      getReader: () => ({
        read: async () => ({ value: chunks.at(0), done: chunks.shift() === undefined }),
        cancel: async () => {},
      }),
    };
  }
}

export class InMemoryResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly type = "default";
  readonly #content: string;

  constructor(content: string | null = null, { status = 200, headers }: ResponseInit = {}) {
    this.status = status;
    this.headers = new Headers(headers);
    this.#content = content ?? "";
  }

  static json(value: unknown, init?: ResponseInit): InMemoryResponse {
    return new InMemoryResponse(JSON.stringify(value), init);
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  clone(): InMemoryResponse {
    return this;
  }

  async text(): Promise<string> {
    return this.#content;
  }

  async json(): Promise<unknown> {
    return JSON.parse(this.#content);
  }
}
