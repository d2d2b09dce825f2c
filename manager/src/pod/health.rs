//! Component states to pod health.
