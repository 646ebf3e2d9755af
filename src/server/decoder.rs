//! Decodes the framing of a request body: a length, or chunks (RFC 9112 sections 6 and 7.1).
//!
//! Invariant: a body is complete only with the last byte of its framing; every chunk size is 1 to 8 hex digits and
//! nothing else; ignored parts (chunk extensions, trailer fields) are limited and free of control characters. Must
//! never do I/O or hold content.

use crate::http::Framing;

/// The longest chunk size in hex digits: just below 4 GiB. A larger paste needs more than one chunk.
const MAX_SIZE_DIGITS: u8 = 8;
/// The longest chunk extension in bytes.
const MAX_EXTENSION_BYTES: u16 = 256;
/// The size limit of trailer fields, including line breaks.
const MAX_TRAILER_BYTES: u16 = 8 << 10;

/// What comes next on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This many bytes of content.
    Content(u64),
    /// Bytes for [`Decoder::read_framing`].
    Framing,
    /// Nothing: the body is complete.
    End,
}

/// The framing is malformed: the connection must be closed.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// The state of decoding a body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// The content announced so far by the length or chunk sizes, in bytes.
    announced: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Content of known length, or of a chunk.
    Content {
        left: u64,
        is_chunk: bool,
    },
    /// The digits of a chunk size.
    Size {
        size: u64,
        digits: u8,
    },
    /// After the semicolon of a chunk's first line.
    Extension {
        size: u64,
        bytes: u16,
    },
    /// After the CR of a chunk's first line.
    SizeLf {
        size: u64,
    },
    /// After the content of a chunk.
    ChunkCr,
    ChunkLf,
    /// At the start of a line after the last chunk.
    TrailerStart {
        bytes: u16,
    },
    /// In a trailer field, before or after its colon.
    TrailerName {
        bytes: u16,
    },
    TrailerValue {
        bytes: u16,
    },
    TrailerLf {
        bytes: u16,
    },
    /// After the CR of the last line.
    LastLf,
    End,
}

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new(framing: Framing) -> Self {
        let (state, announced) = match framing {
            Framing::None | Framing::Length(0) => (State::End, 0),
            Framing::Length(length) => (State::Content { left: length, is_chunk: false }, length),
            Framing::Chunked => (State::Size { size: 0, digits: 0 }, 0),
        };
        Self { state, announced }
    }

    /// What comes next.
    pub fn next(&self) -> Next {
        match self.state {
            State::Content { left, .. } => Next::Content(left),
            State::End => Next::End,
            _ => Next::Framing,
        }
    }

    /// The content announced so far, in bytes, including chunks that have not arrived yet.
    pub fn announced(&self) -> u64 {
        self.announced
    }

    /// Consumes content, at most as much as is next.
    pub fn take_content(&mut self, bytes: u64) {
        if let State::Content { left, is_chunk } = self.state {
            self.state = match (left.saturating_sub(bytes), is_chunk) {
                (0, true) => State::ChunkCr,
                (0, false) => State::End,
                (left, is_chunk) => State::Content { left, is_chunk },
            };
        }
    }

    /// Parses framing up to the next content or the end. Returns the number of bytes consumed.
    ///
    /// # Errors
    /// When they violate RFC 9112 section 7.1, or a limit.
    pub fn read_framing(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        for (at, byte) in bytes.iter().enumerate() {
            if self.next() != Next::Framing {
                return Ok(at);
            }
            self.state = self.step(*byte)?;
        }
        Ok(bytes.len())
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        let is_text = matches!(byte, b'\t' | b' '..=b'~');
        Ok(match (self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() && digits < MAX_SIZE_DIGITS => {
                State::Size { size: size << 4 | hex_value(byte), digits: digits + 1 }
            }
            (State::Size { size, digits: 1.. }, b';') => State::Extension { size, bytes: 0 },
            (State::Size { size, digits: 1.. } | State::Extension { size, .. }, b'\r') => State::SizeLf { size },
            (State::Extension { size, bytes }, _) if is_text && bytes < MAX_EXTENSION_BYTES => {
                State::Extension { size, bytes: bytes + 1 }
            }
            (State::SizeLf { size: 0 }, b'\n') => State::TrailerStart { bytes: 0 },
            (State::SizeLf { size }, b'\n') => {
                self.announced = self.announced.saturating_add(size);
                State::Content { left: size, is_chunk: true }
            }
            (State::ChunkCr, b'\r') => State::ChunkLf,
            (State::ChunkLf, b'\n') => State::Size { size: 0, digits: 0 },
            (State::TrailerStart { .. }, b'\r') => State::LastLf,
            (State::LastLf, b'\n') => State::End,
            (
                State::TrailerStart { bytes }
                | State::TrailerName { bytes }
                | State::TrailerValue { bytes }
                | State::TrailerLf { bytes },
                _,
            ) if bytes < MAX_TRAILER_BYTES => self.step_in_trailer(byte, bytes + 1, is_text)?,
            _ => return Err(Malformed),
        })
    }

    /// One byte of a trailer field: a name as in a head, a colon, a value, CRLF.
    fn step_in_trailer(&self, byte: u8, bytes: u16, is_text: bool) -> Result<State, Malformed> {
        let is_name = byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        match (self.state, byte) {
            (State::TrailerStart { .. } | State::TrailerName { .. }, _) if is_name => Ok(State::TrailerName { bytes }),
            (State::TrailerName { .. }, b':') => Ok(State::TrailerValue { bytes }),
            (State::TrailerValue { .. }, b'\r') => Ok(State::TrailerLf { bytes }),
            (State::TrailerValue { .. }, _) if is_text => Ok(State::TrailerValue { bytes }),
            (State::TrailerLf { .. }, b'\n') => Ok(State::TrailerStart { bytes }),
            _ => Err(Malformed),
        }
    }
}

fn hex_value(digit: u8) -> u64 {
    char::from(digit).to_digit(16).map_or(0, u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes bytes in pieces of this size. Returns the content, whether it is complete, and the bytes consumed.
    fn decode(bytes: &[u8], piece_bytes: usize) -> Result<(Vec<u8>, bool, usize), Malformed> {
        let mut decoder = Decoder::new(Framing::Chunked);
        let (mut content, mut at) = (Vec::new(), 0);
        for piece in bytes.chunks(piece_bytes) {
            let mut rest = piece;
            while !rest.is_empty() && decoder.next() != Next::End {
                let taken = match decoder.next() {
                    Next::Content(left) => {
                        let taken = rest.len().min(usize::try_from(left).unwrap());
                        content.extend_from_slice(&rest[..taken]);
                        decoder.take_content(taken as u64);
                        taken
                    }
                    _ => decoder.read_framing(rest)?,
                };
                at += taken;
                rest = &rest[taken..];
            }
        }
        Ok((content, decoder.next() == Next::End, at))
    }

    #[test]
    fn a_chunked_body_is_complete_only_with_its_last_byte() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(256));
        let trailer = format!("5\r\nhello\r\n0\r\nX: {}\r\n\r\n", "y".repeat(8187));
        for body in [
            "5\r\nhello\r\n0\r\n\r\n",
            "00000005\r\nhello\r\n00000000\r\n\r\n",
            "2;a=b\r\nhe\r\n3;\t\"x y\"\r\nllo\r\n0;z\r\n\r\n",
            "5\r\nhello\r\n0\r\nX-Y: z\r\nTransfer-Encoding: \tchunked\r\nz:\r\n\r\n",
            &long,
            &trailer,
        ] {
            for piece_bytes in [1, 2, 3, 7, body.len()] {
                for length in (0..body.len()).step_by(1 + body.len() / 200) {
                    let (content, is_whole, _) = decode(&body.as_bytes()[..length], piece_bytes).unwrap();
                    assert!(!is_whole && b"hello".starts_with(&content), "{body:?} cut to {length}");
                }
                let pipelined = format!("{body}GET / HTTP/1.1\r\n");
                assert_eq!(decode(pipelined.as_bytes(), piece_bytes).unwrap(), (b"hello".to_vec(), true, body.len()));
            }
        }
        assert_eq!(decode(b"0\r\n\r\n", 1), Ok((vec![], true, 5)));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(257));
        let trailer = format!("0\r\nX: {}\r\n\r\n", "y".repeat(8188));
        for body in [
            "+5\r\n",
            "-5\r\n",
            " 5\r\n",
            "\t5\r\n",
            "5 \r\n",
            "5 ;x\r\n",
            "0x5\r\n",
            "\r\n",
            ";x\r\n",
            "x\r\n",
            "123456789\r\n",
            "000000000\r\n",
            "5\n",
            "5\r\r\n",
            "5\rhello",
            "5;a\nb\r\n",
            "5;a\0b\r\n",
            "5;a\u{e4}\r\n",
            "5\r\nhelloo\r\n",
            "5\r\nhello\n",
            "5\r\nhello\r5",
            "0\r\n\n",
            "0\r\n\r\r",
            "0\r\n x: y\r\n\r\n",
            "0\r\nx\r\n\r\n",
            "0\r\nx y: z\r\n\r\n",
            "0\r\n: z\r\n\r\n",
            "0\r\nx: \0\r\n\r\n",
            "0\r\nx: y\n\r\n",
            "0\r\nx: y\r\r\n",
            &long,
            &trailer,
        ] {
            assert_eq!(decode(body.as_bytes(), body.len()), Err(Malformed), "{body:?}");
            assert_eq!(decode(body.as_bytes(), 1), Err(Malformed), "{body:?}, byte by byte");
        }
    }

    #[test]
    fn announced_content_counts_before_it_arrives() {
        let mut decoder = Decoder::new(Framing::Chunked);
        assert_eq!(decoder.read_framing(b"ffffffff\r\nxyz"), Ok(10));
        assert_eq!((decoder.next(), decoder.announced()), (Next::Content(0xffff_ffff), 0xffff_ffff));
        let mut decoder = Decoder::new(Framing::Length(3));
        decoder.take_content(2);
        assert_eq!((decoder.next(), decoder.announced()), (Next::Content(1), 3));
        decoder.take_content(1);
        assert_eq!(decoder.next(), Next::End);
        assert_eq!(Decoder::new(Framing::None).next(), Next::End);
    }
}
