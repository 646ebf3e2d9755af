//! Names in a static program: the system's files and DNS resolve them, and nothing else.
//!
//! Invariant: said once in a process, before a name is looked up. Must never load a library into a static program.

/// A static glibc would follow /etc/nsswitch.conf into whatever libraries it names, built for another glibc perhaps;
/// /etc/hosts and DNS are in the program.
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
        // SAFETY: both arguments are constants that end with NUL, which glibc reads during the call; it takes its own lock.
        // It fails only without memory, and then names are resolved as configured.
        unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
    });
}

/// The linked libraries are the system's own: they may load what it names.
#[cfg(not(all(target_env = "gnu", target_feature = "crt-static")))]
pub fn stay_static() {}
