// A page that does not follow the catalog.
import { hold } from "./core.js";

hold();
