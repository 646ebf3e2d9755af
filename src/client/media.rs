//! Common MIME types by file extension, for the manifest.
//!
//! Invariant: an extension is listed only if its type is unambiguous. Must never look at content, nor decide how
//! content is handled: readers detect the type themselves.

/// The usual type of a file with this name.
pub fn type_of(name: &str) -> Option<&'static str> {
    let (before, ending) = name.rsplit('/').next().unwrap_or(name).rsplit_once('.')?;
    let ending = ending.to_ascii_lowercase();
    let known = |(_, endings): &&(&str, &[&str])| endings.contains(&ending.as_str());
    // A leading dot marks a hidden file, not an extension.
    TYPES.iter().find(known).filter(|_| !before.is_empty()).map(|(mime_type, _)| *mime_type)
}

/// Types and their extensions.
const TYPES: &[(&str, &[&str])] = &[
    ("text/plain", &["txt", "text", "log", "conf", "ini"]),
    ("text/markdown", &["md", "markdown"]),
    ("text/html", &["html", "htm"]),
    ("text/css", &["css"]),
    ("text/csv", &["csv"]),
    ("text/tab-separated-values", &["tsv"]),
    ("text/javascript", &["js", "mjs"]),
    ("text/calendar", &["ics"]),
    ("text/vcard", &["vcf"]),
    ("text/x-diff", &["diff", "patch"]),
    ("text/x-c", &["c", "h"]),
    ("text/x-python", &["py"]),
    ("text/x-rust", &["rs"]),
    ("text/x-shellscript", &["sh"]),
    ("application/json", &["json"]),
    ("application/xml", &["xml"]),
    ("application/yaml", &["yaml", "yml"]),
    ("application/toml", &["toml"]),
    ("application/sql", &["sql"]),
    ("application/pdf", &["pdf"]),
    ("application/rtf", &["rtf"]),
    ("application/zip", &["zip"]),
    ("application/gzip", &["gz", "tgz"]),
    ("application/x-bzip2", &["bz2"]),
    ("application/x-xz", &["xz"]),
    ("application/zstd", &["zst"]),
    ("application/x-tar", &["tar"]),
    ("application/x-7z-compressed", &["7z"]),
    ("application/epub+zip", &["epub"]),
    ("application/vnd.oasis.opendocument.text", &["odt"]),
    ("application/vnd.oasis.opendocument.spreadsheet", &["ods"]),
    ("application/vnd.oasis.opendocument.presentation", &["odp"]),
    ("application/msword", &["doc"]),
    ("application/vnd.ms-excel", &["xls"]),
    ("application/vnd.ms-powerpoint", &["ppt"]),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", &["docx"]),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", &["xlsx"]),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", &["pptx"]),
    ("application/wasm", &["wasm"]),
    ("message/rfc822", &["eml"]),
    ("image/png", &["png"]),
    ("image/jpeg", &["jpg", "jpeg"]),
    ("image/gif", &["gif"]),
    ("image/webp", &["webp"]),
    ("image/avif", &["avif"]),
    ("image/heic", &["heic"]),
    ("image/bmp", &["bmp"]),
    ("image/tiff", &["tif", "tiff"]),
    ("image/svg+xml", &["svg"]),
    ("image/vnd.microsoft.icon", &["ico"]),
    ("audio/mpeg", &["mp3"]),
    ("audio/mp4", &["m4a"]),
    ("audio/ogg", &["ogg", "opus"]),
    ("audio/flac", &["flac"]),
    ("audio/wav", &["wav"]),
    ("video/mp4", &["mp4", "m4v"]),
    ("video/webm", &["webm"]),
    ("video/quicktime", &["mov"]),
    ("video/matroska", &["mkv"]),
    ("font/woff2", &["woff2"]),
    ("font/ttf", &["ttf"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_extensions_have_a_type() {
        for (name, mime_type) in [
            ("notes.txt", Some("text/plain")),
            ("folder.d/PHOTO.JPG", Some("image/jpeg")),
            ("a.tar.gz", Some("application/gzip")),
            ("README", None),
            ("folder.txt/README", None),
            (".txt", None),
            ("folder/.png", None),
            ("a.", None),
            ("a.unheard-of", None),
        ] {
            assert_eq!(type_of(name), mime_type, "{name}");
        }
        let endings: Vec<&str> = TYPES.iter().flat_map(|(_, endings)| *endings).copied().collect();
        let different: std::collections::HashSet<&&str> = endings.iter().collect();
        assert_eq!(different.len(), endings.len());
    }
}
