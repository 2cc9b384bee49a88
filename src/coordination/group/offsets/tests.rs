//! Offsets, step by step.
