/** The version of this installation, as its package says. */
import about from "../package.json" with { type: "json" };

export const { version } = about;
