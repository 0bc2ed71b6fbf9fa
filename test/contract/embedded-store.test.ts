import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startStore } from "../../demo/store/server.ts";
import { describeS3Contract } from "./contract.ts";

/** Digests that the store does not know. */
const UNCHECKED = {
  "wrong x-amz-checksum-crc32c, presigned": "200",
  "wrong x-amz-checksum-crc32c of a part, presigned": "200",
  "wrong x-amz-checksum-crc64nvme, presigned": "200",
  "wrong x-amz-checksum-crc64nvme of a part, presigned": "200",
  "wrong x-amz-checksum-sha1, presigned": "200",
  "wrong x-amz-checksum-sha1 of a part, presigned": "200",
};

describeS3Contract(
  "embedded store",
  async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "store-"));
    const store = await startStore({
      dataDir,
      port: 0,
      accessKeyId: "contract",
      secretAccessKey: "contract-secret",
    });
    return {
      ...store,
      endpoint: store.url,
      stop: async () => {
        await store.close();
        await rm(dataDir, { recursive: true });
      },
    };
  },
  UNCHECKED,
);
