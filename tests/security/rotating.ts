/** A process that does nothing but change the master key, again and again, and says so: to be killed in the middle. */
import { openDatabase } from "../../db/connect.ts";
import { keyRows } from "../../db/keys.ts";
import { masterKeySource } from "../../security/master-key.ts";
import { rotateMasterKey } from "../../security/rotation.ts";

const [url = "", home = ""] = process.argv.slice(2);
const { db } = openDatabase(url, { connections: 1 });
const keeper = { masterKey: masterKeySource({ given: undefined, home }), keys: keyRows(db) };
for (;;) {
  await rotateMasterKey(keeper);
  process.stdout.write("rotated\n");
}
