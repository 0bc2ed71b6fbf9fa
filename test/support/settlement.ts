/** The outcome of a promise so far. */
export interface Settlement<T> {
  state: "pending" | "fulfilled" | "rejected";
  value?: T;
  error?: unknown;
}

/** Follows a promise without waiting for it. Its rejection is handled thereby. */
export function settlementOf<T>(promise: Promise<T>): Settlement<T> {
  const settlement: Settlement<T> = { state: "pending" };
  promise.then(
    (value) => Object.assign(settlement, { state: "fulfilled", value }),
    (error: unknown) => Object.assign(settlement, { state: "rejected", error }),
  );
  return settlement;
}
