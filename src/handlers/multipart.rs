//! A streaming parser of multipart/form-data (RFC 7578), as sent by `curl -F` and browsers.
//!
//! Invariant: memory is limited to two buffers and one part header. Strict: no preamble, no padding after a boundary,
//! no transfer encoding, and a final boundary. Must never guess where a part ends.

use std::ops::Range;

/// The longest boundary (RFC 2046 section 5.1.1).
const MAX_BOUNDARY: usize = 70;
/// The size limit of a part header.
const MAX_HEAD: usize = 8 << 10;
/// The limit of parts.
const MAX_PARTS: usize = 32;
/// The size of a read.
const READ_BYTES: usize = 16 << 10;

/// Why a body is not multipart/form-data.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// A part header.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The name of the field.
    pub name: String,
    /// The file name, if it is a file; it may be empty.
    pub filename: Option<String>,
    /// The declared type.
    pub content_type: Option<String>,
}

/// The boundary in a `Content-Type` of multipart/form-data; `None` for any other type.
///
/// # Errors
/// When it is missing or invalid.
pub fn boundary(content_type: &str) -> Result<Option<String>, Malformed> {
    let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Ok(None);
    }
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    let boundary = parameter(parameters, "boundary")?
        .filter(|text| (1..=MAX_BOUNDARY).contains(&text.len()) && text.bytes().all(is_plain) && !text.ends_with(' '));
    boundary.map(Some).ok_or(Malformed("The boundary of the form is missing or invalid."))
}

/// The value of a parameter, quoted or not. In quotes, a backslash escapes only a quote or a backslash: old browsers
/// send paths with single backslashes.
fn parameter(text: &str, wanted: &str) -> Result<Option<String>, Malformed> {
    const MALFORMED: Malformed = Malformed("A parameter in the form is malformed.");
    let (mut value_found, mut rest) = (None, text.trim_start_matches([';', ' ', '\t']));
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=').ok_or(MALFORMED)?;
        let (found, after) = if let Some(quoted) = value.strip_prefix('"') {
            let (mut found, mut letters) = (String::new(), quoted.char_indices().peekable());
            let end = loop {
                match letters.next().ok_or(MALFORMED)? {
                    (at, '"') => break at + 1,
                    (_, '\\') if matches!(letters.peek(), Some((_, '"' | '\\'))) => {
                        found.extend(letters.next().map(|(_, letter)| letter));
                    }
                    (_, letter) => found.push(letter),
                }
            };
            (found, quoted.get(end..).unwrap_or_default())
        } else {
            let end = value.find(';').unwrap_or(value.len());
            let (value, after) = value.split_at(end);
            (value.trim().to_owned(), after)
        };
        // After a value comes the next parameter or the end; duplicates are ambiguous and refused.
        let after = after.trim_start();
        if !(after.is_empty() || after.starts_with(';')) {
            return Err(MALFORMED);
        }
        if name.trim().eq_ignore_ascii_case(wanted) && value_found.replace(found).is_some() {
            return Err(Malformed("The form has a duplicate parameter."));
        }
        rest = after.trim_start_matches([';', ' ', '\t']);
    }
    Ok(value_found)
}

/// The parts of a body read by `read`, which returns 0 at the end.
pub struct Parts<R> {
    read: R,
    /// The delimiter: a line break, two hyphens and the boundary.
    delimiter: Vec<u8>,
    /// Unprocessed bytes. Starts with the line break that precedes every boundary but the first.
    buffer: Vec<u8>,
    count: usize,
}

impl<E: From<Malformed>, R: FnMut(&mut [u8]) -> Result<usize, E>> Parts<R> {
    /// The parts of a body with this boundary.
    pub fn new(boundary: &str, read: R) -> Self {
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        Self { read, delimiter, buffer: b"\r\n".to_vec(), count: 0 }
    }

    /// The header of the next part; `None` after the last. The previous part's content must have been read.
    ///
    /// # Errors
    /// When it is malformed, or those of `read`.
    pub fn next_part(&mut self) -> Result<Option<Part>, E> {
        self.expect(self.delimiter.len())?;
        if !self.buffer.starts_with(&self.delimiter) {
            return Err(Malformed("The form does not start with its boundary.").into());
        }
        self.buffer.drain(..self.delimiter.len());
        self.expect(2)?;
        if self.buffer.starts_with(b"--") {
            self.buffer.drain(..2);
            return self.end();
        }
        if !self.buffer.starts_with(b"\r\n") {
            return Err(Malformed("There is extra data after a boundary of the form.").into());
        }
        self.count += 1;
        if self.count > MAX_PARTS {
            return Err(Malformed("The form has too many parts.").into());
        }
        // The line break after the boundary also starts the header, which may be empty.
        let mut searched = 0;
        let end = loop {
            if let Some(found) = find(&self.buffer, b"\r\n\r\n", searched) {
                break found;
            }
            searched = self.buffer.len().saturating_sub(3);
            if self.buffer.len() > MAX_HEAD {
                return Err(Malformed("A part header of the form is too long.").into());
            }
            if !self.fill()? {
                return Err(Malformed("The form is truncated.").into());
            }
        };
        if end > MAX_HEAD {
            return Err(Malformed("A part header of the form is too long.").into());
        }
        let head = self.buffer.drain(..end + 4).collect::<Vec<u8>>();
        Ok(Some(parse_head(&head)?))
    }

    /// Calls `each` with the content of a part, piece by piece.
    ///
    /// # Errors
    /// When it is malformed, or those of `read` or `each`.
    pub fn content(&mut self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        loop {
            let found = find(&self.buffer, &self.delimiter, 0);
            // Keep what may be the start of the delimiter.
            let certain = found.unwrap_or_else(|| (self.buffer.len() + 1).saturating_sub(self.delimiter.len()));
            if certain > 0 {
                each(self.buffer.get(..certain).unwrap_or_default())?;
                self.buffer.drain(..certain);
            }
            if found.is_some() {
                return Ok(());
            }
            if !self.fill()? {
                return Err(Malformed("The form is truncated.").into());
            }
        }
    }

    /// After the final boundary only a line break is allowed.
    fn end(&mut self) -> Result<Option<Part>, E> {
        while self.buffer.len() <= 2 && self.fill()? {}
        if matches!(self.buffer.as_slice(), b"" | b"\r\n") {
            Ok(None)
        } else {
            Err(Malformed("There is extra data after the end of the form.").into())
        }
    }

    /// Reads until this many bytes are buffered.
    fn expect(&mut self, bytes: usize) -> Result<(), E> {
        while self.buffer.len() < bytes {
            if !self.fill()? {
                return Err(Malformed("The form is truncated.").into());
            }
        }
        Ok(())
    }

    /// Reads more. Returns whether there was any.
    fn fill(&mut self) -> Result<bool, E> {
        let length = self.buffer.len();
        self.buffer.resize(length + READ_BYTES, 0);
        let read = (self.read)(self.buffer.get_mut(length..).unwrap_or_default());
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        Ok(read? > 0)
    }
}

/// Finds a text from a position on. Its first byte is rare in content, so the rest is compared only there.
fn find(bytes: &[u8], text: &[u8], from: usize) -> Option<usize> {
    let (first, last) = (text.first()?, bytes.len().checked_sub(text.len())?);
    let mut places: Range<usize> = from..last + 1;
    while let Some(offset) = bytes.get(places.clone())?.iter().position(|byte| byte == first) {
        let at = places.start + offset;
        if bytes.get(at..)?.starts_with(text) {
            return Some(at);
        }
        places.start = at + 1;
    }
    None
}

fn parse_head(head: &[u8]) -> Result<Part, Malformed> {
    let text = std::str::from_utf8(head).map_err(|_| Malformed("A part header of the form is not UTF-8."))?;
    let (mut part, mut is_named) = (Part::default(), false);
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(Malformed("A part header line of the form has no colon."))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-disposition" => {
                let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
                if is_named || !kind.trim().eq_ignore_ascii_case("form-data") {
                    return Err(Malformed("A part of the form is not form-data."));
                }
                is_named = true;
                part.name = parameter(parameters, "name")?.ok_or(Malformed("A part of the form has no name."))?;
                part.filename = parameter(parameters, "filename")?;
            }
            "content-type" if value.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/")) => {
                return Err(Malformed("A part of the form is itself multipart."));
            }
            "content-type" => part.content_type = Some(value.to_owned()),
            "content-transfer-encoding"
                if !["binary", "8bit", "7bit"].iter().any(|e| value.eq_ignore_ascii_case(e)) =>
            {
                return Err(Malformed("A part of the form has a transfer encoding."));
            }
            _ => {}
        }
    }
    if is_named { Ok(part) } else { Err(Malformed("A part of the form has no name.")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses a body that arrives in pieces of this size.
    fn parts(body: &[u8], at_a_time: usize) -> Result<Vec<(Part, Vec<u8>)>, Malformed> {
        let mut rest = body;
        let mut parts = Parts::new("xyz", |buffer: &mut [u8]| {
            let (now, later) = rest.split_at(rest.len().min(at_a_time).min(buffer.len()));
            buffer[..now.len()].copy_from_slice(now);
            rest = later;
            Ok(now.len())
        });
        let mut found = Vec::new();
        while let Some(part) = parts.next_part()? {
            let mut content = Vec::new();
            parts.content(|piece| {
                content.extend_from_slice(piece);
                Ok::<_, Malformed>(())
            })?;
            found.push((part, content));
        }
        Ok(found)
    }

    const FORM: &[u8] = b"--xyz\r\nContent-Disposition: form-data; name=\"expiry\"\r\n\r\n60\r\n--xyz\r\n\
        content-disposition: form-data; name=file; filename=\"a \\\"b\\\".txt\"\r\nContent-Type: text/x-c\r\n\r\n\
        one\r\n--xy\r\n\r\n--xyz-\r\n--xyz--\r\n";

    #[test]
    fn forms_are_parsed_however_they_are_split() {
        let field = Part { name: "expiry".into(), ..Part::default() };
        let file =
            Part { name: "file".into(), filename: Some("a \"b\".txt".into()), content_type: Some("text/x-c".into()) };
        // A line that only starts like the boundary is content. A boundary followed by extra data is malformed.
        for at_a_time in [1, 2, 7, 1000] {
            assert!(parts(FORM, at_a_time).is_err());
            let good = String::from_utf8_lossy(FORM).replace("--xyz-\r\n", "--xy-\r\n");
            let found = parts(good.as_bytes(), at_a_time).unwrap();
            assert_eq!(
                found,
                [(field_of(&field), b"60".to_vec()), (field_of(&file), b"one\r\n--xy\r\n\r\n--xy-".to_vec())]
            );
        }
    }

    fn field_of(part: &Part) -> Part {
        Part { name: part.name.clone(), filename: part.filename.clone(), content_type: part.content_type.clone() }
    }

    #[test]
    fn malformed_forms_are_refused() {
        let part = "Content-Disposition: form-data; name=a\r\n\r\n";
        for bad in [
            String::new(),
            "--xyz".into(),
            "--xyz\r\n".into(),
            "preamble\r\n--xyz--".into(),
            format!("--xyz\r\n{part}x"),
            format!("--xyz\r\n{part}x\r\n--xyz"),
            format!("--xyz\r\n{part}x\r\n--xyz--\r\nepilogue"),
            format!("--xyz \r\n{part}x\r\n--xyz--"),
            format!("--xyz\n{part}x\r\n--xyz--"),
            "--xyz\r\n\r\nx\r\n--xyz--".into(),
            "--xyz\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--xyz--".into(),
            "--xyz\r\nContent-Disposition: form-data\r\n\r\nx\r\n--xyz--".into(),
            "--xyz\r\nno colon\r\n\r\nx\r\n--xyz--".into(),
            format!("--xyz\r\nContent-Transfer-Encoding: base64\r\n{part}x\r\n--xyz--"),
            format!("--xyz\r\nX: {}\r\n{part}x\r\n--xyz--", "x".repeat(30_000)),
            format!("--xyz\r\nX: {}\r\n{part}x\r\n--xyz--", "x".repeat(9_000)),
            "--xyz\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\nx\r\n--xyz--".into(),
            "--xyz\r\nContent-Disposition: form-data; name=\"a\"x; filename=b\r\n\r\nx\r\n--xyz--".into(),
            format!("--xyz\r\nContent-Type: multipart/mixed; boundary=y\r\n{part}x\r\n--xyz--"),
            format!("{}--xyz--", format!("--xyz\r\n{part}x\r\n").repeat(33)),
        ] {
            assert!(parts(bad.as_bytes(), 1000).is_err(), "{bad:.80}");
        }
        assert_eq!(parts(b"--xyz--", 3), Ok(Vec::new()));
        assert_eq!(parts(format!("--xyz\r\n{part}\r\n--xyz--").as_bytes(), 5).unwrap()[0].1, b"");
    }

    #[test]
    fn boundaries_are_validated() {
        let found = |text: &str| boundary(text).map_err(|_| ());
        assert_eq!(found("multipart/form-data; boundary=xyz"), Ok(Some("xyz".into())));
        assert_eq!(found("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\""), Ok(Some("a b".into())));
        assert_eq!(found("text/plain; boundary=xyz"), Ok(None));
        for bad in ["", "; boundary=", "; boundary=\"a", "; boundary=a\"b", &format!("; boundary={}", "x".repeat(71))] {
            assert_eq!(found(&format!("multipart/form-data{bad}")), Err(()), "{bad}");
        }
    }
}
