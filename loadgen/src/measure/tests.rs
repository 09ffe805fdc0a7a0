//! Known distributions, and addition.
