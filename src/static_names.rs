//! Name resolution in a static binary: only /etc/hosts and DNS.
//!
//! Invariant: configured once per process, before the first lookup. Must never load a library into a static binary.

/// A static glibc would load the libraries named in /etc/nsswitch.conf, possibly built for another glibc; /etc/hosts
/// and DNS are linked in.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
#[expect(unsafe_code, reason = "glibc's own switch for this; the block says why it is sound")]
pub fn stay_static() {
    use std::ffi::{c_char, c_int};
    unsafe extern "C" {
        /// `nss.h`: overrides the configured services of a database, for this process.
        fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: both arguments are NUL-terminated constants, which glibc reads only during the call; it takes its own
        // lock. It fails only without memory; then names are resolved as configured.
        unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
    });
}

/// Dynamically linked binaries may load the configured libraries.
#[cfg(not(all(target_env = "gnu", target_feature = "crt-static")))]
pub fn stay_static() {}
