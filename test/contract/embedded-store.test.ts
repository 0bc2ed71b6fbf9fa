import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startStore } from "../../demo/store/server.ts";
import { describeS3Contract } from "./contract.ts";

describeS3Contract("embedded store", async () => {
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
});
