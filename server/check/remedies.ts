import { S3Failure, toStorageFault } from "../../s3/s3-faults.ts";

/** Any error as S3's code and message, without what must not be logged. */
export function failureOf(error: unknown): S3Failure {
  const { cause, code, message } = toStorageFault(error);
  return cause instanceof S3Failure ? cause : new S3Failure(code, null, null, message);
}

const REGION = "set --region (and the server's) to the bucket's own";
const REMEDIES: Readonly<Record<string, string>> = {
  AuthorizationHeaderMalformed: REGION,
  AuthorizationQueryParametersError: REGION,
  CredentialsProviderError: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile",
  ExpiredToken: "get new temporary credentials",
  IllegalLocationConstraintException: REGION,
  InvalidAccessKeyId: "the engine does not know AWS_ACCESS_KEY_ID: correct it, or --endpoint",
  NoSuchBucket: "create the bucket, or correct --bucket",
  PermanentRedirect: REGION,
  RequestTimeTooSkewed: "set this machine's clock by NTP",
  SignatureDoesNotMatch:
    "AWS_SECRET_ACCESS_KEY is not that of AWS_ACCESS_KEY_ID, or a proxy changes requests",
  TimeoutError: "see whether a firewall is in between",
  ENOTFOUND: "correct --endpoint, or the name's DNS entry",
  ECONNREFUSED: "correct --endpoint, or start the engine",
};

/** What to do about a failed call, which needs the permission. */
export function remedyOf({ code, status, message }: S3Failure, permission: string): string {
  const known = REMEDIES[code];
  if (known !== undefined) return known;
  if (message.includes("Region is missing")) return REGION;
  if (status === 403) return `allow ${permission} to the server's credentials`;
  if (status !== null && status >= 300 && status < 400) return `${REGION}, or --endpoint to where it leads`;
  return "see the engine's own log";
}
