import { expect, it } from "vitest";
import { storeIn } from "./connection.ts";

it("takes the store from the string, its secret apart", () => {
  expect(storeIn("provider=minio; bucket=images;endpoint=minio:9000;access_key=a;secret_key=b=c;host=root:x@http://catalog")).toEqual({
    location: "s3://images?endpoint=http%3A%2F%2Fminio%3A9000",
    accessKey: "a",
    secretKey: "b=c",
  });
  expect(storeIn("host=root:x@http://catalog")).toBeNull();
  expect(storeIn("")).toBeNull();
});

it("refuses providers that it does not know and never tells the string back", () => {
  expect(() => storeIn("provider=floppy;secret_key=hidden")).toThrow(/^(?!.*hidden).*floppy/);
  expect(() => storeIn("provider=aws-s3;bucket=b;region=r;access_key=a")).toThrow("lacks secret_key");
});
