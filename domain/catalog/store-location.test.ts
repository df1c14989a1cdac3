/** A location reads back as it was written, and refuses what it must not carry. */
import { describe, expect, it } from "vitest";
import { unwrap } from "../errors.ts";
import { formatStoreLocation, parseStoreLocation } from "./store-location.ts";

describe("store location", () => {
  it.each([
    "folder:/var/lib/drover/store",
    "s3://images/team/a/?region=eu-west-1",
    "s3://images/?region=us-east-1&endpoint=http%3A%2F%2F127.0.0.1%3A9000",
    "s3://images/?region=eu-1&style=host&profile=images&sse=kms&kms_key=alias%2Fimages&ca=%2Fetc%2Fdrover%2Fca.pem",
    "azure://drover/images/",
    "azure://drover/images/team/a/?endpoint=https%3A%2F%2F127.0.0.1%3A10000%2Fdrover&identity=4f1c&ca=%2Fca.pem",
    "artifactory://images-local/team/?endpoint=https%3A%2F%2Fexample.jfrog.io%2Fartifactory",
  ])("reads %s back as it was written", (text) => {
    const location = unwrap(parseStoreLocation(text));
    expect(formatStoreLocation(location)).toBe(text);
  });

  it("takes a prefix with or without its last slash", () => {
    expect(parseStoreLocation("s3://images/team")).toEqual(parseStoreLocation("s3://images/team/"));
  });

  it.each([
    "folder:relative/path",
    "s3://key:secret@images/",
    "s3://images/?secretAccessKey=abc",
    "s3://im/",
    "ftp://images",
    "nonsense",
    "s3://images/?endpoint=ftp://x",
    "s3://images/?endpoint=http://user:pass@x/",
    "s3://images/a b/",
    "s3://images/?region=a&region=b",
    "s3://images/?kms_key=k",
    "s3://images/?ca=relative.pem",
    "azure://drover",
    "azure://Drover/images",
    "azure://drover/images?sas=sig",
    "azure://drover/images?endpoint=https://x/?sig=secret@",
    "artifactory://images-local",
    "artifactory://images-local/?endpoint=https://u:secret@x/artifactory",
  ])("refuses %s", (text) => {
    const refused = parseStoreLocation(text);
    expect(refused).toMatchObject({ ok: false, fault: { code: "store_invalid" } });
    expect(JSON.stringify(refused)).not.toContain("secret@");
  });

  it.each([
    ["s3://images/?endpont=x", 'no parameter "endpont"; known are region, endpoint,'],
    ["artifactory://images-local", "The store's endpoint is missing."],
    ["azure://drover", "The store's container must be 3 to 63"],
    ["s3://images/?style=virtual", "The store's style must be path or host."],
    ["s3://images/?kms_key=k", "The store's kms_key must come with sse=kms."],
  ])("says what is wrong with %s", (text, words) => {
    expect(parseStoreLocation(text)).toMatchObject({ fault: { message: expect.stringContaining(words) } });
  });
});
