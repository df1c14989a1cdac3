/** Connection strings are read by whole keys, written again as they were read, and become a place and a secret, apart. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { unwrap } from "../../domain/errors.ts";
import { parseStoreLocation } from "../../domain/catalog/store-location.ts";
import { storeIn } from "./connection.ts";
import { formatConnection, parseConnection, providers } from "./connection-string.ts";

const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));

describe("a connection string", () => {
  it("is a catalog, a store, or both, whatever the case of its keys and the spaces around its parts", () => {
    expect(unwrap(parseConnection(" Provider = MinIO ; BUCKET=Images;endpoint=minio:9000;access_key=A;Secret_Key=b=c== ;"))).toEqual({
      host: null,
      provider: "minio",
      parts: { bucket: "Images", endpoint: "minio:9000", access_key: "A", secret_key: "b=c==" },
    });
    const host = { scheme: "https", name: "catalog", port: 8443, username: "root", password: "a:b@c" };
    expect(unwrap(parseConnection("host=root:a:b@c@https://catalog:8443"))).toEqual({ host, provider: null, parts: {} });
    expect(unwrap(parseConnection("host=a2V5OnNlY3JldA==@catalog;port=80")).host).toEqual({
      scheme: "http",
      name: "catalog",
      port: 80,
      apiKey: "a2V5OnNlY3JldA==",
    });
  });

  it("has keys that are matched whole", () => {
    const text = "provider=aws-s3;x_bucket=wrong;bucket=right;region=r;my_access_key=wrong;access_key=a;secret_key=s";
    expect(unwrap(parseConnection(text)).parts).toMatchObject({ bucket: "right", access_key: "a", x_bucket: "wrong" });
  });

  it.each([
    ["provider=floppy;secret_key=hidden", "no remote service found for the provider floppy"],
    ["provider=hidden hidden", "no remote service found for the provider"],
    ["provider=aws-s3;bucket=b;region=r;access_key=hidden", "the aws-s3 connection lacks secret_key"],
    ["provider=aws-s3;bucket=b;access_key=hidden;secret_key=hidden", "the aws-s3 connection lacks region"],
    ["provider=minio;bucket=b;endpoint=e;access_key=a;secret_key=hidden;use_ssl=hidden", "use_ssl must be true or false"],
    ["provider=azure-storage-account;storage_account_key=hidden;container_name=c", "lacks storage_account_name"],
    ["provider=artifactory;url=u;repo=r", "the artifactory connection lacks access_key"],
    ["provider=artifactory;url=u;repo=r;username=hidden", "the artifactory connection lacks password"],
    ["provider=artifactory;url=u;repo=r;access_key=hidden;username=u;password=hidden", "exclude each other"],
    ["provider=local-storage;hidden", 'part 2 is not a key and a value joined by "="'],
    ["bucket=a;bucket=hidden", "bucket is given twice"],
    ["host=hidden hidden", "host is not a name"],
    ["host=catalog;port=99999", "port must be a number"],
  ])("that is wrong (%s) is refused by the name of its part, without a value", (text, words) => {
    const refused = parseConnection(text);
    expect(refused).toMatchObject({ ok: false, fault: { code: "store_invalid", message: expect.stringContaining(words) } });
    expect(JSON.stringify(refused)).not.toContain("hidden");
  });

  it(`reads back as it was written, whatever it holds (DROVER_TEST_SEED=${seed})`, () => {
    const value = fc.stringMatching(/^[A-Za-z0-9+/=@:.&%_-]{1,40}$/);
    const key = fc.stringMatching(/^x_[a-z_]{1,20}$/);
    const host = fc.record({
      scheme: fc.constantFrom("http" as const, "https" as const),
      name: fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}$/),
      port: fc.integer({ min: 1, max: 65_535 }),
      username: value,
      password: value,
    });
    const parts = { bucket: value, region: value, endpoint: value, access_key: value, secret_key: value };
    const others = { storage_account_name: value, storage_account_key: value, container_name: value, url: value, repo: value };
    fc.assert(
      fc.property(
        fc.option(host),
        fc.constantFrom(...providers),
        fc.record({ ...parts, ...others, catalog_path: value }),
        fc.dictionary(key, value),
        (catalog, provider, known, unknown) => {
          // A store's own name and password come in the same keys as a catalog's.
          fc.pre(provider !== "artifactory" || catalog === null);
          const connection = { host: catalog, provider, parts: { ...known, ...unknown } };
          expect(unwrap(parseConnection(formatConnection(connection)))).toEqual(connection);
        },
      ),
      { seed, numRuns: 200 },
    );
  });
});

describe("the store that a connection string names", () => {
  it.each([
    [
      "provider=minio; bucket=images;endpoint=minio:9000;access_key=a;secret_key=b=c;host=root:x@http://catalog",
      "s3://images/?region=us-east-1&endpoint=http%3A%2F%2Fminio%3A9000",
      { accessKeyId: "a", secretAccessKey: "b=c" },
    ],
    [
      "provider=minio;bucket=images;endpoint=http://minio:9000;use_ssl=true;access_key=a;secret_key=b",
      "s3://images/?region=us-east-1&endpoint=https%3A%2F%2Fminio%3A9000",
      { accessKeyId: "a", secretAccessKey: "b" },
    ],
    [
      "provider=aws-s3;bucket=images;region=eu-1;access_key=a;secret_key=b;session_token=t",
      "s3://images/?region=eu-1",
      { accessKeyId: "a", secretAccessKey: "b", sessionToken: "t" },
    ],
    ["provider=aws-s3;bucket=images;region=eu-1;use_environment_authentication=true", "s3://images/?region=eu-1", null],
    [
      "provider=azure-storage-account;storage_account_name=drover;storage_account_key=a2V5;container_name=images",
      "azure://drover/images/",
      { accountKey: "a2V5" },
    ],
    [
      "provider=artifactory;url=https://example.jfrog.io;repo=images-local;access_key=k",
      "artifactory://images-local/?endpoint=https%3A%2F%2Fexample.jfrog.io%2Fartifactory",
      { apiKey: "k" },
    ],
    [
      "provider=artifactory;url=http://jfrog/artifactory/;repo=images-local;username=u;password=p",
      "artifactory://images-local/?endpoint=http%3A%2F%2Fjfrog%2Fartifactory",
      { username: "u", password: "p" },
    ],
    ["provider=local-storage;catalog_path=/Users/builder/Upper Catalog", "folder:/Users/builder/Upper Catalog", null],
  ])("%s is a place and a secret, apart", (text, location, credentials) => {
    expect(storeIn(text)).toEqual({ location, credentials });
    expect(parseStoreLocation(location).ok).toBe(true);
  });

  it.each(["", "host=root:x@http://catalog", "provider=local-storage"])("is the default one for %j", (text) => {
    expect(storeIn(text)).toBeNull();
  });

  it("is refused in the words of the wire, which never tell the string back", () => {
    expect(() => storeIn("provider=floppy;secret_key=hidden")).toThrow(/^Error pushing manifest: (?!.*hidden).*floppy/);
  });
});
