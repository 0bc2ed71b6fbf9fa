import type { Fault, NamedRequest } from "./fault.ts";

/** Which faults are waiting for which requests, by object key, so that several uploads can run side by side. */
export class FaultPlan {
  readonly #byKey = new Map<string, Armed[]>();

  /** Every fault strikes on its own count. */
  arm(key: string, faults: readonly Fault[]): ArmedFaults {
    const armed = faults.map((fault) => new Armed(fault));
    this.#byKey.set(key, armed);
    return {
      strikes: () => armed.map(({ strikes }) => strikes),
      lift: () => {
        this.#byKey.delete(key);
        for (const each of armed) each.lift();
      },
    };
  }

  /** The first fault that fits strikes. */
  meet({ line, operation, key, partNumber }: NamedRequest): Armed | undefined {
    const met = this.#byKey
      .get(key)
      ?.find(
        ({ fault, strikes }) =>
          fault.line === line &&
          fault.operation === operation &&
          (fault.partNumber === undefined || fault.partNumber === partNumber) &&
          (fault.times === "always" || strikes === 0),
      );
    if (met) met.strikes += 1;
    return met;
  }
}

export interface ArmedFaults {
  /** How often each has struck so far. */
  strikes(): readonly number[];
  /** Ends all of them, those that last too. */
  lift(): void;
}

class Armed {
  readonly fault: Fault;
  readonly lifted: Promise<void>;
  strikes = 0;
  lift = () => {};

  constructor(fault: Fault) {
    this.fault = fault;
    this.lifted = new Promise((resolve) => {
      this.lift = resolve;
    });
  }
}

export type { Armed };
