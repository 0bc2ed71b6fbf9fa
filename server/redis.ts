import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import type { OwnerCounts } from "./owner-counts.ts";

export type { OwnerCounts } from "./owner-counts.ts";

/** Options of `redisCounts`. */
export interface RedisCountsOptions {
  /** Keys in Redis begin with this. Servers that share counts have the same. @default "backhaul" */
  readonly prefix?: string;
  /**
   * After how many seconds an owner's count of relayed requests begins anew, from the first of them: so long a server that
   * has died keeps the places that it had occupied. Whole seconds, 60 to 86,400.
   * @default 3600
   */
  readonly relaySeconds?: number;
}

const MINUTE_SECONDS = 60;

/**
 * Counts per owner in Redis, so that `beginsPerMinute` and `relaysAtOnce` hold for all servers together. While Redis can't be
 * reached, each server counts for itself.
 *
 * @param client a connected client of the package `redis` (4 or newer) or `ioredis`, which the app closes. Give it a
 *   listener for "error", and no queue for commands while it is offline (`disableOfflineQueue: true`,
 *   `enableOfflineQueue: false`), or requests wait for Redis.
 * @throws {TypeError} if an option has an invalid value
 */
export function redisCounts(client: object, options: RedisCountsOptions = {}): OwnerCounts {
  const { prefix = "backhaul", relaySeconds = 3_600 } = options;
  if (!Number.isSafeInteger(relaySeconds) || relaySeconds < 60 || relaySeconds > 86_400)
    throw new TypeError(`relaySeconds is ${relaySeconds}: expected whole seconds from 60 to 86400`);
  const useRedisPackage = "sendCommand" in client && !("call" in client);
  const begins = limiterFactory("begin", MINUTE_SECONDS);
  const relays = limiterFactory("relay", relaySeconds);

  /** One limiter for each limit, which only differ where settings do. */
  function limiterFactory(name: string, duration: number) {
    const made = new Map<number, RateLimiterRedis>();
    return (points: number) => {
      const common = { points, duration, keyPrefix: `${prefix}-${name}` };
      const limiter =
        made.get(points) ??
        new RateLimiterRedis({
          ...common,
          storeClient: client,
          useRedisPackage,
          insuranceLimiter: new RateLimiterMemory(common),
        });
      made.set(points, limiter);
      return limiter;
    };
  }

  return {
    async begin(owner, perMinute) {
      const refusal = await consume(begins(perMinute), owner);
      return refusal === null ? 0 : Math.max(1, refusal.msBeforeNext);
    },

    async enterRelay(owner, most) {
      const limiter = relays(most);
      if ((await consume(limiter, owner)) !== null) {
        // What was refused counts as well, but occupies no place.
        await limiter.reward(owner).catch(() => {});
        return null;
      }
      return async () => {
        await limiter.reward(owner).catch(() => {});
      };
    },
  };
}

/** Why nothing was left; null if it was. */
async function consume(limiter: RateLimiterRedis, owner: string): Promise<RateLimiterRes | null> {
  try {
    await limiter.consume(owner);
    return null;
  } catch (error) {
    if (error instanceof RateLimiterRes) return error;
    throw error;
  }
}
