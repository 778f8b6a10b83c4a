// The report page's own drawing, as a module.
{% include "results/drawing.js" %}

readColours();
export { brush, clock, count, drawCurve, drawScale, indexAt, inWords, lengthInWords, lengthOf, readColours, timeOfDay };
