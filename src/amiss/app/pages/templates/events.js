// The report page's own rule for events, as a module.
{% include "results/events.js" %}

export { findEvents };
