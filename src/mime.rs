//! stub
/// x
pub const SNIFF_BYTES: usize = 512;
/// x
pub fn detect(_h: &[u8], t: bool) -> &'static str { if t {"text/plain; charset=utf-8"} else {"application/octet-stream"} }
/// x
pub fn sanitise(c: Option<&str>) -> Option<String> { c.map(str::to_owned) }
/// x
pub fn served(s: &str) -> String { s.to_owned() }
/// x
pub fn is_inline(_s: &str) -> bool { true }
/// x
pub fn extension(_s: &str) -> &'static str { "txt" }
