//! Raw options into a validated configuration.
