import fc from "fast-check";
import { crc64 } from "hash-wasm";
import { expect, test } from "vitest";
import { combineCrc64 } from "../../src/core/crc64-combine.ts";

const NVME = "9a6c9329ac4bc9b5";
const crcOf = async (bytes: Uint8Array) => BigInt(`0x${await crc64(bytes, NVME)}`);
const hashed = async (bytes: Uint8Array) => ({ crc: await crcOf(bytes), length: bytes.length });

test("the CRC of a whole is that of its pieces combined", async () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(pieces, async (each) => {
      const whole = Buffer.concat(each);
      expect(combineCrc64(await Promise.all(each.map(hashed)))).toBe(await crcOf(whole));
    }),
  );
});

test("pieces in another order make another CRC", async () => {
  const [first, second] = await Promise.all([hashed(Buffer.from("12345")), hashed(Buffer.from("6789"))]);
  // The check value of https://reveng.sourceforge.io/crc-catalogue/all.htm#crc.cat.crc-64-nvme.
  expect(combineCrc64([first, second])).toBe(0xae8b14860a799888n);
  expect(combineCrc64([second, first])).toBe(await crcOf(Buffer.from("678912345")));
  expect(combineCrc64([second, first])).not.toBe(combineCrc64([first, second]));
});

test("a piece may be as large as S3's parts are", async () => {
  const mebibytes = 32;
  const zeros = new Uint8Array(mebibytes * 1024 * 1024);
  const head = await hashed(Buffer.from("head"));
  const half = await hashed(zeros.subarray(zeros.length / 2));
  expect(combineCrc64([head, await hashed(zeros)])).toBe(combineCrc64([head, half, half]));
  // 5 GiB of zeros, by one step and by 160.
  const step = { crc: (await hashed(zeros)).crc, length: zeros.length };
  const gibibytes = Array.from({ length: 160 }, () => step);
  const whole = { crc: combineCrc64(gibibytes), length: 160 * zeros.length };
  expect(combineCrc64([head, whole])).toBe(combineCrc64([head, ...gibibytes]));
});

test("10,000 parts are combined", async () => {
  const part = await hashed(Buffer.from("0123456789"));
  const parts = Array.from({ length: 10_000 }, () => part);
  expect(combineCrc64(parts)).toBe(await crcOf(Buffer.from("0123456789".repeat(10_000))));
});
