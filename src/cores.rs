//! The number of processor cores that this process may use.
//!
//! Invariant: at least one. Must never be more than its CPU affinity and its cgroup allow.

/// The number of cores; 1 if it is unknown.
pub fn count() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
