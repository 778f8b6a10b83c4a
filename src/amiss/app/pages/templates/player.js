// The report page's own player, as a module.
import { drawScale, indexAt, inWords, lengthOf, readColours, timeOfDay } from "./drawing.js";

{% include "results/player.js" %}

export { Player };
