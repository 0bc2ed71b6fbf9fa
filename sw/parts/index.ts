/** Parts of uploads on their way to S3: how many at once, signed, hashed, sent, looked up and compared. */

export { type ChecksumAlgorithm, crc32c, crc64nvme, md5, noChecksum, sha256 } from "./checksums.ts";
export { compareSource } from "./compare-source.ts";
export { PartPace } from "./pace.ts";
export { type SendContext, sendParts } from "./send-parts.ts";
export type { SendingUpload } from "./sending-upload.ts";
export type { Presigned } from "./signatures.ts";
