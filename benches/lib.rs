//! Micro-benchmarks: see README.md in this folder. There is nothing to link.
