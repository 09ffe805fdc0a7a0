//! Faults that real servers had, each by the name of its class. Every test fails without its guard.
