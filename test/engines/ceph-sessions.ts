import { createCipheriv, createDecipheriv } from "node:crypto";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";
import type { TemporaryCredentials } from "../../sw/s3-storage.ts";
import type { S3Engine } from "./engine.ts";

// The key and vector with which Ceph seals its session tokens: the `rgw_sts_key` of start.sh, and a constant.
const STS_KEY = "0123456789abcdef";
const IV = "cephsageyudagreg";

/** Sessions of the role that start.sh makes, from Ceph's STS AssumeRole. */
export class CephSessions {
  readonly #sts: STSClient;

  constructor({ endpoint, region, accessKeyId, secretAccessKey }: S3Engine) {
    this.#sts = new STSClient({ endpoint, region, credentials: { accessKeyId, secretAccessKey } });
  }

  /** @param seconds AssumeRole gives 900 at least; for less its token is opened, and sealed again with an earlier end */
  async assumeRole(seconds = 900): Promise<TemporaryCredentials & { readonly expiration: Date }> {
    const { Credentials } = await this.#sts.send(
      new AssumeRoleCommand({
        RoleArn: "arn:aws:iam:::role/uploader",
        RoleSessionName: "browser-test",
        DurationSeconds: Math.max(900, seconds),
      }),
    );
    const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = Credentials ?? {};
    if (!AccessKeyId || !SecretAccessKey || !SessionToken || !Expiration)
      throw new Error("Ceph's STS gave no credentials.");
    const session = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey };
    if (seconds >= 900) return { ...session, sessionToken: SessionToken, expiration: Expiration };
    const expiration = new Date(Date.now() + seconds * 1_000);
    return { ...session, sessionToken: endingAt(SessionToken, expiration), expiration };
  }

  close(): void {
    this.#sts.destroy();
  }
}

function endingAt(sessionToken: string, expiration: Date): string {
  const opener = createDecipheriv("aes-128-cbc", STS_KEY, IV);
  const opened = Buffer.concat([opener.update(sessionToken, "base64"), opener.final()]).toString("latin1");
  // Its end stands there before its beginning, to the nanosecond.
  const end = expiration.toISOString().replace("Z", "000000Z");
  const changed = opened.replace(/\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z/, end);
  if (changed === opened) throw new Error("Ceph's session token does not look as it used to.");
  const sealer = createCipheriv("aes-128-cbc", STS_KEY, IV);
  return Buffer.concat([sealer.update(changed, "latin1"), sealer.final()]).toString("base64");
}
