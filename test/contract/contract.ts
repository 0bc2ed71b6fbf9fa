import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeBodies } from "./bodies.ts";
import { describeChecksums } from "./checksums.ts";
import { describeCors } from "./cors.ts";
import { describeListings } from "./listings.ts";
import { describeCompletion } from "./multipart-completion.ts";
import { describeParts } from "./multipart-parts.ts";
import { describeObjects } from "./objects.ts";
import { describeSignatures } from "./signatures.ts";
import { type KnownDifferences, type S3Engine, Subject } from "./subject.ts";

/**
 * The behaviour of S3 that Backhaul relies on, asserted as AWS has it. `knownDifferences` says by case how
 * this engine was measured to answer instead; that is asserted too, so that an engine which mends its ways is
 * noticed.
 */
export function describeS3Contract(
  name: string,
  start: () => Promise<S3Engine>,
  knownDifferences: KnownDifferences = {},
): void {
  describe(`S3 contract: ${name}`, () => {
    const subject = new Subject(start, knownDifferences);
    // Minutes, where an engine has to be installed first.
    beforeAll(() => subject.start(), 600_000);
    afterAll(() => subject.stop(), 30_000);

    describeObjects(subject);
    describeSignatures(subject);
    describeBodies(subject);
    describeChecksums(subject);
    describeParts(subject);
    describeCompletion(subject);
    describeListings(subject);
    describeCors(subject);

    it("lists no difference that no case asks for", () => {
      expect(subject.unmetDifferences).toEqual([]);
    });
  });
}
