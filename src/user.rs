//! The user who runs this program, for messages about permissions and for the operators' log.
//!
//! Invariant: always a name or a number. Must never be used for an access decision: the system enforces those.

/// The name of the user this process runs as, or its number.
pub fn name() -> String {
    let uid = std::fs::metadata("/proc/self").map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata)).ok();
    let uid = uid.map(|uid| uid.to_string()).unwrap_or_default();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.unwrap_or(uid)
}

/// The same, with the original user of sudo or doas, as operators may all be root.
pub fn operator() -> String {
    let before = ["SUDO_USER", "DOAS_USER"].into_iter().find_map(|variable| std::env::var(variable).ok());
    let is_plain = |name: &String| {
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b))
    };
    // Only for root: any other user could set the variable.
    match before.filter(|before| is_plain(before) && name() == "root") {
        Some(before) => format!("{before} as {}", name()),
        None => name(),
    }
}
