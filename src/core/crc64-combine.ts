/** Some bytes, by all that the checksum of a whole needs of them. */
export interface HashedBytes {
  /** CRC-64/NVME. */
  readonly crc: bigint;
  /** How many there are. */
  readonly length: number;
}

// The polynomials here are reflected: the highest of the 64 bits is the coefficient of x^0.
const ONE = 1n << 63n;
const X = 1n << 62n;
/** x^64 modulo CRC-64/NVME's polynomial. */
const REDUCED = 0x9a6c9329ac4bc9b5n;

/**
 * The CRC-64/NVME of bytes that lie end to end, of the CRCs of the pieces. Appending n bytes multiplies the CRC of what stands
 * before them by x^8n; what a CRC begins and ends with cancels out
 * (https://github.com/madler/zlib/blob/v1.3.1/crc32.c, crc32_combine).
 */
export function combineCrc64(pieces: readonly HashedBytes[]): bigint {
  const shifts = new Map<number, bigint>();
  return pieces.reduce((before, { crc, length }) => {
    const shift = shifts.get(length) ?? powerOfX(8n * BigInt(length));
    shifts.set(length, shift);
    return multiply(shift, before) ^ crc;
  }, 0n);
}

/** x^n, by squaring. */
function powerOfX(n: bigint): bigint {
  let result = ONE;
  let square = X;
  for (let rest = n; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = multiply(square, result);
    square = multiply(square, square);
  }
  return result;
}

/** Their product modulo the polynomial. */
function multiply(left: bigint, right: bigint): bigint {
  let product = 0n;
  let shifted = right;
  for (let bit = ONE; bit > 0n; bit >>= 1n) {
    if (left & bit) product ^= shifted;
    shifted = shifted & 1n ? (shifted >> 1n) ^ REDUCED : shifted >> 1n;
  }
  return product;
}
