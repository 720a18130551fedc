// What every page does: follow changes of the catalog.
import { refresh } from "./core.js";
import { followChanges } from "./live.js";

followChanges(() => refresh());
