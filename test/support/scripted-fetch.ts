/** One request, as `fetch` was given it. */
export interface SeenRequest {
  readonly url: string;
  readonly init: RequestInit;
}

export type ScriptedAnswer = Response | Error | ((request: SeenRequest) => Response | Promise<Response>);

/** A `fetch` that answers what the test has put in, one after another, and obeys the signal as browsers do. */
export class ScriptedFetch {
  readonly requests: SeenRequest[] = [];
  readonly #answers: ScriptedAnswer[] = [];

  answer(...answers: ScriptedAnswer[]): void {
    this.#answers.push(...answers);
  }

  readonly fetch = async (input: string | URL | Request, init: RequestInit): Promise<Response> => {
    const request = { url: input instanceof Request ? input.url : String(input), init };
    this.requests.push(request);
    init.signal?.throwIfAborted();
    const answer = this.#answers.shift();
    if (answer === undefined) throw new Error(`nobody has said what ${request.url} answers`);
    if (answer instanceof Error) throw answer;
    return typeof answer === "function" ? answer(request) : answer;
  };
}

/** No answer at all, until the request is aborted. */
export function noAnswer({ init }: SeenRequest): Promise<Response> {
  return new Promise((_resolve, reject) => {
    init.signal?.addEventListener("abort", () => reject(init.signal?.reason));
  });
}

/** An answer whose body begins and does not end, until the request is aborted. */
export function endlessBody({ init }: SeenRequest): Response {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode("{"));
      init.signal?.addEventListener("abort", () => controller.error(init.signal?.reason));
    },
  });
  return new Response(body);
}
